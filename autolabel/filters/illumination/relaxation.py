"""Solve for two smooth fields on a grid by successive over-relaxation."""

from __future__ import annotations

import numpy as np

from autolabel.filters.illumination.light import (
    MIN_GAIN,
    Floats,
    Weights,
)
from polynya.compiled import compiled


@compiled
def relax(
    cols: int,
    own: Floats,
    own_side: Floats,
    steps: Floats,
    step_sides: Floats,
    weights: Weights,
    clear_gain: Floats,
    clear_haze: Floats,
    most_haze: Floats,
    gain: Floats,
    haze: Floats,
) -> float:
    """Solve for the fields `gain` and `haze` in place by projected successive over-relaxation.

    Sweeps go over the grid forwards and backwards in turn. Returns the greatest change of a field.
    """
    cells = len(gain)
    # Each cell has two equations: a11 g + a12 h = b1 and a12 g + a22 h = b2. `constant` is the part
    # of b1 and b2 that does not depend on the neighbours. `tie` couples a cell with the cells to
    # the left and above. At borders the tie is zero, so the loop below needs no special case
    # there: it reads some cell and multiplies it by zero.
    matrix, constant = np.empty((cells, 3)), np.empty((cells, 2))
    tie = np.zeros((2, cells + cols, 3))
    for cell in range(cells):
        g0, h0 = gain[cell], haze[cell]
        pull_gain = weights.clear * clear_gain[cell] / max(1.0 - g0, 0.03)
        pull_haze = weights.clear * clear_haze[cell] / max(h0, 0.02)
        matrix[cell, 0] = own[cell, 0] + pull_gain
        matrix[cell, 1] = own[cell, 1]
        matrix[cell, 2] = own[cell, 2] + pull_haze
        constant[cell, 0] = own_side[cell, 0] + own[cell, 0] * g0 + own[cell, 1] * h0 + pull_gain
        constant[cell, 1] = own_side[cell, 1] + own[cell, 1] * g0 + own[cell, 2] * h0
    for direction in range(2):
        distance = 1 if direction == 0 else cols
        for cell in range(distance, cells):
            if direction == 0 and cell % cols == 0:
                continue
            other = cell - distance
            e11, e12, e22 = steps[direction, cell]
            tie[direction, cell, 0] = e11 + weights.smooth
            tie[direction, cell, 1] = e12
            tie[direction, cell, 2] = e22 + weights.smooth
            # The cell's difference from the other one before this round; the evidence changes it.
            dg, dh = gain[cell] - gain[other], haze[cell] - haze[other]
            d1 = step_sides[direction, cell, 0] + e11 * dg + e12 * dh
            d2 = step_sides[direction, cell, 1] + e12 * dg + e22 * dh
            for end, sign in ((cell, 1.0), (other, -1.0)):
                matrix[end, 0] += e11 + weights.smooth
                matrix[end, 1] += e12
                matrix[end, 2] += e22 + weights.smooth
                constant[end, 0] += sign * d1
                constant[end, 1] += sign * d2
    first_gain, first_haze = gain.copy(), haze.copy()
    rows = cells // cols
    # How much each row changed in the last sweep. The two rows beyond the grid never change.
    moved = np.ones(rows + 2)
    moved[0], moved[-1] = 0.0, 0.0
    for sweep in range(weights.sweeps):
        for k in range(rows):
            row = k if sweep % 2 == 0 else rows - 1 - k
            if max(moved[row], moved[row + 1], moved[row + 2]) < weights.settled:
                continue
            moved[row + 1] = _relax_row(
                row, sweep % 2 == 0, cols, matrix, constant, tie, weights, most_haze, gain, haze
            )
        if moved.max() < weights.settled:
            break
    change = 0.0
    for cell in range(cells):
        change = max(change, abs(gain[cell] - first_gain[cell]), abs(haze[cell] - first_haze[cell]))
    return change


@compiled
def _relax_row(
    row: int,
    forward: bool,
    cols: int,
    matrix: Floats,
    constant: Floats,
    tie: Floats,
    weights: Weights,
    most_haze: Floats,
    gain: Floats,
    haze: Floats,
) -> float:
    change, last = 0.0, len(gain) - 1
    for k in range(cols):
        cell = row * cols + (k if forward else cols - 1 - k)
        b1, b2 = constant[cell]
        for direction in range(2):
            distance = 1 if direction == 0 else cols
            for edge, other in (
                (cell, max(cell - distance, 0)),
                (cell + distance, min(cell + distance, last)),
            ):
                t11, t12, t22 = tie[direction, edge]
                b1 += t11 * gain[other] + t12 * haze[other]
                b2 += t12 * gain[other] + t22 * haze[other]
        a11, a12, a22 = matrix[cell]
        factor = weights.relaxation / (a11 * a22 - a12 * a12)
        g0, h0 = gain[cell], haze[cell]
        g = g0 + factor * (a22 * b1 - a12 * b2) - weights.relaxation * g0
        h = h0 + factor * (a11 * b2 - a12 * b1) - weights.relaxation * h0
        # If one field is at its bound, solve for the other field alone.
        if h < 0.0:
            h = 0.0
            g = b1 / a11
        elif h > most_haze[cell]:
            h = most_haze[cell]
            g = (b1 - a12 * h) / a11
        if g > 1.0:
            g = 1.0
            h = (b2 - a12) / a22
        gain[cell] = min(max(g, MIN_GAIN), 1.0)
        haze[cell] = min(max(h, 0.0), most_haze[cell])
        change = max(change, abs(gain[cell] - g0), abs(haze[cell] - h0))
    return change

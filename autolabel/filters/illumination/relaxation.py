"""Solve for two smooth fields on a grid by successive over-relaxation."""

from __future__ import annotations

import numpy as np

from autolabel.filters.illumination.light import (
    MIN_GAIN,
    Floats,
    Weights,
)
from polynya.compiled import compiled

_TOGETHER = 8
"""Most rows that are relaxed together. More gain nothing."""


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
    # A cell's numbers lie together. There is a row more above and below the grid, so that each cell
    # has four neighbours.
    light, tie = np.zeros((cells + 2 * cols, 2)), np.zeros((cells + 2 * cols, 6))
    alone = np.zeros((cells + 2 * cols, 7))
    for cell in range(cells):
        # Each cell has two equations: a11 g + a12 h = b1 and a12 g + a22 h = b2. `alone` has b1 and
        # b2 without the part of the neighbours, a11, a12, a22, the greatest h, and the
        # factor of over-relaxation by the determinant.
        at, g0, h0 = cell + cols, gain[cell], haze[cell]
        pull_gain = weights.clear * clear_gain[cell] / max(1.0 - g0, 0.03)
        pull_haze = weights.clear * clear_haze[cell] / max(h0, 0.02)
        alone[at, 0] = own_side[cell, 0] + own[cell, 0] * g0 + own[cell, 1] * h0 + pull_gain
        alone[at, 1] = own_side[cell, 1] + own[cell, 1] * g0 + own[cell, 2] * h0
        alone[at, 2] = own[cell, 0] + pull_gain
        alone[at, 3] = own[cell, 1]
        alone[at, 4] = own[cell, 2] + pull_haze
        alone[at, 5] = most_haze[cell]
        light[at, 0], light[at, 1] = g0, h0
    for direction in range(2):
        # `tie` couples a cell with the cells to the left (first three numbers) and above. At
        # borders it is zero, so the loop over the cells needs no special case there.
        distance = 1 if direction == 0 else cols
        for cell in range(distance, cells):
            if direction == 0 and cell % cols == 0:
                continue
            other = cell - distance
            e11, e12, e22 = steps[direction, cell]
            tie[cell + cols, 3 * direction] = e11 + weights.smooth
            tie[cell + cols, 3 * direction + 1] = e12
            tie[cell + cols, 3 * direction + 2] = e22 + weights.smooth
            # The cell's difference from the other one before this round; the evidence changes it.
            dg, dh = gain[cell] - gain[other], haze[cell] - haze[other]
            d1 = step_sides[direction, cell, 0] + e11 * dg + e12 * dh
            d2 = step_sides[direction, cell, 1] + e12 * dg + e22 * dh
            for end, sign in ((cell + cols, 1.0), (other + cols, -1.0)):
                alone[end, 0] += sign * d1
                alone[end, 1] += sign * d2
                alone[end, 2] += e11 + weights.smooth
                alone[end, 3] += e12
                alone[end, 4] += e22 + weights.smooth
    for at in range(cols, cells + cols):
        determinant = alone[at, 2] * alone[at, 4] - alone[at, 3] * alone[at, 3]
        alone[at, 6] = weights.relaxation / determinant
    rows = cells // cols
    # How much each row changed in the last sweep. The two rows beyond the grid never change.
    moved = np.ones(rows + 2)
    moved[0], moved[-1] = 0.0, 0.0
    for sweep in range(weights.sweeps):
        step = 1 if sweep % 2 == 0 else -1
        row, rest = (0 if step == 1 else rows - 1), rows
        while rest > 0:
            if max(moved[row], moved[row + 1], moved[row + 2]) < weights.settled:
                row, rest = row + step, rest - 1
                continue
            # Rows that change whatever comes of the rows before them can be relaxed together.
            count, beyond = 1, row + step
            while count < min(_TOGETHER, rest) and (
                max(moved[beyond + 1], moved[beyond + 1 + step]) >= weights.settled
            ):
                count, beyond = count + 1, beyond + step
            _relax_rows(row, count, step, cols, alone, tie, weights.relaxation, light, moved)
            row, rest = beyond, rest - count
        if moved.max() < weights.settled:
            break
    change = 0.0
    for cell in range(cells):
        g, h = light[cell + cols]
        change = max(change, abs(g - gain[cell]), abs(h - haze[cell]))
        gain[cell], haze[cell] = g, h
    return change


@compiled
def _relax_rows(
    first: int,
    count: int,
    step: int,
    cols: int,
    alone: Floats,
    tie: Floats,
    relaxation: float,
    light: Floats,
    moved: Floats,
) -> None:
    """Relax `count` rows in turn, each from its first cell on (`step` 1) or from its last (-1).

    Each row is one cell behind the row before it. So a cell sees what it would see if the rows were
    relaxed one after another, but the processor needn't finish one cell to begin with the next.
    """
    for n in range(count):
        moved[first + step * n + 1] = 0.0
    # Numbers without a sign need no check for negative indices, which takes time in such a loop.
    across, one = np.uintp(cols), np.uintp(1)
    for turn in range(cols + count - 1):
        for n in range(max(turn - cols + 1, 0), min(turn + 1, count)):
            row, col = first + step * n, turn - n
            at = np.uintp((row + 1) * cols + (col if step == 1 else cols - 1 - col))
            left, right, above, below = at - one, at + one, at - across, at + across
            b1 = alone[at, 0]
            b1 += tie[at, 0] * light[left, 0] + tie[at, 1] * light[left, 1]
            b1 += tie[right, 0] * light[right, 0] + tie[right, 1] * light[right, 1]
            b1 += tie[at, 3] * light[above, 0] + tie[at, 4] * light[above, 1]
            b1 += tie[below, 3] * light[below, 0] + tie[below, 4] * light[below, 1]
            g0, h0 = light[at, 0], light[at, 1]
            a11, most = alone[at, 2], alone[at, 5]
            if most == 0.0:
                g, h = g0 + relaxation * (b1 / a11 - g0), 0.0
            else:
                b2 = alone[at, 1]
                b2 += tie[at, 1] * light[left, 0] + tie[at, 2] * light[left, 1]
                b2 += tie[right, 1] * light[right, 0] + tie[right, 2] * light[right, 1]
                b2 += tie[at, 4] * light[above, 0] + tie[at, 5] * light[above, 1]
                b2 += tie[below, 4] * light[below, 0] + tie[below, 5] * light[below, 1]
                a12, a22 = alone[at, 3], alone[at, 4]
                factor = alone[at, 6]
                g = g0 + factor * (a22 * b1 - a12 * b2) - relaxation * g0
                h = h0 + factor * (a11 * b2 - a12 * b1) - relaxation * h0
                # If one field is at its bound, solve for the other field alone.
                if h < 0.0:
                    h = 0.0
                    g = b1 / a11
                elif h > most:
                    h = most
                    g = (b1 - a12 * h) / a11
                if g > 1.0:
                    g = 1.0
                    h = min(max((b2 - a12) / a22, 0.0), most)
            g = min(max(g, MIN_GAIN), 1.0)
            light[at, 0], light[at, 1] = g, h
            moved[row + 1] = max(moved[row + 1], abs(g - g0), abs(h - h0))

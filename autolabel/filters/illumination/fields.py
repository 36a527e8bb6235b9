"""Light over a scene: a smooth shadow gain and a smooth haze opacity, from what lies beneath.

Image model: I = R g (1 - h) + W h, with R the scene under a clear sky, g the gain that a shadow
leaves, h the opacity of thin cloud and W the brightness of cloud.

Both fields live on the cells of `autolabel.filters.illumination.segments`. Three kinds of evidence
are weighed by least squares, linear in small changes of g and h, and solved again as the classes
become clearer:

- inside one segment, what changes from cell to cell is light;
- segments of thick ice are at least as bright as thick ice is under a clear sky, segments of open
  water at most as bright as open water is; thin ice may have any brightness, so it says nothing;
- light changes smoothly, and most of the sky is clear: weights that fall with the size of the
  fields leave them exactly at zero where nothing speaks against it (iteratively reweighted least
  squares towards an L1 norm; Candes, Wakin & Boyd 2008, J. Fourier Anal. Appl. 14, 877).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.segments import CellParts
from polynya.compiled import compiled

WATER, BETWEEN, THICK = 0, 1, 2
"""What a segment is: open water, thick ice, or something between."""

MIN_GAIN, MAX_HAZE = 0.25, 0.75
"""Deeper shadow and denser cloud than these leave nothing to see."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Small = NDArray[np.int8]


class Weights(NamedTuple):
    """How evidence is weighed; deviations are in grey levels.

    Found on generated scenes of development seeds; none of them is sharp.
    """

    rounds: int = 40
    """Times that classes and fields are found from each other."""
    sweeps: int = 30
    """Relaxation sweeps over the grid in a round."""
    relaxation: float = 1.6
    """Factor of successive over-relaxation."""
    settled: float = 0.0005
    """Change of g and h below which sweeps end; rounds end at ten times that."""
    smooth: float = 1000.0
    """Inverse variance of the difference of g, or of h, between neighbouring cells."""
    clear: float = 3.0
    """Pull of the fields towards a clear sky, divided by their size."""
    level: float = 16.0
    """Deviation of a surface from the range of its class."""
    early_level: float = 5.0
    """Classes are doubtful at first: `level` starts this many times larger."""
    early_rounds: float = 4.0
    """Rounds in which that falls to a third."""
    middle: float = 80.0
    """Deviation from the middle of the class, where there is shadow or haze."""
    slope: float = 3.0
    """Deviation of a segment's change between cells, plus `texture` times its brightness."""
    texture: float = 0.015
    level_pixels: float = 64.0
    """Part sizes above this count no more: neighbouring pixels say the same."""
    slope_pixels: float = 32.0
    outlier: float = 3.0
    """Deviations beyond which evidence loses weight (Huber)."""
    doubt_thick: float = 80.0
    """How far below its range, per unit of lost gain, a segment may still be thick ice."""
    doubt_water: float = 80.0
    """How far above its range, per unit of haze, a segment may still be open water."""
    least: float = 12.0
    """Smallest segment, in segment pixels, that is evidence for its class: of a smaller one most
    pixels are mixed."""


class Light(NamedTuple):
    """What was found."""

    gain: Floats
    """(cells,), g in 0.25..1; 1 is no shadow."""
    haze: Floats
    """(cells,), h in 0..0.75; 0 is no cloud."""
    code: Small
    """(S,), WATER, BETWEEN or THICK for each segment."""
    brightness: Floats
    """(S,), V of each segment under a clear sky; 0 for segments without pixels."""
    misfit: Floats
    """(cells,), how far segments change otherwise than the light: squared deviations, relative to
    the expected ones and at most 5, times the pixels that count, summed."""
    evidence: Floats
    """(cells,), those pixels, summed."""


def solve_light(
    parts: CellParts,
    *,
    levels: Levels | None = None,
    weights: Weights | None = None,
    clear_gain: Floats | None = None,
    clear_haze: Floats | None = None,
    most_haze: Floats | None = None,
) -> Light:
    """Find shadow and haze over a scene, and what its segments are.

    Args:
        parts: Brightness of segments by cell.
        levels: Brightness of the classes.
        weights: Of the evidence.
        clear_gain: float64 (cells,), how strongly each cell is held free of shadow, relative to
            `weights.clear`; default 1 everywhere.
        clear_haze: float64 (cells,), likewise of haze.
        most_haze: float64 (cells,), upper bound of h from other bands; default MAX_HAZE.
    """
    cells = parts.grid[0] * parts.grid[1]
    ones = np.ones(cells)
    bound = np.full(cells, MAX_HAZE) if most_haze is None else np.minimum(most_haze, MAX_HAZE)
    levels, weights = levels or Levels(), weights or Weights()
    gain, haze, code, brightness, corrected = _solve(
        parts.start,
        parts.segment,
        parts.pixels,
        parts.mean,
        parts.left,
        parts.above,
        parts.grid[1],
        parts.size,
        levels,
        weights,
        ones if clear_gain is None else clear_gain,
        ones if clear_haze is None else clear_haze,
        bound,
    )
    misfit, evidence = np.zeros(cells), np.zeros(cells)
    for neighbour, distance in ((parts.left, 1), (parts.above, parts.grid[1])):
        _sum_misfit(
            parts.start, parts.pixels, parts.mean, neighbour, distance,
            corrected, gain, haze, levels, weights, misfit, evidence,
        )  # fmt: skip
    return Light(gain, haze, code, brightness, misfit, evidence)


@compiled
def _solve(
    start: Integers,
    segment: Integers,
    pixels: Integers,
    mean: Floats,
    left: Integers,
    above: Integers,
    cols: int,
    size: Floats,
    levels: Levels,
    weights: Weights,
    clear_gain: Floats,
    clear_haze: Floats,
    most_haze: Floats,
) -> tuple[Floats, Floats, Small, Floats, Floats]:
    cells = len(start) - 1
    gain, haze = np.ones(cells), np.zeros(cells)
    corrected = np.zeros(len(segment))
    brightness, code = np.zeros(len(size)), np.ones(len(size), np.int8)
    # Normal equations of the change of (g, h): of a cell alone, and of its difference from the
    # cells to the left and above; three numbers a symmetric matrix, two a right-hand side.
    own, own_side = np.zeros((cells, 3)), np.zeros((cells, 2))
    steps, step_sides = np.zeros((2, cells, 3)), np.zeros((2, cells, 2))
    for turn in range(weights.rounds):
        _correct(start, segment, pixels, mean, gain, haze, levels, corrected, brightness)
        _classify(start, segment, pixels, gain, haze, brightness, levels, weights, code)
        deviation = weights.level * (
            1.0 + weights.early_level * np.exp(-turn / weights.early_rounds)
        )
        own[:], own_side[:] = 0.0, 0.0
        _weigh_levels(
            start, segment, pixels, mean, corrected, code, size, gain, haze, levels, weights,
            deviation, own, own_side,
        )  # fmt: skip
        steps[:], step_sides[:] = 0.0, 0.0
        for direction in range(2):
            _weigh_slopes(
                start, pixels, mean, (left, above)[direction], (1, cols)[direction],
                corrected, gain, haze, levels, weights, steps[direction], step_sides[direction],
            )  # fmt: skip
        change = _relax(
            cols, own, own_side, steps, step_sides, weights, clear_gain, clear_haze, most_haze,
            gain, haze,
        )  # fmt: skip
        if change < 10.0 * weights.settled and turn > 2.0 * weights.early_rounds:
            break
    _correct(start, segment, pixels, mean, gain, haze, levels, corrected, brightness)
    _classify(start, segment, pixels, gain, haze, brightness, levels, weights, code)
    return gain, haze, code, brightness, corrected


@compiled
def _correct(
    start: Integers,
    segment: Integers,
    pixels: Integers,
    mean: Floats,
    gain: Floats,
    haze: Floats,
    levels: Levels,
    corrected: Floats,
    brightness: Floats,
) -> None:
    """Find V under a clear sky of each part and each segment.

    Where more light comes through counts more.
    """
    weight_of = np.zeros(len(brightness))
    brightness[:] = 0.0
    for cell in range(len(start) - 1):
        through, veil = gain[cell] * (1.0 - haze[cell]), levels.cloud * haze[cell]
        for part in range(start[cell], start[cell + 1]):
            corrected[part] = (mean[part] - veil) / through
            weight = pixels[part] * through * through
            brightness[segment[part]] += weight * corrected[part]
            weight_of[segment[part]] += weight
    for number in range(len(brightness)):
        if weight_of[number] > 0.0:
            brightness[number] /= weight_of[number]


@compiled
def _classify(
    start: Integers,
    segment: Integers,
    pixels: Integers,
    gain: Floats,
    haze: Floats,
    brightness: Floats,
    levels: Levels,
    weights: Weights,
    code: Small,
) -> None:
    """What each segment is. Where much was corrected the limits give way."""
    gain_of, haze_of = np.zeros(len(brightness)), np.zeros(len(brightness))
    n_of = np.zeros(len(brightness))
    for cell in range(len(start) - 1):
        for part in range(start[cell], start[cell + 1]):
            weight = pixels[part] * (gain[cell] * (1.0 - haze[cell])) ** 2
            gain_of[segment[part]] += weight * gain[cell]
            haze_of[segment[part]] += weight * haze[cell]
            n_of[segment[part]] += weight
    for number in range(len(brightness)):
        if n_of[number] == 0.0:
            continue
        lost, hazy = 1.0 - gain_of[number] / n_of[number], haze_of[number] / n_of[number]
        if brightness[number] >= levels.bright - weights.doubt_thick * lost:
            code[number] = THICK
        elif brightness[number] <= levels.dark + 1.0 + weights.doubt_water * hazy:
            code[number] = WATER
        else:
            code[number] = BETWEEN


@compiled
def _weigh_levels(
    start: Integers,
    segment: Integers,
    pixels: Integers,
    mean: Floats,
    corrected: Floats,
    code: Small,
    size: Floats,
    gain: Floats,
    haze: Floats,
    levels: Levels,
    weights: Weights,
    deviation: float,
    own: Floats,
    own_side: Floats,
) -> None:
    """Thick ice and water that lie outside the range of their class, or far from its middle."""
    for cell in range(len(start) - 1):
        g, h = gain[cell], haze[cell]
        for part in range(start[cell], start[cell + 1]):
            number = segment[part]
            if code[number] == BETWEEN or size[number] < weights.least:
                continue
            if code[number] == THICK:
                low, high = levels.bright, levels.brightest
                doubt = min((1.0 - g) / 0.15, 1.0)
            else:
                low, high = levels.darkest, levels.dark
                doubt = min(h / 0.1, 1.0)
            n = min(pixels[part], weights.level_pixels)
            for pull in range(2):
                if pull == 0:
                    target = min(max(corrected[part], low), high)
                    weight = n / deviation**2
                    if target == corrected[part]:
                        continue
                else:
                    target = 0.5 * (low + high)
                    weight = n * (doubt / weights.middle) ** 2
                error = mean[part] - target * g * (1.0 - h) - levels.cloud * h
                if pull == 0 and abs(error) > weights.outlier * deviation:
                    weight *= weights.outlier * deviation / abs(error)
                by_gain, by_haze = target * (1.0 - h), levels.cloud - target * g
                own[cell, 0] += weight * by_gain * by_gain
                own[cell, 1] += weight * by_gain * by_haze
                own[cell, 2] += weight * by_haze * by_haze
                own_side[cell, 0] += weight * by_gain * error
                own_side[cell, 1] += weight * by_haze * error


@compiled
def _weigh_slopes(
    start: Integers,
    pixels: Integers,
    mean: Floats,
    neighbour: Integers,
    distance: int,
    corrected: Floats,
    gain: Floats,
    haze: Floats,
    levels: Levels,
    weights: Weights,
    steps: Floats,
    step_sides: Floats,
) -> None:
    """What changes inside a segment from the neighbouring cell, `distance` before, to each cell."""
    for cell in range(len(start) - 1):
        before = cell - distance
        for part in range(start[cell], start[cell + 1]):
            n, error, deviation, surface = _slope(
                part, neighbour[part], cell, before,
                pixels, mean, corrected, gain, haze, levels, weights,
            )  # fmt: skip
            if n == 0.0:
                continue
            g, h = 0.5 * (gain[cell] + gain[before]), 0.5 * (haze[cell] + haze[before])
            weight = n / deviation**2
            if abs(error) > weights.outlier * deviation:
                weight *= weights.outlier * deviation / abs(error)
            by_gain, by_haze = surface * (1.0 - h), levels.cloud - surface * g
            steps[cell, 0] += weight * by_gain * by_gain
            steps[cell, 1] += weight * by_gain * by_haze
            steps[cell, 2] += weight * by_haze * by_haze
            step_sides[cell, 0] += weight * by_gain * error
            step_sides[cell, 1] += weight * by_haze * error


@compiled
def _slope(
    part: int,
    other: int,
    cell: int,
    before: int,
    pixels: Integers,
    mean: Floats,
    corrected: Floats,
    gain: Floats,
    haze: Floats,
    levels: Levels,
    weights: Weights,
) -> tuple[float, float, float, float]:
    """Weigh what changes inside a segment between two cells against the change of the fields.

    Returns the number of pixels that count (0: no evidence), the deviation in grey levels, the
    expected one, and V of the surface.
    """
    if other < 0:
        return 0.0, 0.0, 1.0, 0.0
    n = min(min(float(pixels[part]), float(pixels[other])), weights.slope_pixels)
    if n < 4.0:
        return 0.0, 0.0, 1.0, 0.0
    surface = 0.5 * (corrected[part] + corrected[other])
    surface = min(max(surface, levels.darkest), levels.brightest)
    through = gain[cell] * (1.0 - haze[cell]) - gain[before] * (1.0 - haze[before])
    error = mean[part] - mean[other]
    error -= surface * through + levels.cloud * (haze[cell] - haze[before])
    return n, error, weights.slope + weights.texture * surface, surface


@compiled
def _sum_misfit(
    start: Integers,
    pixels: Integers,
    mean: Floats,
    neighbour: Integers,
    distance: int,
    corrected: Floats,
    gain: Floats,
    haze: Floats,
    levels: Levels,
    weights: Weights,
    misfit: Floats,
    evidence: Floats,
) -> None:
    """Add to `misfit` and `evidence` how far segments change otherwise than the light."""
    for cell in range(len(start) - 1):
        for part in range(start[cell], start[cell + 1]):
            n, error, deviation, _ = _slope(
                part, neighbour[part], cell, cell - distance,
                pixels, mean, corrected, gain, haze, levels, weights,
            )  # fmt: skip
            misfit[cell] += n * min(abs(error) / deviation, 5.0) ** 2
            evidence[cell] += n


@compiled
def _relax(
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
    """Solve for the fields by projected successive over-relaxation, there and back; in place.

    Returns the greatest change of a field.
    """
    cells = len(gain)
    # Each cell's two equations a11 g + a12 h = b1, a12 g + a22 h = b2, and what of b1 and b2 does
    # not depend on the neighbours; `tie` couples a cell with the ones before it, left and above.
    # Where there is no neighbour the tie is zero, so the loop below needs no borders: it reads
    # some cell that doesn't count.
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
            # As it was, the cell differed from the other by this, and the evidence wants more.
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
    # How much each row changed in the last sweep; the two beyond the grid never do.
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
        # On a bound the other field is solved alone.
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

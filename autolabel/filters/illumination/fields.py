"""Light over a scene: a smooth shadow gain and a smooth haze opacity, solved from its segments.

Image model: I = R g (1 - h) + W h. R is the scene under a clear sky, g the share of light that a
shadow lets through, h the opacity of thin cloud and W the brightness of cloud.

Both fields have one value per cell of `autolabel.filters.illumination.segments`. Least squares,
linear in small changes of g and h, combine three kinds of evidence. The solution is repeated as
the classes become clearer:

- Inside one segment, a change of brightness from cell to cell is a change of light.
- Segments of thick ice are at least as bright as thick ice under a clear sky. Segments of open
  water are at most as bright as open water. Thin ice may have any brightness, so it is no evidence.
- Light changes smoothly, and most of the sky is clear. Weights that fall with the size of the
  fields leave the fields exactly at zero where there is no evidence against it (iteratively
  reweighted least squares towards an L1 norm; Candes, Wakin & Boyd 2008, J. Fourier Anal. Appl.
  14, 877).
"""

from __future__ import annotations

import numpy as np

from autolabel.filters.illumination.evidence import sum_misfit, weigh_levels, weigh_slopes
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import (
    BETWEEN,
    MAX_HAZE,
    THICK,
    WATER,
    Floats,
    Integers,
    Light,
    Small,
    Weights,
)
from autolabel.filters.illumination.relaxation import relax
from autolabel.filters.illumination.segments import CellParts
from polynya.compiled import compiled


def solve_light(
    parts: CellParts,
    *,
    levels: Levels | None = None,
    weights: Weights | None = None,
    clear_gain: Floats | None = None,
    clear_haze: Floats | None = None,
    most_haze: Floats | None = None,
) -> Light:
    """Find shadow and haze over a scene, and the class of each segment.

    Args:
        parts: Brightness of segments by cell.
        levels: Brightness of the classes.
        weights: Weights of the evidence.
        clear_gain: float64 (cells,), how strongly each cell is held free of shadow, relative to
            `weights.clear`; default 1 everywhere.
        clear_haze: float64 (cells,), how strongly each cell is held free of haze, in the same
            way; default 1 everywhere.
        most_haze: float64 (cells,), upper bound of h from other bands; default MAX_HAZE.
    """
    cells = parts.grid[0] * parts.grid[1]
    ones = np.ones(cells)
    bound = np.full(cells, MAX_HAZE) if most_haze is None else np.minimum(most_haze, MAX_HAZE)
    levels, weights = levels or Levels(), weights or Weights()
    gain, haze = _solve(
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
    return light_of(parts, gain, haze, levels, weights)


def light_of(
    parts: CellParts, gain: Floats, haze: Floats, levels: Levels, weights: Weights | None = None
) -> Light:
    """Return what two known fields make of a scene: its classes, and how well they fit.

    Args:
        parts: Brightness of segments by cell.
        gain: float64 (cells,), g.
        haze: float64 (cells,), h.
        levels: Brightness of the classes.
        weights: Weights of the evidence.
    """
    weights = weights or Weights()
    cells = len(gain)
    corrected = np.zeros(len(parts.segment))
    brightness, code = np.zeros(len(parts.size)), np.ones(len(parts.size), np.int8)
    _correct(
        parts.start, parts.segment, parts.pixels, parts.mean, gain, haze, levels, corrected,
        brightness,
    )  # fmt: skip
    _classify(
        parts.start, parts.segment, parts.pixels, gain, haze, brightness, levels, weights, code
    )
    misfit, evidence = np.zeros(cells), np.zeros(cells)
    for neighbour, distance in ((parts.left, 1), (parts.above, parts.grid[1])):
        sum_misfit(
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
) -> tuple[Floats, Floats]:
    cells = len(start) - 1
    gain, haze = np.ones(cells), np.zeros(cells)
    corrected = np.zeros(len(segment))
    brightness, code = np.zeros(len(size)), np.ones(len(size), np.int8)
    # Normal equations for the change of (g, h): `own` is for a cell alone, `steps` for its
    # difference from the cells to the left and above. A symmetric matrix is three numbers, a
    # right-hand side two.
    own, own_side = np.zeros((cells, 3)), np.zeros((cells, 2))
    steps, step_sides = np.zeros((2, cells, 3)), np.zeros((2, cells, 2))
    for turn in range(weights.rounds):
        _correct(start, segment, pixels, mean, gain, haze, levels, corrected, brightness)
        _classify(start, segment, pixels, gain, haze, brightness, levels, weights, code)
        deviation = weights.level * (
            1.0 + weights.early_level * np.exp(-turn / weights.early_rounds)
        )
        own[:], own_side[:] = 0.0, 0.0
        weigh_levels(
            start, segment, pixels, mean, corrected, code, size, gain, haze, levels, weights,
            deviation, own, own_side,
        )  # fmt: skip
        steps[:], step_sides[:] = 0.0, 0.0
        for direction in range(2):
            weigh_slopes(
                start, pixels, mean, (left, above)[direction], (1, cols)[direction],
                corrected, gain, haze, levels, weights, steps[direction], step_sides[direction],
            )  # fmt: skip
        change = relax(
            cols, own, own_side, steps, step_sides, weights, clear_gain, clear_haze, most_haze,
            gain, haze,
        )  # fmt: skip
        if change < 10.0 * weights.settled and turn > 2.0 * weights.early_rounds:
            break
    return gain, haze


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

    Parts through which more light comes have more weight.
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
    """Find the class of each segment. A large correction loosens the limits of the classes."""
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

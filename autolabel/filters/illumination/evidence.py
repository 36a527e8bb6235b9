"""Evidence for the light in each cell, from brightness levels and slopes of segments."""

from __future__ import annotations

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import (
    BETWEEN,
    THICK,
    Floats,
    Integers,
    Small,
    Weights,
)
from polynya.compiled import compiled


@compiled
def weigh_levels(
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
    """Sum evidence from thick ice and water outside the range of their class, or off its middle."""
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
def weigh_slopes(
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
    """Sum evidence from changes inside segments between each cell and the one `distance` before."""
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
    """Compare a segment's change of brightness between two cells with the change of the fields.

    Returns the number of pixels that count (0: no evidence), the deviation and the expected
    deviation in grey levels, and V of the surface.
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
def sum_misfit(
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
    """Add to `misfit` and `evidence` how far changes of segments differ from those of the light."""
    for cell in range(len(start) - 1):
        for part in range(start[cell], start[cell + 1]):
            n, error, deviation, _ = _slope(
                part, neighbour[part], cell, cell - distance,
                pixels, mean, corrected, gain, haze, levels, weights,
            )  # fmt: skip
            misfit[cell] += n * min(abs(error) / deviation, 5.0) ** 2
            evidence[cell] += n

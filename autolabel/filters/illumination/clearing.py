"""Find the class, clear-sky brightness and clear-sky colour of each pixel under a known light.

`autolabel.filters.illumination.sky` calls these passes over all pixels. Most loops do one thing
only, so that the compiler vectorises them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import BETWEEN, THICK, WATER
from autolabel.filters.illumination.segments import SCALE
from autolabel.filters.illumination.survey import CELL_PIXELS
from polynya.compiled import compiled

CLEAR_GAIN, CLEAR_HAZE = np.float32(0.94), np.float32(0.03)
"""A gain above the first value counts as no shadow, a haze below the second as no haze."""
NO_KIND, SOFT = 3, 4
"""Kind of edges and of segments that are too small to decide; and of segments of more than one
brightness, such as ice that grows thicker softly, in which each pixel's own value decides."""
_WHITE = np.float32(255.0)
_CENTRE = CELL_PIXELS // 2
"""First pixel of a cell's right half: pieces of a row go from one cell centre to the next."""

_DOUBT_SLOPE = np.float32(1.0 / 0.15)
"""Doubt per share of light that was lost; doubt is at most 1."""
_GIVE_DARK, _GIVE_BRIGHT = np.float32(10.0), np.float32(12.0)
"""Grey levels by which full doubt widens the classes water and thick ice. The fields err by some
levels. A surface near a limit belongs more often to the class beyond the limit than to a mixed
pixel."""

_MISJUDGED = 0.03
"""Chance that the light over a pixel is something else than the filter takes it for, also where it
finds none; the label is then as good as a guess. Of the labels that were surest before this was
counted, 97.5 to 99.5 % were right on generated scenes of development seeds, by the kind of ice."""

_SEGMENT_SAYS = np.float32(25.0)
"""Distance from the limit, in grey levels, up to which the segment decides."""

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]


@compiled
def clear_rows(
    value: Image,
    valid: Mask,
    top: int,
    kind: NDArray[np.int8],
    surface: Image,
    cell_gain: Field,
    cell_haze: Field,
    levels: Levels,
    cleared: Image | None,
    sure: Field | None,
) -> None:
    """Decide the class of each pixel of some rows; fill `cleared` or `sure`.

    Args:
        value: (H, W), V.
        valid: (H, W).
        top: Number of the first row in the scene.
        kind: Kind of the segments of these rows, WATER, BETWEEN, THICK or NO_KIND, at half
            resolution; begins with row `top // 2` at half resolution.
        surface: V of the segments under a clear sky, on the same pixels as `kind`.
        cell_gain: Shadow gain of all cells of the scene.
        cell_haze: Haze opacity of all cells of the scene.
        levels: Brightness of the classes.
        cleared: (H, W), V under a clear sky, in the range of the pixel's class; 0 without data.
        sure: (H, W), chance that the class is correct; pixels without data stay unchanged.
    """
    height, width = valid.shape
    # For one row: V under a clear sky, the share of light that comes through, the class, and
    # whether the segment has decided the class. And, from one cell centre to the next, whether
    # there is light to correct.
    real, through = np.empty(width, np.float32), np.empty(width, np.float32)
    decided, by_segment = np.empty(width, np.int8), np.empty(width, np.bool_)
    pieces = cell_gain.shape[1] + 1
    veiled = np.empty(pieces, np.bool_)
    clear_sure = np.empty(256)
    for level in range(256):
        clear_sure[level] = _sureness(level, 1.0, level, False, levels)
    for y in range(height):
        half = (top + y) // SCALE - top // SCALE
        _correct_row(value[y], top + y, cell_gain, cell_haze, levels, real, through, veiled)
        piece = 0
        while piece < pieces:
            beyond = piece + 1
            while beyond < pieces and veiled[beyond] == veiled[piece]:
                beyond += 1
            start = max(piece * CELL_PIXELS - _CENTRE, 0)
            stop = min(beyond * CELL_PIXELS - _CENTRE, width)
            if veiled[piece]:
                own_kind = kind[half, start // SCALE :]
                _decide_row(
                    real[start:stop], through[start:stop], own_kind, levels, decided, by_segment
                )
                if cleared is not None:
                    _clamp_row(
                        real[start:stop], valid[y, start:stop], decided, levels,
                        cleared[y, start:stop],
                    )  # fmt: skip
                if sure is not None:
                    for x in range(start, stop):
                        if valid[y, x]:
                            own, says = surface[half, x // SCALE], by_segment[x - start]
                            sure[y, x] = _sureness(real[x], through[x], own, says, levels)
            else:
                for x in range(start, stop):
                    if cleared is not None:
                        cleared[y, x] = max(value[y, x], np.uint8(1)) if valid[y, x] else 0
                    if sure is not None and valid[y, x]:
                        sure[y, x] = clear_sure[value[y, x]]
            piece = beyond


@compiled
def _correct_row(
    value: NDArray[np.uint8],
    y: int,
    cell_gain: Field,
    cell_haze: Field,
    levels: Levels,
    real: Field,
    through: Field,
    veiled: Mask,
) -> None:
    """Fill `real` and `through`, (W,), for row `y` of the scene where `veiled` becomes True.

    Each piece of the row goes from one cell centre to the next. Both fields are straight lines
    over a piece. The inner loop does nothing else, so that the compiler vectorises it.
    """
    rows, cols = cell_gain.shape
    cloud, one = np.float32(levels.cloud), np.float32(1.0)
    upper = (y - _CENTRE) // CELL_PIXELS
    down = np.float32((y - _CENTRE + 0.5) / CELL_PIXELS - upper)
    lower, upper = min(upper + 1, rows - 1), max(upper, 0)
    for piece in range(cols + 1):
        before, after = max(piece - 1, 0), min(piece, cols - 1)
        gain0 = cell_gain[upper, before] * (one - down) + cell_gain[lower, before] * down
        gain1 = cell_gain[upper, after] * (one - down) + cell_gain[lower, after] * down
        haze0 = cell_haze[upper, before] * (one - down) + cell_haze[lower, before] * down
        haze1 = cell_haze[upper, after] * (one - down) + cell_haze[lower, after] * down
        veiled[piece] = min(gain0, gain1) <= CLEAR_GAIN or max(haze0, haze1) >= CLEAR_HAZE
        if not veiled[piece]:
            continue
        first = piece * CELL_PIXELS - _CENTRE
        start, stop = max(first, 0), min(first + CELL_PIXELS, len(real))
        gain_step = (gain1 - gain0) / np.float32(CELL_PIXELS)
        haze_step = (haze1 - haze0) / np.float32(CELL_PIXELS)
        for x in range(start, stop):
            along = np.float32(np.int32(x - first)) + np.float32(0.5)
            gain, haze = gain0 + gain_step * along, haze0 + haze_step * along
            gain = one if gain > CLEAR_GAIN else gain
            haze = np.float32(0.0) if haze < CLEAR_HAZE else haze
            light = gain * (one - haze)
            through[x] = light
            real[x] = (np.float32(value[x]) - cloud * haze) / light


@compiled
def _decide_row(
    real: Field,
    through: Field,
    kind: NDArray[np.int8],
    levels: Levels,
    decided: NDArray[np.int8],
    by_segment: Mask,
) -> None:
    """Fill `decided` and `by_segment`, (W,).

    A pixel's own value decides, unless the value is in doubt and the segment's kind is close to it.
    """
    dark, bright = np.float32(levels.dark), np.float32(levels.bright)
    one, half = np.float32(1.0), np.float32(0.5)
    for x in range(len(real)):
        doubt = min((one - through[x]) * _DOUBT_SLOPE, one)
        if kind[x // SCALE] == SOFT:
            doubt = np.float32(0.0)
        above_water = real[x] >= dark + half + _GIVE_DARK * doubt
        above_thin = real[x] > bright - half - _GIVE_BRIGHT * doubt
        decided[x] = np.int8(above_water) + np.int8(above_thin)
        by_segment[x] = False
    for x in range(len(real)):
        if through[x] == one:
            continue
        says = kind[x // SCALE]
        if says == THICK:
            agrees = real[x] > bright - _SEGMENT_SAYS
        elif says == WATER:
            agrees = real[x] < dark + _SEGMENT_SAYS
        elif says == BETWEEN:
            agrees = dark - _SEGMENT_SAYS < real[x] < bright + _SEGMENT_SAYS
        else:
            agrees = False
        if agrees:
            decided[x] = says
            by_segment[x] = True


@compiled
def _clamp_row(
    real: Field, valid: Mask, decided: NDArray[np.int8], levels: Levels, cleared: Image
) -> None:
    """Fill `cleared`, (W,), with V, limited to the range of the pixel's class."""
    dark, bright = np.float32(levels.dark), np.float32(levels.bright)
    one, half = np.float32(1.0), np.float32(0.5)
    for x in range(len(real)):
        least = bright if decided[x] == THICK else (dark + one if decided[x] == BETWEEN else one)
        most = bright - one if decided[x] == BETWEEN else (dark if decided[x] == WATER else _WHITE)
        v = real[x] if real[x] > least else least
        v = v if v < most else most
        cleared[x] = np.uint8(np.int32(v + half)) if valid[x] else np.uint8(0)


@compiled
def _sureness(
    real: float, through: float, surface: float, by_segment: bool, levels: Levels
) -> float:
    margin = min(abs(real - levels.dark - 0.5), abs(real - levels.bright + 0.5))
    if by_segment:
        # The mean of a segment says more than one of its pixels.
        margin = max(margin, min(abs(surface - levels.dark), abs(surface - levels.bright)))
    sure = 1.0 - 0.5 * math.exp(-(margin + 1.0) / (2.0 + 40.0 * (1.0 - through)))
    return sure - _MISJUDGED * (sure - 0.5)


@compiled
def recolor(
    rgb: Image, value: Image, cleared: Image, haze: Field, color: Field, result: Image
) -> None:
    """Fill `result` with colours of brightness `cleared`, without the colour of haze."""
    height, width = value.shape
    for y in range(height):
        for x in range(width):
            if cleared[y, x] == value[y, x]:
                for band in range(3):
                    result[y, x, band] = rgb[y, x, band]
                continue
            highest = np.float32(0.0)
            for band in range(3):
                highest = max(highest, rgb[y, x, band] - color[band] * haze[y, x])
            for band in range(3):
                if highest > 0.0:
                    rest = max(rgb[y, x, band] - color[band] * haze[y, x], np.float32(0.0))
                    share = rest / highest
                else:
                    # The pixel shows only haze: take a grey surface.
                    share = np.float32(1.0)
                result[y, x, band] = np.uint8(cleared[y, x] * share + np.float32(0.5))

"""The filter for thin cloud and shadow: find the light, take it out, leave the ice.

`estimate_sky` cuts an image into segments along its sharp edges, solves for two smooth fields of
light (`autolabel.fields`) and says what each segment is; `clear_sky` brings every pixel to the
brightness that it would have under a clear sky. Where the sky is found clear the image comes back
as it is, to the bit.

Both need a whole scene: a tile sees too few surfaces to tell light from ice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.brightness import brightness
from autolabel.compiled import compiled
from autolabel.fields import BETWEEN, MAX_HAZE, THICK, WATER, Levels, Light, Weights, solve_light
from autolabel.segments import CELL, SCALE, Segments, cell_parts, find_segments, half_size
from polynya.layers import SceneLayers

CELL_PIXELS = CELL * SCALE
"""Pixels of the image across a cell of the fields."""

_SHADOW_LIMITS = (0.03, 0.12)
_HAZE_LIMITS = (0.02, 0.1)
"""A shadow (1 - g) or haze (h) is taken for real where it reaches the second value; it then extends
to where it falls below the first."""

_TRUST_CELLS = (63, 63)
"""Neighbourhood in which the fit of the fields is judged: 20 km at 10 m."""
_MISFITS = (0.45, 0.6)
"""Root mean square deviation of segments from the light, relative to the expected one, up to which
the light is trusted, and from which it isn't at all. Generated sea ice has 0.05 to 0.35, textured
land or melting ice 0.6 and more."""

_CLEAR_GAIN, _CLEAR_HAZE = np.float32(0.94), np.float32(0.03)
"""Pixels with more gain, or less haze, are left as they are."""
NO_KIND = 3
"""Edges and segments too small to be anything."""
_WHITE = np.float32(255.0)

_DOUBT_SLOPE = np.float32(1.0 / 0.15)
"""Doubt for each share of light that was lost; 1 is the most."""
_GIVE_DARK, _GIVE_BRIGHT = np.float32(10.0), np.float32(12.0)
"""By how many grey levels full doubt widens the classes of water and thick ice: the fields err by
some levels, and surfaces near a limit are more often of the class beyond it than mixed pixels."""

_LEAST_SEGMENT = 12
"""Smallest segment, in segment pixels, that decides for pixels whose own value is in doubt."""
_SEGMENT_SAYS = np.float32(25.0)
"""Grey levels from the limit up to which the segment decides."""

_SNOW_INDEX = 0.4
"""Least NDSI of snow: Hall, Riggs & Salomonson 1995, Remote Sens. Environ. 54, 127."""
_CLOUD_SWIR = 0.2
"""Short-wave infrared reflectance from which what is bright and no snow is opaque cloud."""
_CIRRUS = (0.002, 0.012)
"""Cirrus-band reflectance above the scene's background: none, and surely some (as in the cirrus
test of Sen2Cor's scene classification)."""

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Sky:
    """Light over an image of H x W pixels, and what its segments are."""

    shape: tuple[int, int]
    """H, W."""
    cell_gain: Field
    """(ceil(H / 32), ceil(W / 32)), shadow gain g of each cell: 1 in clear light."""
    cell_haze: Field
    """Likewise, opacity h of thin cloud: 0 in clear air."""
    segments: Segments
    size: NDArray[np.float64]
    """(S,), segment pixels of each segment."""
    code: NDArray[np.int8]
    """(S,), what each segment is: WATER, BETWEEN or THICK of `autolabel.fields`."""
    brightness: NDArray[np.float64]
    """(S,), V of each segment under a clear sky, grey levels."""
    levels: Levels
    opaque: Mask | None
    """(H, W), cloud through which nothing shows, by other evidence than brightness."""

    def gain(self) -> Field:
        """Shadow gain g of each pixel, float32 (H, W)."""
        gain = _at_pixels(self.cell_gain, self.shape)
        gain[gain > _CLEAR_GAIN] = 1.0
        return gain

    def haze(self) -> Field:
        """Haze opacity h of each pixel, float32 (H, W)."""
        haze = _at_pixels(self.cell_haze, self.shape)
        haze[haze < _CLEAR_HAZE] = 0.0
        return haze

    def veiled(self) -> Mask:
        """Where there is cloud or shadow: bool (H, W)."""
        veiled = (self.gain() < 1.0) | (self.haze() > 0.0)
        return veiled if self.opaque is None else veiled | self.opaque

    def hidden(self, most_haze: float) -> Mask:
        """Where cloud hides the ground: haze above a limit, or opaque cloud; bool (H, W)."""
        hidden = self.haze() > most_haze
        return hidden if self.opaque is None else hidden | self.opaque


def estimate_sky(
    rgb: Image,
    valid: Mask,
    *,
    levels: Levels | None = None,
    layers: SceneLayers | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
    weights: Weights | None = None,
) -> Sky:
    """Find thin cloud and shadow over a scene.

    Args:
        rgb: uint8 (H, W, 3).
        valid: bool (H, W).
        levels: Brightness of open water and thick ice; default the paper's thresholds.
        layers: More evidence, where the scene has it. Opaque cloud (the product's own, or bright
            in the short-wave infrared where snow is dark) is no evidence for light. The darkest
            near infrared of a cell bounds its haze. Haze is likelier where the cirrus band is
            bright.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.
        weights: Of the evidence.
    """
    levels = levels or Levels()
    opaque = None if layers is None else _opaque_cloud(rgb, layers, stretch)
    seen = valid if opaque is None else valid & ~opaque
    half = half_size(brightness(rgb), seen)
    segments = find_segments(half)
    parts = cell_parts(half, segments)
    light = solve_light(
        parts,
        levels=levels,
        weights=weights,
        clear_haze=None if layers is None else _haze_prior(layers, valid),
        most_haze=None if layers is None else _haze_bound(layers, valid, stretch, levels),
    )
    trust = _trust(light, parts.grid)
    shadow = trust * _where_real(1.0 - light.gain.reshape(parts.grid), *_SHADOW_LIMITS)
    haze = trust * _where_real(light.haze.reshape(parts.grid), *_HAZE_LIMITS)
    return Sky(
        shape=(valid.shape[0], valid.shape[1]),
        cell_gain=(1.0 - shadow).astype(np.float32),
        cell_haze=haze.astype(np.float32),
        segments=segments,
        size=parts.size,
        code=light.code,
        brightness=light.brightness,
        levels=levels,
        opaque=opaque,
    )


def _where_real(field: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """A field without the bumps that never reach `high`; of the others what is above `low`."""
    count, bump = cv2.connectedComponents((field > low).view(np.uint8), connectivity=8)
    highest = np.zeros(count)
    np.maximum.at(highest, bump.ravel(), field.ravel())
    real = (highest >= high) & (np.arange(count) > 0)
    # Below `low` next to a real bump the field fades out by itself.
    return np.where(real[bump] | ((bump == 0) & _beside(real[bump])), field, 0.0)


def _trust(light: Light, grid: tuple[int, int]) -> NDArray[np.float64]:
    """How far light can be told from surface in each cell, 0..1.

    Where surfaces change softly by themselves (bare land, melting ice, pixels wider than floes),
    segments change in ways that no smooth light explains; what is found there is no light.
    """
    misfit, evidence = (
        cv2.blur(part.reshape(grid), _TRUST_CELLS) for part in (light.misfit, light.evidence)
    )
    # Running sums leave rests below zero.
    deviation = np.sqrt(np.maximum(misfit, 0.0) / np.maximum(evidence, 1e-9))
    full, none = _MISFITS
    return np.asarray(np.clip((none - deviation) / (none - full), 0.0, 1.0), np.float64)


def _beside(mask: Mask) -> Mask:
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(grown > 0, np.bool_)


def _at_pixels(field: Field, shape: tuple[int, int]) -> Field:
    """Cells to pixels, bilinear between the centres of cells: float32 (H, W)."""
    size = (field.shape[1] * CELL_PIXELS, field.shape[0] * CELL_PIXELS)
    fine = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(fine[: shape[0], : shape[1]])


def _opaque_cloud(rgb: Image, layers: SceneLayers, stretch: tuple[float, float]) -> Mask | None:
    opaque = layers.opaque_cloud
    if layers.swir is not None:
        green = stretch[0] + rgb[..., 1] * np.float32((stretch[1] - stretch[0]) / 255.0)
        snow_index = (green - layers.swir) / np.maximum(green + layers.swir, np.float32(1e-6))
        bright = (layers.swir > _CLOUD_SWIR) & (snow_index < _SNOW_INDEX)
        opaque = bright if opaque is None else opaque | bright
    return opaque


def _haze_prior(layers: SceneLayers, valid: Mask) -> NDArray[np.float64] | None:
    """How strongly each cell is held free of haze, (cells,): by its cirrus."""
    if layers.cirrus is None or not valid.any():
        return None
    background = float(np.percentile(layers.cirrus[valid], 5))
    cirrus = _cells(np.where(valid, layers.cirrus - background, 0.0).astype(np.float32), np.median)
    none, some = _CIRRUS
    share = np.clip((cirrus - none) / (some - none), 0.0, 1.0)
    return np.asarray(10.0 ** (0.5 - 1.5 * share), np.float64)


def _haze_bound(
    layers: SceneLayers, valid: Mask, stretch: tuple[float, float], levels: Levels
) -> NDArray[np.float64] | None:
    """Upper bound of h in each cell, (cells,).

    Haze is about as bright in the near infrared as in colours, so the darkest pixels of a cell,
    mostly water, can't have more of it than they are bright.
    """
    if layers.nir is None:
        return None
    level = (layers.nir - stretch[0]) / (stretch[1] - stretch[0])
    level = np.where(valid, level, 1.0).astype(np.float32)
    darkest = _cells(level, lambda values, axis: np.percentile(values, 2, axis=axis))
    return np.clip(255.0 * darkest / levels.cloud + 0.03, 0.0, MAX_HAZE)


def _cells(values: Field, reduce: object) -> NDArray[np.float64]:
    """A statistic of each cell, row-major (cells,), from every fourth pixel."""
    rows, cols = (-(-n // CELL_PIXELS) for n in values.shape)
    pad = (rows * CELL_PIXELS - values.shape[0], cols * CELL_PIXELS - values.shape[1])
    padded = np.pad(values, ((0, pad[0]), (0, pad[1])), mode="edge")[::4, ::4]
    across = CELL_PIXELS // 4
    blocks = padded.reshape(rows, across, cols, across).swapaxes(1, 2).reshape(rows * cols, -1)
    return np.asarray(reduce(blocks, axis=1), np.float64)  # type: ignore[operator]


def clear_brightness(value: Image, valid: Mask, sky: Sky) -> Image:
    """V of each pixel as it would be under a clear sky, in the range of the pixel's class.

    Args:
        value: uint8 (H, W), V of the image that `estimate_sky` saw.
        valid: bool (H, W).
        sky: What was found.

    Returns:
        uint8 (H, W), 0 where there is no data.
    """
    cleared = np.zeros_like(value)
    _fill(value, valid, sky, cleared, None)
    return cleared


def clear_sky(rgb: Image, valid: Mask, sky: Sky) -> Image:
    """The image as it would be under a clear sky.

    Args:
        rgb: uint8 (H, W, 3), the image that `estimate_sky` saw.
        valid: bool (H, W).
        sky: What was found.

    Returns:
        uint8 (H, W, 3), 0 where there is no data. V is that of `clear_brightness`; hue is what is
        left when haze of the colour of the scene's brightest surfaces is taken away.
    """
    value = brightness(rgb)
    cleared = clear_brightness(value, valid, sky)
    color = _cloud_color(rgb, valid, sky.levels)
    result = np.zeros_like(rgb)
    _recolor(np.ascontiguousarray(rgb), value, cleared, sky.haze(), color, result)
    return result


def confidence(value: Image, valid: Mask, sky: Sky) -> Field:
    """How sure the class of each pixel is.

    Args:
        value: uint8 (H, W), V of the image that `estimate_sky` saw.
        valid: bool (H, W).
        sky: What was found.

    Returns:
        float32 (H, W), 0.5..1 where there is data, else 0: an estimate of the chance that the class
        is right, from the distance to the nearest limit between classes and from how much light
        was corrected.
    """
    sure = np.zeros(valid.shape, np.float32)
    _fill(value, valid, sky, None, sure)
    return sure


def _fill(value: Image, valid: Mask, sky: Sky, cleared: Image | None, sure: Field | None) -> None:
    kind = np.where(sky.size < _LEAST_SEGMENT, NO_KIND, sky.code).astype(np.int8)
    _clear(
        value,
        np.ascontiguousarray(valid),
        sky.segments.label,
        kind,
        sky.brightness.astype(np.float32),
        sky.cell_gain,
        sky.cell_haze,
        sky.levels,
        cleared,
        sure,
    )


def _cloud_color(rgb: Image, valid: Mask, levels: Levels) -> Field:
    """Colour of opaque cloud, float32 (3,): that of the scene's brightest surfaces."""
    sample, seen = rgb[::8, ::8], valid[::8, ::8]
    bright = sample[seen & (sample.max(axis=2) >= levels.bright)]
    color = bright.mean(axis=0, dtype=np.float64) if len(bright) else np.ones(3)
    return np.asarray(levels.cloud * color / color.max(), np.float32)


@compiled
def _clear(
    value: Image,
    valid: Mask,
    label: NDArray[np.int32],
    kind: NDArray[np.int8],
    segment_brightness: Field,
    cell_gain: Field,
    cell_haze: Field,
    levels: Levels,
    cleared: Image | None,
    sure: Field | None,
) -> None:
    """Decide the class of each pixel; fill `cleared` or `sure`."""
    height, width = valid.shape
    # Of a row: V under a clear sky, the share of light that comes through, the class, and whether
    # the segment has decided it. Most loops do one thing only, so that they are vectorised.
    real, through = np.empty(width, np.float32), np.empty(width, np.float32)
    decided, by_segment = np.empty(width, np.int8), np.empty(width, np.bool_)
    for y in range(height):
        _correct_row(value, y, cell_gain, cell_haze, levels, real, through)
        _decide_row(real, through, label[y // SCALE], kind, levels, decided, by_segment)
        if cleared is not None:
            _clamp_row(real, valid[y], decided, levels, cleared[y])
        if sure is not None:
            for x in range(width):
                if valid[y, x]:
                    own = segment_brightness[label[y // SCALE, x // SCALE]]
                    sure[y, x] = _sureness(real[x], through[x], own, by_segment[x], levels)


@compiled
def _correct_row(
    value: Image,
    y: int,
    cell_gain: Field,
    cell_haze: Field,
    levels: Levels,
    real: Field,
    through: Field,
) -> None:
    """Fill `real` and `through`, (W,), for row `y`.

    A row is gone through in pieces from one centre of cells to the next, over which both fields
    are straight lines; nothing else is done in the inner loop, so that it is vectorised.
    """
    rows, cols = cell_gain.shape
    cloud, one, middle = np.float32(levels.cloud), np.float32(1.0), CELL_PIXELS // 2
    upper = (y - middle) // CELL_PIXELS
    down = np.float32((y - middle + 0.5) / CELL_PIXELS - upper)
    lower, upper = min(upper + 1, rows - 1), max(upper, 0)
    for piece in range(cols + 1):
        before, after = max(piece - 1, 0), min(piece, cols - 1)
        gain0 = cell_gain[upper, before] * (one - down) + cell_gain[lower, before] * down
        gain1 = cell_gain[upper, after] * (one - down) + cell_gain[lower, after] * down
        haze0 = cell_haze[upper, before] * (one - down) + cell_haze[lower, before] * down
        haze1 = cell_haze[upper, after] * (one - down) + cell_haze[lower, after] * down
        first = (piece - 1) * CELL_PIXELS + middle
        start, stop = max(first, 0), min(first + CELL_PIXELS, len(real))
        if min(gain0, gain1) > _CLEAR_GAIN and max(haze0, haze1) < _CLEAR_HAZE:
            for x in range(start, stop):
                real[x], through[x] = value[y, x], one
            continue
        gain_step = (gain1 - gain0) / np.float32(CELL_PIXELS)
        haze_step = (haze1 - haze0) / np.float32(CELL_PIXELS)
        for x in range(start, stop):
            along = np.float32(x - first) + np.float32(0.5)
            gain, haze = gain0 + gain_step * along, haze0 + haze_step * along
            gain = one if gain > _CLEAR_GAIN else gain
            haze = np.float32(0.0) if haze < _CLEAR_HAZE else haze
            light = gain * (one - haze)
            through[x] = light
            real[x] = (np.float32(value[y, x]) - cloud * haze) / light


@compiled
def _decide_row(
    real: Field,
    through: Field,
    label: NDArray[np.int32],
    kind: NDArray[np.int8],
    levels: Levels,
    decided: NDArray[np.int8],
    by_segment: Mask,
) -> None:
    """Fill `decided` and `by_segment`, (W,).

    A pixel's own value decides, unless it is in doubt and its segment has a word.
    """
    dark, bright = np.float32(levels.dark), np.float32(levels.bright)
    one, half = np.float32(1.0), np.float32(0.5)
    for x in range(len(real)):
        doubt = min((one - through[x]) * _DOUBT_SLOPE, one)
        above_water = real[x] >= dark + half + _GIVE_DARK * doubt
        above_thin = real[x] > bright - half - _GIVE_BRIGHT * doubt
        decided[x] = np.int8(above_water) + np.int8(above_thin)
        by_segment[x] = False
    for x in range(len(real)):
        if through[x] == one:
            continue
        says = kind[label[x // SCALE]]
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
    """Fill `cleared`, (W,), with V in the range of its class."""
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
    real: float, through: float, segment_brightness: float, by_segment: bool, levels: Levels
) -> float:
    margin = min(abs(real - levels.dark - 0.5), abs(real - levels.bright + 0.5))
    if by_segment:
        # The mean of a segment says more than one of its pixels.
        own = segment_brightness
        margin = max(margin, min(abs(own - levels.dark), abs(own - levels.bright)))
    return 1.0 - 0.5 * math.exp(-(margin + 1.0) / (2.0 + 40.0 * (1.0 - through)))


@compiled
def _recolor(
    rgb: Image, value: Image, cleared: Image, haze: Field, color: Field, result: Image
) -> None:
    """Colours with a cleared V, without the colour of haze; fill `result`."""
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
                    # Nothing but haze is seen: a grey surface.
                    share = np.float32(1.0)
                result[y, x, band] = np.uint8(cleared[y, x] * share + np.float32(0.5))

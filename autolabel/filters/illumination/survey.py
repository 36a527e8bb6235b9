"""Gather what the illumination filter needs to know about a whole scene, strip by strip.

A survey has brightness at half resolution, the colour of the brightest surfaces, and one number
per cell from each other layer. So a scene of any size fits in memory. The filter's result doesn't
depend on how the scene is cut into strips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import MAX_HAZE
from autolabel.filters.illumination.patches import Infrared
from autolabel.filters.illumination.segments import CELL, SCALE, halve, without_specks
from autolabel.thresholds.brightness import brightness
from polynya.compiled import compiled
from polynya.scenes.scene import SceneLayers

CELL_PIXELS = CELL * SCALE
"""Width of a cell of the fields, in image pixels."""

_SAMPLE = 4
"""Statistics of a cell use one pixel in this many, in each direction."""
_SAMPLED = np.s_[::_SAMPLE, ::_SAMPLE]
_COLOR_SAMPLE = 8
"""The colours of bright surfaces and of ponds use one pixel in this many, in each direction."""
_DARKEST_PERCENT = 2.0
"""Percentile of a cell's near infrared that stands for its darkest surface."""

_POND_PART = 4
"""Blue minus red of melt ponds and wet ice is at least V divided by this. Ponds have 0.4 to 0.6 V
(Malinka et al. 2018, The Cryosphere 12, 1921). Grey ice and snow have less than 0.2, also in a
shadow."""
_SNOW_INDEX = 0.4
"""Least NDSI of snow: Hall, Riggs & Salomonson 1995, Remote Sens. Environ. 54, 127."""
_CLOUD_SWIR = 0.35
"""Short-wave infrared reflectance above which a surface that is not snow is opaque cloud."""
_MOST_MISSING = 0.01
"""Greatest share of pixels with data that may lack short waves, so that these tell the haze."""
_CIRRUS = (0.002, 0.012)
"""Cirrus-band reflectance above the scene's background: up to the first value there is no cirrus,
from the second on there surely is (as in the cirrus test of Sen2Cor's scene classification)."""
_CIRRUS_BACKGROUND_PERCENT = 5.0

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Strip:
    """Some rows of a scene, over its whole width."""

    rgb: Image
    """uint8 (H, W, 3)."""
    value: Image
    """uint8 (H, W), V of the colours."""
    valid: Mask
    """bool (H, W)."""
    layers: SceneLayers | None
    """Layers of these rows."""
    stretch: tuple[float, float]
    """Reflectances of grey levels 0 and 255, to compare `layers` with the image."""
    opaque: Mask | None
    """bool (H, W), cloud that hides the ground completely (`opaque_cloud`)."""

    @classmethod
    def of(
        cls,
        rgb: Image,
        valid: Mask,
        layers: SceneLayers | None = None,
        stretch: tuple[float, float] = (0.0, 1.0),
        value: Image | None = None,
    ) -> Strip:
        """Make a strip: find its opaque cloud, and V unless `value` gives it."""
        value = brightness(rgb) if value is None else value
        return cls(rgb, value, valid, layers, stretch, opaque_cloud(rgb, layers, stretch))


@dataclass(frozen=True)
class Survey:
    """What the filter knows about a scene of H x W pixels; cells are numbered row by row."""

    shape: tuple[int, int]
    """H, W."""
    half: Image
    """(ceil(H / 2), ceil(W / 2)), V; 0 where there is no data or opaque cloud."""
    swir: Image | None
    """(ceil(H / 2), ceil(W / 2)), short-wave infrared in grey levels of the image; None without
    that layer, or where it lacks a part of the scene."""
    ponds: Floats
    """(cells,), share of pixels that are as blue as melt water, 0..1."""
    sun: tuple[float, float] | None
    """Direction towards the sun over the image (`SceneLayers.sun`); None if it is unknown."""
    white: NDArray[np.float64] | None
    """(3,), mean colour of the brightest surfaces; None if no surface is bright enough."""
    nir: Floats | None
    """(cells,), darkest near infrared of each cell, reflectance; None without that layer."""
    cirrus: Floats | None
    """(cells,), median cirrus reflectance of each cell, NaN without data; None without that
    layer."""
    means: Floats | None
    """(3, cells), mean near and short-wave infrared (reflectance) and V of each cell, NaN without
    data; None without these layers."""

    def infrared(self, stretch: tuple[float, float]) -> Infrared | None:
        """Return the infrared of the cells in grey levels; None without these layers."""
        if self.means is None:
            return None
        nir, swir = 255.0 * (self.means[:2] - stretch[0]) / (stretch[1] - stretch[0])
        return Infrared(nir, swir, self.means[2])

    def haze_prior(self) -> Floats | None:
        """Return how strongly each cell is held free of haze, by its cirrus: (cells,).

        1 is the strength without a cirrus layer.
        """
        if self.cirrus is None or np.isnan(self.cirrus).all():
            return None
        background = np.nanpercentile(self.cirrus, _CIRRUS_BACKGROUND_PERCENT)
        none, some = _CIRRUS
        above = np.nan_to_num(self.cirrus - background)
        share = np.clip((above - none) / (some - none), 0.0, 1.0)
        return np.asarray(10.0 ** (0.5 - 1.5 * share), np.float64)

    def most_haze(self, levels: Levels, stretch: tuple[float, float]) -> Floats | None:
        """Return the upper bound of haze opacity in each cell, (cells,).

        Haze is about as bright in the near infrared as in colours. So the brightness of a cell's
        darkest pixels, mostly water, limits the haze over the cell.
        """
        if self.nir is None:
            return None
        level = 255.0 * (self.nir - stretch[0]) / (stretch[1] - stretch[0])
        return np.clip(level / levels.cloud + 0.03, 0.0, MAX_HAZE)


def survey_scene(strips: Iterable[Strip], shape: tuple[int, int], levels: Levels) -> Survey:
    """Gather the survey of a scene from its strips.

    Args:
        strips: Strips from top to bottom; each but the last has a multiple of 32 rows.
        shape: Height and width of the scene.
        levels: Brightness of the classes.
    """
    size = (-(-shape[0] // SCALE), -(-shape[1] // SCALE))
    half, seen = np.empty(size, np.uint8), np.empty(size, np.bool_)
    swir: list[Image] = []
    pixels, missing = 0, 0
    total, count = np.zeros(3), 0
    nir: list[Floats] = []
    cirrus: list[Floats] = []
    means: list[Floats] = []
    ponds: list[Floats] = []
    top, sun = 0, None
    for strip in strips:
        sun = sun if strip.layers is None else strip.layers.sun
        rows = slice(top, top + -(-strip.value.shape[0] // SCALE))
        unhidden = strip.valid if strip.opaque is None else strip.valid & ~strip.opaque
        half[rows], seen[rows] = halve(strip.value, unhidden)
        if strip.layers is not None and strip.layers.swir is not None:
            swir.append(_half_level(strip.layers.swir, strip.stretch))
        top = rows.stop
        colors = strip.rgb[::_COLOR_SAMPLE, ::_COLOR_SAMPLE]
        bright = strip.valid[::_COLOR_SAMPLE, ::_COLOR_SAMPLE]
        bright = bright & (strip.value[::_COLOR_SAMPLE, ::_COLOR_SAMPLE] >= levels.bright)
        total += colors[bright].sum(axis=0, dtype=np.float64)
        count += int(bright.sum())
        ponds.append(_pond_share(strip, levels))
        if strip.layers is None:
            continue
        layers = strip.layers
        if layers.nir is not None:
            few_nir = _sampled(layers.nir, strip.valid)
            nir.append(_by_cell(np.nan_to_num(few_nir, nan=strip.stretch[1]), _darkest))
        if layers.swir is not None:
            few_swir = _sampled(layers.swir, strip.valid)
            pixels += int(strip.valid[_SAMPLED].sum())
            missing += int((few_swir == 0.0).sum())
        if layers.nir is not None and layers.swir is not None:
            bands = (few_nir, few_swir, _sampled(strip.value, strip.valid))
            means.append(np.stack([_by_cell(band, _mean) for band in bands]))
        if layers.cirrus is not None:
            cirrus.append(_by_cell(_sampled(layers.cirrus, strip.valid), _middle))
    return Survey(
        shape=shape,
        half=without_specks(half, seen),
        swir=np.concatenate(swir) if swir and missing <= _MOST_MISSING * pixels else None,
        ponds=np.concatenate(ponds),
        sun=sun,
        white=total / count if count else None,
        nir=np.concatenate(nir) if nir else None,
        cirrus=np.concatenate(cirrus) if cirrus else None,
        means=np.concatenate(means, axis=1) if means else None,
    )


def opaque_cloud(
    rgb: Image, layers: SceneLayers | None, stretch: tuple[float, float]
) -> Mask | None:
    """Find cloud that hides the ground completely, from layers and not from brightness.

    Args:
        rgb: uint8 (H, W, 3).
        layers: Layers of the same pixels. Used are the product's own clouds and the short-wave
            infrared, in which cloud is bright and snow is dark.
        stretch: Reflectances of grey levels 0 and 255.

    Returns:
        bool (H, W); None if there is none.
    """
    if layers is None:
        return None
    opaque = layers.opaque_cloud
    if opaque is not None and not opaque.any():
        opaque = None
    if layers.swir is None:
        return opaque
    bright = np.asarray(layers.swir > _CLOUD_SWIR, np.bool_)
    if not bright.any():  # Few scenes have any, and few pixels are.
        return opaque
    swir = layers.swir[bright]
    green = stretch[0] + rgb[..., 1][bright] * np.float32((stretch[1] - stretch[0]) / 255.0)
    snow_index = (green - swir) / np.maximum(green + swir, np.float32(1e-6))
    bright[bright] = snow_index < _SNOW_INDEX
    return bright if opaque is None else opaque | bright


def _half_level(band: NDArray[np.float32], stretch: tuple[float, float]) -> Image:
    """Return a band in grey levels of the image at half resolution, uint8; NaN becomes 0."""
    factor = 255.0 / (stretch[1] - stretch[0])
    return _half_numbers(np.ascontiguousarray(band), stretch[0], factor)


@compiled
def _half_numbers(band: NDArray[np.float32], low: float, factor: float) -> Image:
    height, width = band.shape
    half = np.empty(((height + 1) // 2, (width + 1) // 2), np.uint8)
    for row in range(half.shape[0]):
        top, bottom = 2 * row, min(2 * row + 1, height - 1)
        for column in range(half.shape[1]):
            left, right = 2 * column, min(2 * column + 1, width - 1)
            total = band[top, left] + band[top, right] + band[bottom, left] + band[bottom, right]
            level = (0.25 * total - low) * factor
            half[row, column] = np.uint8(np.rint(min(level, 255.0))) if level > 0.0 else 0
    return half


def _pond_share(strip: Strip, levels: Levels) -> Floats:
    """Return the share of pixels of each cell that are as blue as melt water, (cells,)."""
    few = np.s_[::_COLOR_SAMPLE, ::_COLOR_SAMPLE]
    red, blue = (strip.rgb[few][..., band].astype(np.int16) for band in (0, 2))
    value = strip.value[few]
    # Water without ice below is dark, and its hue is noise.
    wet = ((blue - red) * _POND_PART > value) & (value > levels.dark + 15) & strip.valid[few]
    return _by_cell(wet.astype(np.float32), _mean, _COLOR_SAMPLE)


def _darkest(blocks: NDArray[np.float32]) -> Floats:
    # As `np.percentile`, which takes twice as long.
    ordered = np.sort(blocks, axis=1).astype(np.float64)
    place = 0.01 * _DARKEST_PERCENT * (ordered.shape[1] - 1)
    below = int(place)
    return ordered[:, below] + (place - below) * (ordered[:, below + 1] - ordered[:, below])


@compiled
def _sampled(values: NDArray[np.generic], valid: Mask) -> NDArray[np.float32]:
    """Take one pixel in `_SAMPLE` in each direction; NaN where there is no data."""
    rows, cols = -(-values.shape[0] // _SAMPLE), -(-values.shape[1] // _SAMPLE)
    few = np.full((rows, cols), np.nan, np.float32)
    for row in range(rows):
        for col in range(cols):
            if valid[row * _SAMPLE, col * _SAMPLE]:
                few[row, col] = values[row * _SAMPLE, col * _SAMPLE]
    return few


@compiled
def _mean(blocks: NDArray[np.float32]) -> Floats:
    """Mean of the values that are not NaN; NaN if all are NaN."""
    means = np.full(len(blocks), np.nan)
    for number in range(len(blocks)):
        total, count = 0.0, 0
        for value in blocks[number]:
            if np.isfinite(value):
                total += value
                count += 1
        if count:
            means[number] = total / count
    return means


def _middle(blocks: NDArray[np.float32]) -> Floats:
    """Median of the values that are not NaN; NaN if all are NaN."""
    ordered = np.sort(blocks, axis=1)  # NaN goes last.
    count = (~np.isnan(ordered)).sum(axis=1)
    rows = np.arange(len(ordered))
    last = np.maximum(count - 1, 0)
    middle = 0.5 * (ordered[rows, last // 2] + ordered[rows, np.minimum((last + 1) // 2, last)])
    return np.asarray(np.where(count > 0, middle, np.nan), np.float64)


def _by_cell(
    samples: NDArray[np.float32],
    statistic: Callable[[NDArray[np.float32]], Floats],
    every: int = _SAMPLE,
) -> Floats:
    """Compute a statistic of each cell, row by row: (cells,).

    Args:
        samples: (H, W), one pixel in `every`, in each direction.
        statistic: Takes (cells, samples).
        every: See `samples`.
    """
    across = CELL_PIXELS // every
    rows, cols = (-(-n // across) for n in samples.shape)
    pad = (rows * across - samples.shape[0], cols * across - samples.shape[1])
    padded = cv2.copyMakeBorder(samples, 0, pad[0], 0, pad[1], cv2.BORDER_REPLICATE)
    blocks = np.ascontiguousarray(padded).reshape(rows, across, cols, across)
    return statistic(blocks.swapaxes(1, 2).reshape(rows * cols, -1))

"""Tiles whose elevation doesn't fit their image, where that of other tiles does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of

_EDGE = 128
"""Longest side of the images that are compared; larger tiles are thinned."""
_WATER_SHARES = 0.03, 0.97
"""A coast tells where a tile is; all water or all land doesn't."""
_LEAST_TILES = 5
"""So many tiles with a coast tell how well elevation and image usually agree."""
_USUAL = 0.4
"""Least usual correlation; below it elevation and image of this set can't be compared."""
_FAR_BELOW = 0.3
"""A tile whose elevation is of another place is this far below the usual correlation."""
_CLEAR = 0.87
"""Least contrast of an image in which a coast must be seen. It is 0.64 for normally distributed
values, 0.75 for evenly distributed ones, and 1 for two values."""
_GAIN = 0.15
"""A tile whose elevation is moved gains so much by moving it back ..."""
_BELOW = 0.2
"""... and is then at most this far below the usual correlation."""
_LEAST_MOVE = 4
"""Least move in pixels that counts."""


@dataclass(frozen=True)
class Fit:
    """How well the water of the elevation agrees with the dark pixels of the image."""

    still: float
    """Correlation as it is, -1..1."""
    moved: float
    """Greatest correlation after moving the elevation."""
    down: int
    """Rows by which the elevation must move for it, in pixels of the tile."""
    right: int
    """Columns by which the elevation must move for it, in pixels of the tile."""
    contrast: float
    """Share of the image's variance between its bright and its dark pixels, 0..1."""


def water_index(values: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.float32] | None:
    """Image in which water is bright: NDWI, the negative of an infrared band, or of the first band.

    NDWI = (green - nir) / (green + nir), McFeeters 1996, https://doi.org/10.1080/01431169608948714.

    Args:
        values: float32 (B, H, W), NaN where missing.
        bands: Names of the B bands.

    Returns:
        float32 (H, W); None if there is no band.
    """
    place = {band: number for number, band in enumerate(bands)}
    if "green" in place and "nir" in place:
        green, nir = values[place["green"]], values[place["nir"]]
        total = green + nir
        return np.divide(green - nir, total, out=np.zeros_like(total), where=np.abs(total) > 1e-9)
    known = ("swir16", "swir22", "swir", "nir", "nir08", *bands)
    return next((-values[place[name]] for name in known if name in place), None)


def contrast(values: NDArray[np.float32]) -> float:
    """Share of the variance that lies between the two sides of the best threshold, 0..1.

    Otsu 1979, https://doi.org/10.1109/TSMC.1979.4310076: the measure of separability.

    Args:
        values: (n,), not all equal.
    """
    ordered = np.sort(values.astype(np.float64))
    below = np.arange(1, len(ordered)) / len(ordered)
    mean_below = np.cumsum(ordered)[:-1] / len(ordered)
    between = (ordered.mean() * below - mean_below) ** 2 / (below * (1 - below))
    return float(between.max() / ordered.var())


def fit_of(water: NDArray[np.bool_], index: NDArray[np.float32]) -> Fit | None:
    """Correlate water by elevation with water by the image, still and moved by up to an 1/4 edge.

    All moves at once by the Fourier transform of both images, each less its mean and divided by its
    standard deviation.

    Args:
        water: bool (H, W), elevation at or below 0.
        index: float32 (H, W), `water_index`; NaN where missing.

    Returns:
        None if there is no coast, or if the image has one value.
    """
    step = -(-max(water.shape) // _EDGE)
    water, index = water[::step, ::step], index[::step, ::step]
    known = ~np.isnan(index)
    if known.mean() < 0.5 or not _WATER_SHARES[0] < water[known].mean() < _WATER_SHARES[1]:
        return None
    # Ranks would be safer against glints; clipping does the same for less.
    low, high = np.percentile(index[known], (2, 98))
    if not low < high:
        return None
    first = np.where(known, water - water[known].mean(), 0)
    clipped = np.clip(index, low, high)
    second = np.where(known, clipped - clipped[known].mean(), 0)
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    shape = [2 * edge for edge in water.shape]
    product = np.fft.rfft2(second, shape) * np.conj(np.fft.rfft2(first, shape))
    found = np.fft.irfft2(product, shape) / scale
    reach = [edge // 4 for edge in water.shape]
    found = np.roll(found, reach, axis=(0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    best = np.unravel_index(found.argmax(), found.shape)
    down, right = ((int(b) - r) * step for b, r in zip(best, reach, strict=True))
    # What moves out of the image can't correlate.
    overlap = (1 - abs(down) / step / water.shape[0]) * (1 - abs(right) / step / water.shape[1])
    return Fit(
        float(found[reach[0], reach[1]]),
        float(found.max() / overlap),
        down,
        right,
        contrast(clipped[known]),
    )


def measure(tile: TilePixels, facts: Facts) -> Fit | None:
    """Compare elevation and image of a tile; None if there is nothing to compare."""
    elevation, light = bands_of(facts, "elevation"), bands_of(facts, "image")
    if not elevation or not light:
        return None
    index = water_index(tile.values[light], [facts.bands[number] for number in light])
    if index is None:
        return None
    # Clouds hide the coast.
    hidden = (np.nan_to_num(tile.values[bands_of(facts, "mask")]) > 0).any(axis=0)
    height = tile.values[elevation[0]]
    return fit_of(np.nan_to_num(height) <= 0, np.where(hidden, np.nan, index))


def judge(facts: Facts, measures: Sequence[Fit | None]) -> list[Found]:
    """Report tiles whose elevation agrees far less with their image than that of the others."""
    fits = [(tile, fit) for tile, fit in enumerate(measures) if fit is not None]
    if len(fits) < _LEAST_TILES:
        return []
    usual = float(np.median([fit.still for _, fit in fits]))
    if usual < _USUAL:
        return []
    found = []
    for tile, fit in fits:
        told = f"correlation {fit.still:.2f}, usual {usual:.2f}"
        is_moved = max(abs(fit.down), abs(fit.right)) >= _LEAST_MOVE
        fits_then = fit.moved > max(fit.still + _GAIN, usual - _BELOW)
        if is_moved and fits_then:
            better = f"{fit.moved:.2f} if it moves {fit.down} rows and {fit.right} columns"
            found.append(Found(tile, f"{told}; {better}"))
        elif fit.still < usual - _FAR_BELOW and fit.contrast > _CLEAR:
            found.append(Found(tile, told))
    return found


CHECK = Check(
    "misaligned",
    "Elevation that doesn't fit the image",
    "Where the elevation says water, the image shows none, although both agree in most tiles of"
    " this set: the elevation is moved, or of another place.",
    "Take the elevation of these tiles from its source again, or drop them.",
    judge,
    measure,
)

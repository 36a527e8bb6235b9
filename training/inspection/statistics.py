"""Statistics of band values, added up tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.shards.dataset import ShardSet

BINS = 64
"""Bins of a histogram."""
_EDGE = 128
"""Of tiles with longer sides, every second, third ... pixel in both directions counts for means,
deviations and histograms. Least and greatest values are those of all pixels."""
_OUTER = 0.02
"""Share of the tiles whose least or greatest values may lie outside of a histogram."""

Array = NDArray[np.float64]


@dataclass
class BandSums:
    """Statistics of the B bands of some tiles; values outside the range are in the outer bins."""

    ranges: Array
    """(B, 2), ends of the histograms."""
    tiles: int = 0
    pixels: int = 0
    """Pixels that were looked at, with and without data."""

    def __post_init__(self) -> None:
        """Begin without any tile."""
        bands = len(self.ranges)
        self.count: Array = np.zeros(bands)
        """(B,), pixels with data."""
        self.mean: Array = np.zeros(bands)
        """(B,)"""
        self.square: Array = np.zeros(bands)
        """(B,), sums of squared differences from the mean."""
        self.minimum: Array = np.full(bands, np.nan)
        """(B,), NaN without data."""
        self.maximum: Array = np.full(bands, np.nan)
        """(B,), NaN without data."""
        self.histogram: NDArray[np.int64] = np.zeros((bands, BINS), np.int64)
        """(B, BINS)"""

    @property
    def deviation(self) -> Array:
        """(B,), standard deviations."""
        return np.sqrt(self.square / np.maximum(self.count, 1))

    @property
    def missing(self) -> Array:
        """(B,), share of pixels without data."""
        return 1 - self.count / max(self.pixels, 1)

    def add(self, values: NDArray[np.float32]) -> None:
        """Add a tile, float32 (B, H, W) with NaN where missing."""
        step = -(-max(values.shape[1:]) // _EDGE)
        whole = values.reshape(len(values), -1)
        thin = values[:, ::step, ::step].reshape(len(values), -1)
        there = ~np.isnan(thin)
        count = there.sum(axis=1).astype(np.float64)
        filled = np.where(there, thin, 0).astype(np.float64)
        mean = filled.sum(axis=1) / np.maximum(count, 1)
        square = (np.where(there, thin - mean[:, None], 0) ** 2).sum(axis=1)
        low, high = self.ranges[:, :1], self.ranges[:, 1:]
        bins = np.clip((filled - low) / (high - low) * BINS, 0, BINS - 1).astype(np.int64)
        bins += np.arange(len(values))[:, None] * BINS
        histogram = np.bincount(bins[there], minlength=self.histogram.size)
        self._join(count, mean, square)
        self.minimum = np.fmin(self.minimum, np.fmin.reduce(whole, axis=1))
        self.maximum = np.fmax(self.maximum, np.fmax.reduce(whole, axis=1))
        self.histogram += histogram.reshape(self.histogram.shape)
        self.tiles, self.pixels = self.tiles + 1, self.pixels + thin.shape[1]

    def merge(self, other: BandSums) -> None:
        """Add the tiles of other sums with the same ranges."""
        self._join(other.count, other.mean, other.square)
        self.minimum = np.fmin(self.minimum, other.minimum)
        self.maximum = np.fmax(self.maximum, other.maximum)
        self.histogram += other.histogram
        self.tiles, self.pixels = self.tiles + other.tiles, self.pixels + other.pixels

    def quantiles(self, share: float) -> Array:
        """(B,), values below which a share of the pixels lies, linear within a bin."""
        below = np.cumsum(self.histogram, axis=1)
        wanted = share * below[:, -1]
        bins = np.minimum((below < wanted[:, None]).sum(axis=1), BINS - 1)
        rows = np.arange(len(bins))
        inside = self.histogram[rows, bins]
        within = (wanted - (below[rows, bins] - inside)) / np.maximum(inside, 1)
        low, high = self.ranges.T
        found = low + (bins + np.clip(within, 0, 1)) / BINS * (high - low)
        return np.fmin(np.fmax(found, self.minimum), self.maximum)

    def _join(self, count: Array, mean: Array, square: Array) -> None:
        """Merge means and squares: Chan, Golub and LeVeque 1979, Stanford STAN-CS-79-773."""
        total = self.count + count
        shift = mean - self.mean
        share = count / np.maximum(total, 1)
        self.square += square + shift**2 * self.count * share
        self.mean += shift * share
        self.count = total


def value_ranges(shards: ShardSet) -> Array:
    """Find ends for the histograms of the bands from the statistics that shards keep of each tile.

    Few tiles with extreme values don't widen them. Colours have 0 to 255.

    Returns:
        float64 (B, 2), each with a first value below the second.
    """
    bands = len(shards.bands)
    if shards.recipe.scene.sees_colors:
        return np.tile([0.0, 256.0], (bands, 1))
    found = []
    for name in sorted({name for names in shards.files.values() for name in names}):
        try:
            with pq.ParquetFile(shards.folder.open(name)) as file:
                table = file.read(["band_minima", "band_maxima"], use_threads=False)
        except (OSError, pa.ArrowException):
            continue  # The check of corrupt tiles reports it.
        found += [row for row in table.to_pylist() if all(row.values())]
    ranges = np.tile([0.0, 1.0], (bands, 1))
    for band in range(bands):
        least, greatest = (
            [row[side][band] for row in found if row[side][band] is not None]
            for side in ("band_minima", "band_maxima")
        )
        if least and greatest:
            ends = np.quantile(least, _OUTER), np.quantile(greatest, 1 - _OUTER)
            ranges[band] = ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[0] + 0.5)
    return ranges

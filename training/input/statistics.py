"""Statistics of bands and indices over the training tiles, for the scaling within a model.

Each rank reads its part of the tiles. The sums of all tiles are added in the order of the tiles, so
the result is the same to the last bit for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.progress import track
from training.input.batches import PADDING, BatchSource, in_batches
from training.models.features import FeaturePlan, FeatureStatistics
from training.ranks.agreement import gather_results
from training.ranks.port import Collective

_TILES_AT_ONCE = 16
_BINS = 2**16
"""Number of bins of the histogram for quantiles: as fine as 16-bit numbers."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _TileSums:
    """Sums over the finite values of each tile and feature, (N, F)."""

    count: Array
    mean: Array
    square: Array
    """Sum of squared differences from the tile's own mean."""
    minimum: Array
    maximum: Array


def find_statistics(
    source: BatchSource, plan: FeaturePlan, collective: Collective
) -> FeatureStatistics:
    """Compute statistics of all valid pixels of all tiles. Every rank must call it.

    Args:
        source: The training tiles.
        plan: Bands, indices and quantiles.
        collective: The ranks.

    Raises:
        ShardError: A feature has no value anywhere, or tiles can't be read. Every rank raises it.
    """
    first, past = (
        len(source) * rank // collective.size for rank in (collective.rank, collective.rank + 1)
    )
    read = partial(_features, source, plan, np.arange(first, past), collective.rank == 0)
    # A rank without any tile has nothing to add.
    parts = [part for part in gather_results(collective, lambda: _sums_of(read())) if part]
    sums = _TileSums(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    count = sums.count.sum(axis=0)
    _check_some(count, plan)
    mean = (sums.count * sums.mean).sum(axis=0) / count
    spread = (sums.square + sums.count * (sums.mean - mean) ** 2).sum(axis=0)
    minimum, maximum = np.nanmin(sums.minimum, axis=0), np.nanmax(sums.maximum, axis=0)
    low, high = minimum, maximum
    if plan.scaling == "quantile":
        histograms = gather_results(collective, lambda: _histogram(read(), minimum, maximum))
        found = np.sum(histograms, axis=0)
        low, high = (_quantile(found, share, minimum, maximum) for share in plan.options.quantiles)
    return FeatureStatistics(mean, np.sqrt(spread / count), minimum, maximum, low, high)


def _check_some(count: Array, plan: FeaturePlan) -> None:
    for name, pixels in zip(plan.names, count, strict=True):
        if pixels == 0:
            raise ShardError(
                f"'{name}' has not one valid value in the training tiles, so there is nothing to"
                " scale it by; leave it out of the recipe's keys 'scene.inputs' and"
                " 'features.indices'."
            )


def _features(
    source: BatchSource, plan: FeaturePlan, own: NDArray[np.int64], show: bool
) -> Iterator[Array]:
    """Compute features of some tiles, (B, pixels, F): NaN where missing."""
    batches = in_batches(own, _TILES_AT_ONCE)
    seen = zip(batches, source.batches(batches), strict=True)
    for indices, (images, _) in track(seen, "Finding statistics", len(batches), enabled=show):
        raw = keras.ops.convert_to_numpy(plan.raw(keras.ops.cast(images, "float32")))
        values = raw[indices != PADDING].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        yield values.reshape(len(values), -1, values.shape[-1])


def _sums_of(batches: Iterator[Array]) -> tuple[Array, ...]:
    found: list[tuple[Array, ...]] = []
    for values in batches:
        there = ~np.isnan(values)
        count = there.sum(axis=1).astype(np.float64)
        mean = np.nansum(values, axis=1) / np.maximum(count, 1)
        square = np.nansum((values - mean[:, None]) ** 2, axis=1)
        extremes = (reduce(values, axis=1) for reduce in (np.fmin.reduce, np.fmax.reduce))
        found.append((count, mean, square, *extremes))
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))


def _histogram(batches: Iterator[Array], minimum: Array, maximum: Array) -> NDArray[np.int64]:
    """Count pixels in equal bins from minimum to maximum of each feature, (F, bins)."""
    counts = np.zeros((len(minimum), _BINS), np.int64)
    for values in batches:
        for feature, (low, high) in enumerate(zip(minimum, maximum, strict=True)):
            of_feature = values[..., feature]
            finite = of_feature[~np.isnan(of_feature)]
            counts[feature] += np.histogram(finite, _BINS, (low, max(high, low + 1e-12)))[0]
    return counts


def _quantile(histogram: NDArray[np.int64], share: float, minimum: Array, maximum: Array) -> Array:
    """Find a quantile, linear within a bin: exact to the width of one bin."""
    below = np.cumsum(histogram, axis=1)
    wanted = share * below[:, -1:]
    bins = (below < wanted).sum(axis=1)
    rows = np.arange(len(bins))
    before = below[rows, bins] - histogram[rows, bins]
    within = (wanted[:, 0] - before) / np.maximum(histogram[rows, bins], 1)
    place: Any = (bins + np.clip(within, 0.0, 1.0)) / _BINS
    return np.asarray(minimum + place * (maximum - minimum), np.float64)

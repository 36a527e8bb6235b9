"""Draws the training tiles of an epoch by weights, the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.sampling import BalancedOptions, EachOptions, SamplingOptions
from polynya.shards.dataset import ShardSet
from training.input.batches import BatchSource, rank_batches
from training.input.split import Split
from training.input.tile_features import read_counts, read_features, weighted_features

Floats = NDArray[np.float64]

_STREAM = 1
"""Tells the random numbers of draws from those of orders (`batches.epoch_order`)."""


def balanced_weights(class_counts: NDArray[np.int64]) -> Floats:
    """Weigh tiles so that all classes are drawn equally often.

    A weight is the probability of a tile if a class is drawn first, all with the same probability,
    and then one of its tiles in proportion to the tile's pixels of the class.

    Args:
        class_counts: int64 (N, C), pixels of each class.

    Returns:
        (N,), with the sum 1; all equal if no tile has a class.
    """
    totals = class_counts.sum(axis=0)
    there = class_counts[:, totals > 0] / totals[totals > 0]
    if not there.size:
        return np.full(len(class_counts), 1 / len(class_counts))
    return np.asarray(there.mean(axis=1))


def draw(weights: Floats, samples: int, *, epoch: int, seed: int) -> NDArray[np.int64]:
    """Draw tiles with replacement, with probabilities in proportion to weights.

    Args:
        weights: (N,), 0 or more; some are more than 0.
        samples: Number of tiles to draw.
        epoch: Number of the epoch, from 0.
        seed: Seed of the random numbers.

    Returns:
        int64 (samples,), 0..N-1, equal on every rank.
    """
    rng = np.random.default_rng([seed, epoch, _STREAM])
    return rng.choice(len(weights), samples, p=weights / weights.sum())


class SampledTiles:
    """Tiles that are drawn anew for each epoch (`training.input.batches.BatchSource`).

    Args:
        tiles: The tiles to draw from; they must be readable in any order.
        weights: (N,), 0 or more.
        samples: Number of tiles in an epoch.
    """

    def __init__(self, tiles: BatchSource, weights: Floats, samples: int) -> None:
        self._tiles = tiles
        self._weights = weights
        self._samples = samples

    def __len__(self) -> int:
        """Number of tiles in an epoch."""
        return self._samples

    def epoch_indices(
        self,
        *,
        epoch: int,
        seed: int,
        shuffle: bool,
        batch_size: int,
        rank: int,
        size: int,
        seen: int = 0,
    ) -> NDArray[np.int64]:
        """See `BatchSource`, but tiles may come several times or not at all.

        All ranks together see the same tiles equally often, for any number of ranks. A draw has no
        order, so `shuffle` has no effect.
        """
        order = draw(self._weights, self._samples, epoch=epoch, seed=seed)
        return rank_batches(order[seen:], batch_size=batch_size, rank=rank, size=size)

    def batches(self, indices: NDArray[np.int64]) -> Iterable[tuple[Any, Any]]:
        """See `BatchSource`."""
        return self._tiles.batches(indices)


def find_weights(shards: ShardSet, split: Split, options: SamplingOptions) -> Floats | None:
    """Find the weights of the training tiles; None if each is seen once an epoch.

    Returns:
        (N,), in the order of the training tiles.

    Raises:
        ShardError: A file is missing or damaged.
    """
    if isinstance(options, EachOptions):
        return None
    own = slice(None) if split.training_tiles is None else list(split.training_tiles)
    if isinstance(options, BalancedOptions):
        return balanced_weights(read_counts(shards, split.training)[0][own])
    features = read_features(shards, split.training, options)
    return weighted_features({k: v[own] for k, v in features.items()}, options.weights)


def sampled(tiles: BatchSource, weights: Floats | None, options: SamplingOptions) -> BatchSource:
    """Make the source of an epoch's tiles from all training tiles and their weights."""
    if weights is None or isinstance(options, EachOptions):
        return tiles
    return SampledTiles(tiles, weights, options.samples or len(tiles))

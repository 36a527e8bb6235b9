"""From tiles to batches: which rank sees which tile in which step.

All ranks share one order of the tiles per epoch. Global batch k is the tiles
k * size * batch .. (k + 1) * size * batch - 1 of this order, and rank r takes the r-th slice of the
global batch. So two ranks with 16 tiles each see the same tiles as one rank with 32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

PADDING = -1
"""Index of empty tiles that fill up the last batch. They have no image and no label, so they add
nothing to any sum."""
TENSOR_ALIGNMENT = 64
"""Alignment in bytes. TensorFlow ends the process if memory doesn't start at a multiple of it."""
PREFETCHED = 2
"""Number of batches that are prepared while an earlier step runs."""


def epoch_order(tiles: int, *, epoch: int, seed: int, shuffle: bool) -> NDArray[np.int64]:
    """Compute the order of all tiles in one epoch, equal on every rank; int64 (tiles,)."""
    if not shuffle:
        return np.arange(tiles)
    return np.random.default_rng([seed, epoch]).permutation(tiles)


def rank_batches(
    order: NDArray[np.int64], *, batch_size: int, rank: int, size: int
) -> NDArray[np.int64]:
    """Find the indices of the tiles of one rank.

    Args:
        order: int64 (N,), from `epoch_order`.
        batch_size: Tiles per rank and step.
        rank: This rank.
        size: Number of ranks.

    Returns:
        int64 (steps, batch_size); every rank has the same number of steps. The last global batch is
        filled up with `PADDING`.
    """
    steps = steps_per_epoch(len(order), batch_size=batch_size, size=size)
    filled = np.full(steps * size * batch_size, PADDING, np.int64)
    filled[: len(order)] = order
    return filled.reshape(steps, size, batch_size)[:, rank]


def steps_per_epoch(tiles: int, *, batch_size: int, size: int) -> int:
    """Count the global batches that hold all tiles; the last batch may be filled up."""
    return -(-tiles // (batch_size * size))


def in_batches(indices: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Cut indices into batches, int64 (steps, batch_size); the last batch is filled up."""
    return rank_batches(indices, batch_size=batch_size, rank=0, size=1)


class BatchSource(Protocol):
    """Tiles 0..N-1 in batches, either all in memory or read on demand."""

    def __len__(self) -> int: ...

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
        """List the tiles that one rank sees in an epoch.

        No rank sees a tile twice, and all ranks together see every tile.

        Args:
            epoch: Number of the epoch, from 0.
            seed: Seed of the order.
            shuffle: Use a new order in each epoch; else the order of the shards.
            batch_size: Tiles per rank and step.
            rank: This rank.
            size: Number of ranks.
            seen: Number of tiles of this epoch that all ranks together have already seen. The
                result starts after these tiles.

        Returns:
            int64 (steps, batch_size) for `batches`; every rank has the same number of steps.
        """
        ...

    def batches(self, indices: NDArray[np.int64]) -> Iterable[tuple[Any, Any]]:
        """Make batches to iterate over, once or more.

        Args:
            indices: int64 (steps, batch), indices of tiles or `PADDING`.

        Returns:
            Pairs of images (batch, H, W, bands), uint8 colours or float32 values with NaN where
            missing, and uint8 (batch, H, W).

        Raises:
            ShardError: A tile can't be read; raised during iteration.
        """
        ...


class TileSource:
    """Tiles in memory, or in a memory-mapped file (`BatchSource`).

    Args:
        images: uint8 or float32 (M, H, W, bands), in C order. They are not copied if they start at
            a multiple of `TENSOR_ALIGNMENT`.
        labels: uint8 (M, H, W), class codes or `nodata`.
        nodata: Code for the labels of padding.
        threads: Number of threads that gather batches.
        chosen: int64 (N,), indices in 0..M-1 of the tiles 0..N-1; None for all.
    """

    def __init__(
        self,
        images: NDArray[Any],
        labels: NDArray[np.uint8],
        *,
        nodata: int,
        threads: int,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self._images = images
        self._labels = labels
        self._chosen = np.arange(len(labels)) if chosen is None else chosen
        self._nodata = nodata
        self._threads = threads

    def __len__(self) -> int:
        return len(self._chosen)

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
        """See `BatchSource`. Global batches don't depend on the number of ranks."""
        order = epoch_order(len(self), epoch=epoch, seed=seed, shuffle=shuffle)
        return rank_batches(order[seen:], batch_size=batch_size, rank=rank, size=size)

    def all_batches(self, batch_size: int) -> tf.data.Dataset:
        """Make batches of all tiles once, in order; none if there is no tile."""
        return self.batches(in_batches(np.arange(len(self)), batch_size))

    def batches(self, indices: NDArray[np.int64]) -> tf.data.Dataset:
        """See `BatchSource`."""
        import tensorflow as tf

        images, labels = _as_tensor(self._images), _as_tensor(self._labels)

        def blank(gathered: Any, is_tile: Any, value: int) -> Any:
            shape = [-1, *[1] * (len(gathered.shape) - 1)]
            return tf.where(
                tf.reshape(is_tile, shape), gathered, tf.constant(value, gathered.dtype)
            )

        @tf.autograph.experimental.do_not_convert  # There is nothing to convert.
        def gather(position: Any) -> tuple[Any, Any]:
            is_tile = position != PADDING
            existing = tf.maximum(position, 0)
            found = tf.gather(images, existing), tf.gather(labels, existing)
            # Most batches have no padding and need no second copy after gathering.
            return tf.cond(
                tf.reduce_all(is_tile),
                lambda: found,
                lambda: (blank(found[0], is_tile, 0), blank(found[1], is_tile, self._nodata)),
            )

        positions = np.where(indices == PADDING, PADDING, self._chosen[indices])
        dataset = tf.data.Dataset.from_tensor_slices(positions)
        dataset = dataset.map(gather, num_parallel_calls=self._threads, deterministic=True)
        return dataset.prefetch(PREFETCHED).with_options(data_options(self._threads))


def _as_tensor(array: NDArray[Any]) -> tf.Tensor:
    """Turn an array into a tensor, with a copy only if its memory is not aligned.

    The tensor stays in the host's memory, even if there is a GPU: only batches go to the device.
    """
    import tensorflow as tf

    if array.ctypes.data % TENSOR_ALIGNMENT or not array.size:
        with tf.device("CPU:0"):
            return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def data_options(threads: int) -> tf.data.Options:
    """Make the options of every tf.data pipeline: deterministic, on its own threads."""
    import tensorflow as tf

    options = tf.data.Options()
    # With autotune on, TF 2.21 can wait for the autotuner's sleeping thread when an iterator is
    # deleted. This can take as long as the epoch. So parallelism is explicit everywhere.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    options.deterministic = True
    return options

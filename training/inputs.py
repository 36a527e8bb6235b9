"""From tiles in memory to batches: which rank sees which tile in which step.

The order of an epoch belongs to the job, not to a rank: global batch k is tiles
k * size * batch .. (k + 1) * size * batch - 1 of one permutation, and rank r takes the r-th slice
of it. So two ranks with 16 tiles each see what one rank with 32 sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

PADDING = -1
"""Index of the tiles that fill up the last batch: no image, no label, so nothing in any sum."""


def epoch_order(tiles: int, *, epoch: int, seed: int, shuffle: bool) -> NDArray[np.int64]:
    """Order of all tiles in one epoch, the same on every rank; int64 (tiles,)."""
    if not shuffle:
        return np.arange(tiles)
    return np.random.default_rng([seed, epoch]).permutation(tiles)


def rank_batches(
    order: NDArray[np.int64], *, batch_size: int, rank: int, size: int
) -> NDArray[np.int64]:
    """Indices of the tiles of one rank.

    Args:
        order: int64 (N,), from `epoch_order`.
        batch_size: Tiles per rank and step.
        rank: Whose.
        size: Number of ranks.

    Returns:
        int64 (steps, batch_size); every rank has as many steps. The last global batch is filled up
        with `PADDING`.
    """
    steps = steps_per_epoch(len(order), batch_size=batch_size, size=size)
    filled = np.full(steps * size * batch_size, PADDING, np.int64)
    filled[: len(order)] = order
    return filled.reshape(steps, size, batch_size)[:, rank]


def steps_per_epoch(tiles: int, *, batch_size: int, size: int) -> int:
    """Global batches that hold all tiles, the last one filled up."""
    return -(-tiles // (batch_size * size))


class TileSource:
    """Tiles in the memory of this process, served in batches.

    Args:
        images: uint8 (N, H, W, bands).
        labels: uint8 (N, H, W), class codes or `nodata`.
        nodata: Code for the labels of padding.
        threads: For the gathering of batches.
    """

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.uint8], *, nodata: int, threads: int
    ) -> None:
        import tensorflow as tf

        # Host memory, also where a GPU is: only batches go to the device, as uint8.
        with tf.device("CPU:0"):
            self._images = tf.constant(images)
            self._labels = tf.constant(labels)
        self._nodata = nodata
        self._threads = threads

    def __len__(self) -> int:
        return int(self._labels.shape[0])

    def all_batches(self, batch_size: int) -> tf.data.Dataset:
        """All tiles once, in order; without any tile, no batch."""
        order = np.arange(len(self))
        return self.batches(rank_batches(order, batch_size=batch_size, rank=0, size=1))

    def batches(self, indices: NDArray[np.int64]) -> tf.data.Dataset:
        """Data set of batches.

        Args:
            indices: int64 (steps, batch), indices of tiles or `PADDING`.

        Returns:
            Pairs of uint8 (batch, H, W, bands) and uint8 (batch, H, W).
        """
        import tensorflow as tf

        def gather(chosen: Any) -> tuple[Any, Any]:
            is_tile = chosen != PADDING
            existing = tf.maximum(chosen, 0)
            images = tf.gather(self._images, existing)
            labels = tf.gather(self._labels, existing)
            images = tf.where(is_tile[:, None, None, None], images, tf.zeros_like(images))
            labels = tf.where(is_tile[:, None, None], labels, tf.fill(tf.shape(labels), self._fill))
            return images, labels

        dataset = tf.data.Dataset.from_tensor_slices(indices)
        dataset = dataset.map(gather, num_parallel_calls=self._threads, deterministic=True)
        return dataset.prefetch(2).with_options(_options(self._threads))

    @property
    def _fill(self) -> Any:
        import tensorflow as tf

        return tf.constant(self._nodata, tf.uint8)


def _options(threads: int) -> tf.data.Options:
    import tensorflow as tf

    options = tf.data.Options()
    # With autotune on, TF 2.21 can wait for the autotuner's sleeping thread when an iterator is
    # torn down, as long again as the epoch took. So: explicit parallelism everywhere.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    options.deterministic = True
    return options

"""Tiles that are decoded on demand, for data sets larger than the memory and disk of a machine.

Each epoch has its own order of the row groups of all files. Every rank takes an equal part of this
order. Within its part, tiles then move by up to the length of the shuffle buffer. All of this is
arithmetic on tile indices: the tiles of any step are known without reading earlier tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import PolynyaError
from polynya.shards.dataset import RowGroup, ShardSet
from training.input.batches import PADDING, PREFETCHED, data_options, steps_per_epoch

_REQUESTS_AT_ONCE = 16

Pixels = tuple[NDArray[Any], NDArray[np.uint8]]
"""Images and labels."""


class StreamedTiles:
    """Tiles of row groups, decoded on demand (`training.input.batches.BatchSource`).

    A row group stays in memory from its first tile to its last one. With `epoch_indices`, memory
    holds about as many tiles as the shuffle buffer.

    Args:
        shards: The data set.
        groups: Row groups, in the order of their tiles' indices.
        size: Edge of a tile in pixels.
        threads: Number of threads that decode.
        shuffle_buffer: Greatest number of tiles by which a tile is delayed after its row group.
        chosen: int64 (N,), rising numbers of the tiles 0..N-1 among all tiles of the row groups;
            None for all.
    """

    def __init__(
        self,
        shards: ShardSet,
        groups: Sequence[RowGroup],
        *,
        size: int,
        threads: int,
        shuffle_buffer: int,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self._shards = shards
        self._groups = groups
        tiles = np.array([group.tiles for group in groups], np.int64)
        own = np.arange(tiles.sum()) if chosen is None else chosen
        number = np.searchsorted(np.cumsum(tiles), own, side="right")
        self._counts = np.bincount(number, minlength=len(groups))
        """Chosen tiles of each row group."""
        self._ends = np.cumsum(self._counts)
        self._places = own - (np.cumsum(tiles) - tiles)[number]
        """Place of each chosen tile in its row group."""
        self._size = size
        self._threads = threads
        self._shuffle_buffer = shuffle_buffer

    def __len__(self) -> int:
        return int(self._counts.sum())

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
        """See `training.input.batches.BatchSource`; each rank reads its own row groups.

        The set of tiles of an epoch doesn't depend on the number of ranks, but the content of each
        batch does. So `seen` leaves out exactly the seen tiles only if batch size and number of
        ranks have not changed.
        """
        order = np.arange(len(self._groups))
        if shuffle:
            order = np.random.default_rng([seed, epoch]).permutation(order)
        tiles = _ranges((self._ends - self._counts)[order], self._counts[order])
        own = tiles[len(tiles) * rank // size : len(tiles) * (rank + 1) // size]
        if shuffle:
            rng = np.random.default_rng([seed, epoch, rank])
            moved = np.arange(len(own)) + rng.uniform(0, self._shuffle_buffer, len(own))
            own = own[np.argsort(moved, kind="stable")]
        steps = steps_per_epoch(len(tiles), batch_size=batch_size, size=size)
        filled = np.full(steps * batch_size, PADDING, np.int64)
        filled[: len(own)] = own
        return filled.reshape(steps, batch_size)[seen // (batch_size * size) :]

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[object, object]]:
        """See `training.input.batches.BatchSource`; these batches can be used only once."""
        import tensorflow as tf

        failed: list[PolynyaError] = []

        def generate() -> Iterator[Pixels]:
            try:
                yield from self._read(indices)
            except PolynyaError as error:
                failed.append(error)
                raise

        shape = (indices.shape[1], self._size, self._size)
        signature = (
            tf.TensorSpec((*shape, len(self._shards.bands)), self._shards.image_dtype),
            tf.TensorSpec((*shape, *self._shards.label_channels), tf.uint8),
        )
        dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
        dataset = dataset.prefetch(PREFETCHED).with_options(data_options(self._threads))
        try:
            yield from dataset
        except tf.errors.OpError:
            if failed:  # TensorFlow has replaced the error by one of its own.
                raise failed[0] from None
            raise

    def _read(self, indices: NDArray[np.int64]) -> Iterator[Pixels]:
        """Yield batches as arrays. Row groups are decoded ahead, ordered by their first tiles."""
        group_of = np.searchsorted(self._ends, indices, side="right")
        group_of[indices == PADDING] = PADDING
        numbers, first_use, uses = np.unique(
            group_of[group_of != PADDING], return_index=True, return_counts=True
        )
        turns = dict(zip(numbers[np.argsort(first_use)].tolist(), count()))
        to_start = iter(turns)
        uses_left = dict(zip(numbers.tolist(), uses.tolist(), strict=True))
        # Requests to an object store spend most of their time waiting.
        is_local = self._shards.folder.is_local
        threads = self._threads if is_local else max(self._threads, _REQUESTS_AT_ONCE)
        loading: dict[int, Future[Pixels]] = {}
        pool = ThreadPoolExecutor(threads)
        try:
            started = 0
            for batch, groups in zip(indices, group_of, strict=True):
                images, labels = self._empty(len(batch), blank=PADDING in batch)
                for place, (tile, group) in enumerate(
                    zip(batch.tolist(), groups.tolist(), strict=True)
                ):
                    if tile == PADDING:
                        continue
                    while started <= min(turns[group] + threads, len(turns) - 1):
                        following = next(to_start)
                        loading[following] = pool.submit(self._decode, following)
                        started += 1
                    decoded = loading[group].result()
                    row = self._places[tile]
                    images[place], labels[place] = decoded[0][row], decoded[1][row]
                    uses_left[group] -= 1
                    if not uses_left[group]:
                        del loading[group]
                yield images, labels
        finally:
            pool.shutdown(cancel_futures=True)

    def _decode(self, group: int) -> Pixels:
        pixels = self._empty(self._groups[group].tiles, blank=False)
        self._shards.read_groups([self._groups[group]], *pixels)
        return pixels

    def _empty(self, tiles: int, *, blank: bool) -> Pixels:
        shape = (tiles, self._size, self._size)
        images = np.empty((*shape, len(self._shards.bands)), self._shards.image_dtype)
        labels = np.empty((*shape, *self._shards.label_channels), np.uint8)
        if blank:
            images[:], labels[:] = 0, self._shards.classes.nodata
        return images, labels


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate ranges: each has `count` numbers, from `start` upwards."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())

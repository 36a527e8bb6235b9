"""Which rank sees which tile."""

from __future__ import annotations

import numpy as np
import pytest

from training.input.batches import (
    PADDING,
    TENSOR_ALIGNMENT,
    TileSource,
    epoch_order,
    rank_batches,
    steps_per_epoch,
)


def test_an_epoch_is_a_seeded_permutation() -> None:
    first = epoch_order(50, epoch=0, seed=1, shuffle=True)
    assert sorted(first) == list(range(50))
    assert (first == epoch_order(50, epoch=0, seed=1, shuffle=True)).all()
    assert (first != epoch_order(50, epoch=1, seed=1, shuffle=True)).any()
    assert (first != epoch_order(50, epoch=0, seed=2, shuffle=True)).any()
    assert epoch_order(4, epoch=3, seed=1, shuffle=False).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("size", "batch_size"), [(1, 12), (2, 6), (3, 4), (4, 3), (12, 1)])
def test_global_batches_do_not_depend_on_the_number_of_ranks(size: int, batch_size: int) -> None:
    order = epoch_order(31, epoch=0, seed=0, shuffle=True)
    ranks = [rank_batches(order, batch_size=batch_size, rank=r, size=size) for r in range(size)]
    together = np.concatenate(ranks, axis=1)
    assert (together == rank_batches(order, batch_size=12, rank=0, size=1)).all()
    assert sorted(together[together != PADDING]) == list(range(31))
    assert {len(batches) for batches in ranks} == {3}


def test_steps_round_up() -> None:
    assert steps_per_epoch(32, batch_size=16, size=2) == 1
    assert steps_per_epoch(33, batch_size=16, size=2) == 2
    assert steps_per_epoch(0, batch_size=16, size=2) == 0


def test_batches_hold_the_tiles_and_padding_is_nodata() -> None:
    images = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    labels = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2)
    source = TileSource(images, labels, nodata=255, threads=1)
    assert len(source) == 5
    batches = list(source.batches(np.array([[4, 0], [2, PADDING]])))
    assert (batches[0][0].numpy() == images[[4, 0]]).all()
    assert (batches[0][1].numpy() == labels[[4, 0]]).all()
    assert (batches[1][0].numpy()[0] == images[2]).all()
    assert (batches[1][0].numpy()[1] == 0).all()
    assert (batches[1][1].numpy()[1] == 255).all()


def test_all_batches_go_through_once_in_order() -> None:
    labels = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)
    source = TileSource(np.zeros((5, 1, 1, 3), np.uint8), labels, nodata=255, threads=2)
    seen = np.concatenate([batch.numpy().ravel() for _, batch in source.all_batches(2)])
    assert seen.tolist() == [0, 1, 2, 3, 4, 255]


def test_no_tiles_give_no_batches() -> None:
    empty = np.empty((0, 4, 4), np.uint8)
    source = TileSource(np.empty((0, 4, 4, 3), np.uint8), empty, nodata=255, threads=1)
    assert list(source.all_batches(2)) == []


def test_an_epoch_goes_on_after_the_tiles_that_were_seen() -> None:
    source = TileSource(np.zeros((31, 1, 1, 3), np.uint8), np.zeros((31, 1, 1), np.uint8),
                        nodata=255, threads=1)  # fmt: skip
    options = {"epoch": 3, "seed": 1, "shuffle": True}
    whole = source.epoch_indices(batch_size=2, rank=1, size=2, **options)
    rest = source.epoch_indices(batch_size=2, rank=1, size=2, seen=12, **options)
    assert (rest == whole[3:]).all()
    # Other ranks take over: what they see together with those before is still every tile once.
    before = [source.epoch_indices(batch_size=2, rank=r, size=2, **options)[:3] for r in range(2)]
    after = [
        source.epoch_indices(batch_size=3, rank=r, size=3, seen=12, **options) for r in range(3)
    ]
    seen = np.concatenate([part.ravel() for part in before + after])
    assert sorted(seen[seen != PADDING]) == list(range(31))


def test_a_source_may_serve_some_of_the_tiles() -> None:
    labels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1)
    source = TileSource(
        np.zeros((10, 1, 1, 3), np.uint8), labels, nodata=255, threads=1, chosen=np.array([7, 2, 9])
    )
    assert len(source) == 3
    seen = np.concatenate([batch.numpy().ravel() for _, batch in source.all_batches(2)])
    assert seen.tolist() == [7, 2, 9, 255]


def test_tiles_are_used_where_they_are() -> None:
    memory = np.zeros(4 * 64 * 4 + TENSOR_ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % TENSOR_ALIGNMENT
    images = memory[start:][: 4 * 64 * 3].reshape(4, 8, 8, 3)
    labels = memory[start + images.size :][: 4 * 64].reshape(4, 8, 8)
    batches = TileSource(images, labels, nodata=255, threads=1).all_batches(4)
    images[2], labels[2] = 77, 1
    ((seen, codes),) = list(batches)
    assert (seen.numpy() == images).all()
    assert (codes.numpy() == labels).all()

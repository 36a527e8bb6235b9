"""Tiles that are decoded as they are asked for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ShardError
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards
from training.input.batches import PADDING
from training.input.stream import StreamedTiles

RECIPE = Recipe.model_validate({"tiles": {"size": 32}})
OPTIONS: dict[str, Any] = {"epoch": 0, "seed": 1, "shuffle": True}


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    """Six scenes of 3 x 3 tiles (one with less), in row groups of 4, 4 and 1."""
    options: dict[str, Any] = {"size": 96, "nodata_shares": [0] * 6, "rows_per_group": 4}
    return open_shards(write_tiny_shards(tmp_path / "shards", RECIPE, **options))


def _stream(shards: ShardSet, shuffle_buffer: int = 10) -> StreamedTiles:
    groups = shards.row_groups(shards.scene_ids)
    return StreamedTiles(shards, groups, size=32, threads=2, shuffle_buffer=shuffle_buffer)


def _own(stream: StreamedTiles, size: int, **options: Any) -> list[np.ndarray]:
    return [
        stream.epoch_indices(**{**OPTIONS, "batch_size": 4, **options}, rank=rank, size=size)
        for rank in range(size)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_ranks_share_an_epoch_without_overlap_or_loss(shards: ShardSet, size: int) -> None:
    stream = _stream(shards)
    assert len(stream) == 54
    own = _own(stream, size)
    assert {part.shape for part in own} == {(-(-54 // (4 * size)), 4)}
    seen = np.concatenate([part.ravel() for part in own])
    assert sorted(seen[seen != PADDING]) == list(range(54))


def test_each_rank_reads_row_groups_of_its_own(shards: ShardSet) -> None:
    ends = np.cumsum([group.tiles for group in shards.row_groups(shards.scene_ids)])
    groups = [
        set(np.searchsorted(ends, part[part != PADDING], side="right"))
        for part in _own(_stream(shards), 3)
    ]
    # Neighbours share no more than the one group where their parts meet.
    assert len(groups[0] & groups[1]) <= 1
    assert len(groups[1] & groups[2]) <= 1
    assert not groups[0] & groups[2]


def test_files_are_mixed_anew_in_each_epoch_and_a_seed_repeats_it(shards: ShardSet) -> None:
    stream = _stream(shards)
    (first,) = _own(stream, 1)
    assert (first == _own(stream, 1)[0]).all()
    for options in ({"epoch": 1}, {"seed": 2}):
        assert (first != _own(stream, 1, **options)[0]).any()
    in_order = _own(stream, 1, shuffle=False)[0].ravel()
    assert in_order[:54].tolist() == list(range(54))
    scenes = first.ravel()[:54] // 9
    assert len(set(scenes[:12])) >= 3


def test_a_tile_moves_no_further_than_the_buffer(shards: ShardSet) -> None:
    unmoved = _own(_stream(shards, shuffle_buffer=1), 1)[0].ravel()[:54]
    moved = _own(_stream(shards, shuffle_buffer=10), 1)[0].ravel()[:54]
    places = {tile: place for place, tile in enumerate(unmoved)}
    distances = [abs(places[tile] - place) for place, tile in enumerate(moved)]
    assert 3 < max(distances) <= 10


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_hold_the_tiles_of_the_shards(shards: ShardSet, shuffle: bool) -> None:
    images, labels = shards.load(shards.scene_ids, 32)
    stream = _stream(shards)
    for indices in _own(stream, 2, shuffle=shuffle):
        batches = list(stream.batches(indices))
        assert len(batches) == len(indices)
        for chosen, (image, label) in zip(indices, batches, strict=True):
            is_tile = chosen != PADDING
            assert (image.numpy()[is_tile] == images[chosen[is_tile]]).all()
            assert (label.numpy()[is_tile] == labels[chosen[is_tile]]).all()
            assert (image.numpy()[~is_tile] == 0).all()
            assert (label.numpy()[~is_tile] == 255).all()


def test_an_epoch_goes_on_without_reading_what_was_seen(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = _stream(shards, shuffle_buffer=1)
    whole = _own(stream, 2)[1]
    rest = _own(stream, 2, seen=5 * 8)[1]
    assert (rest == whole[5:]).all()
    read = []
    plain = ShardSet.read_groups
    monkeypatch.setattr(
        ShardSet, "read_groups", lambda self, g, *out: (read.extend(g), plain(self, g, *out))
    )
    list(stream.batches(rest))
    assert 0 < sum(group.tiles for group in read) < 15


def test_no_more_is_held_than_the_buffer_and_what_is_read_ahead(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    plain = ShardSet.read_groups
    monkeypatch.setattr(
        ShardSet, "read_groups", lambda self, g, *out: (started.extend(g), plain(self, g, *out))
    )
    stream = _stream(shards, shuffle_buffer=1)
    reader = stream._read(stream.epoch_indices(**OPTIONS, batch_size=1, rank=0, size=1))
    list(islice(reader, 1))
    reader.close()
    # The group in use and one ahead for each of two threads.
    assert 1 <= len(started) <= 3


def test_the_reader_fills_the_last_batch_with_nodata(shards: ShardSet) -> None:
    images, labels = shards.load(shards.scene_ids, 32)
    stream = _stream(shards)
    (indices,) = _own(stream, 1)
    *_, (last_images, last_labels) = stream._read(indices)
    is_tile = indices[-1] != PADDING
    assert is_tile.tolist() == [True, True, False, False]
    assert (last_images[is_tile] == images[indices[-1][is_tile]]).all()
    assert (last_labels[is_tile] == labels[indices[-1][is_tile]]).all()
    assert (last_images[~is_tile] == 0).all()
    assert (last_labels[~is_tile] == 255).all()


def test_leaving_early_ends_the_reading(shards: ShardSet) -> None:
    stream = _stream(shards)
    batches = stream.batches(_own(stream, 1)[0])
    next(batches)
    batches.close()


def test_damage_is_the_sentence_of_the_shards(shards: ShardSet) -> None:
    stream = _stream(shards)
    indices = _own(stream, 1)[0]
    for name in shards.files["scene3"]:
        Path(shards.folder.place, name).write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"scene3-000.parquet can't be read .* label again"):
        list(stream.batches(indices))


def test_no_tiles_give_no_batches(shards: ShardSet) -> None:
    stream = StreamedTiles(shards, [], size=32, threads=1, shuffle_buffer=4)
    assert len(stream) == 0
    indices = stream.epoch_indices(**OPTIONS, batch_size=4, rank=0, size=2)
    assert list(stream.batches(indices)) == []

"""Decoded tiles, once a machine."""

from __future__ import annotations

import json
import os
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.thread_ranks import ThreadRank, on_ranks
from polynya.errors import OutputError, ShardError
from polynya.recipe.recipe import Recipe
from polynya.recipe.training import InputOptions
from polynya.shards.dataset import ShardSet, open_shards
from polynya.storage.ledger import LEDGER_FILE
from training.input import tile_cache
from training.input.tile_cache import open_tiles
from training.input.tile_file import Contents, Tiles
from training.ranks.port import SingleProcess

RECIPE = Recipe.model_validate({"tiles": {"size": 30}})
MEMORY = InputOptions()


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    """Five scenes of 4 x 4 tiles, some at the edge and smaller, in row groups of 3."""
    folder = write_tiny_shards(
        tmp_path / "shards", RECIPE, size=96, nodata_shares=[0, 0.4, 0, 0, 0], rows_per_group=3
    )
    return open_shards(folder)


def _open(shards: ShardSet, options: InputOptions = MEMORY, **other: Any) -> Tiles:
    return open_tiles(shards, 30, options, SingleProcess(), threads=2, **other)


def _disk(tmp_path: Path) -> InputOptions:
    return InputOptions(cache="disk", folder=str(tmp_path / "cache"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != LEDGER_FILE)


def _same(tiles: Tiles, shards: ShardSet) -> bool:
    images, labels = shards.load(shards.scene_ids, 30)
    return bool((tiles.images == images).all() and (tiles.labels == labels).all())


@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.parametrize("size", [1, 3])
def test_all_ranks_of_a_machine_have_the_tiles_and_decode_them_once(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str, size: int
) -> None:
    options = InputOptions.model_validate({"cache": cache, "folder": str(tmp_path / "cache")})
    read = []
    plain = ShardSet.read_groups
    monkeypatch.setattr(
        ShardSet, "read_groups", lambda self, g, *out: (read.extend(g), plain(self, g, *out))
    )
    found = on_ranks(size, lambda rank: open_tiles(shards, 30, options, rank, 1))
    groups = shards.row_groups(shards.scene_ids)
    assert sorted(read, key=groups.index) == groups
    for tiles in found:
        assert isinstance(tiles, Tiles)
        assert _same(tiles, shards)


def test_tiles_of_scenes_are_found(shards: ShardSet) -> None:
    tiles = _open(shards)
    assert tiles.counts == {f"scene{i}": 16 for i in range(5)} | {"scene1": 16}
    assert tiles.of_scenes(["scene3", "scene1"]).tolist() == [*range(48, 64), *range(16, 32)]
    assert tiles.of_scenes([]).tolist() == []


def test_nothing_stays_of_tiles_in_memory(shards: ShardSet) -> None:
    before = len(os.listdir("/proc/self/fd"))
    _open(shards)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_second_run_finds_the_file(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(shards, _disk(tmp_path))
    assert [p.suffix for p in _files(tmp_path / "cache")] == [".json", ".tiles"]

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(ShardSet, "read_groups", refuse)
    monkeypatch.setattr(ShardSet, "row_groups", refuse)
    found = on_ranks(2, lambda rank: open_tiles(shards, 30, _disk(tmp_path), rank, 1))
    monkeypatch.undo()
    assert all(isinstance(tiles, Tiles) and _same(tiles, shards) for tiles in found)


def test_other_shards_have_another_file(shards: ShardSet, tmp_path: Path) -> None:
    _open(shards, _disk(tmp_path))
    first = set(_files(tmp_path / "cache"))
    path = next(Path(shards.folder.place).glob("scene0*.parquet"))
    os.utime(path, ns=(1, 1))
    assert _same(_open(shards, _disk(tmp_path)), shards)
    assert len(set(_files(tmp_path / "cache")) - first) == 2


@pytest.mark.parametrize("damage", ["short", "pixel", "description", "other"])
def test_a_damaged_file_stays_and_another_is_made(
    shards: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    _open(shards, _disk(tmp_path))
    (tiles,) = (tmp_path / "cache").glob("*.tiles")
    if damage == "short":
        os.truncate(tiles, tiles.stat().st_size - 1)
    elif damage == "pixel":
        with tiles.open("r+b") as file:
            file.write(b"\xfe")
    elif damage == "description":
        tiles.with_suffix(".json").write_text("{")
    else:
        content = json.loads(tiles.with_suffix(".json").read_text())
        content["counts"]["scene0"] -= 1
        tiles.with_suffix(".json").write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in _files(tmp_path / "cache")}
    assert _same(_open(shards, _disk(tmp_path)), shards)
    assert "it stays there" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in before.items())
    # The next run finds the new one.
    found = _files(tmp_path / "cache")
    assert len(found) == 4
    assert _same(_open(shards, _disk(tmp_path)), shards)
    assert _files(tmp_path / "cache") == found


def test_pixels_without_a_description_do_not_count(shards: ShardSet, tmp_path: Path) -> None:
    _open(shards, _disk(tmp_path))
    (tiles,) = (tmp_path / "cache").glob("*.tiles")
    tiles.with_suffix(".json").unlink()
    tiles.write_bytes(b"another's")
    assert _same(_open(shards, _disk(tmp_path)), shards)
    assert tiles.read_bytes() == b"another's"


def test_an_error_of_one_rank_is_everyone_s_and_leaves_nothing(
    shards: ShardSet, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    path = next(Path(shards.folder.place).glob("scene4*.parquet"))
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 3, len(content) // 2)
    content[middle] = bytes(len(content[middle]))
    path.write_bytes(content)
    found = on_ranks(3, lambda rank: open_tiles(shards, 30, _disk(tmp_path), rank, 1))
    assert {type(error) for error in found} == {ShardError}
    assert all("scene4" in str(error) for error in found)
    assert _files(tmp_path / "cache") == []


def test_machines_each_have_their_own(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks 0 and 1 on one machine, 2 on another whose file is there already."""
    _open(shards, InputOptions(cache="disk", folder=str(tmp_path / "there")))
    Machine = namedtuple("Machine", "name")
    names = {}
    monkeypatch.setattr(tile_cache, "_machine", lambda: names[threading.get_ident()])

    def task(rank: ThreadRank) -> Tiles:
        names[threading.get_ident()] = Machine("there" if rank.rank == 2 else "here")
        folder = "there" if rank.rank == 2 else "here"
        options = InputOptions(cache="disk", folder=str(tmp_path / folder))
        return open_tiles(shards, 30, options, rank, 1)

    found = on_ranks(3, task)
    assert all(isinstance(tiles, Tiles) and _same(tiles, shards) for tiles in found)
    assert len(_files(tmp_path / "here")) == 2


def test_two_runs_may_make_the_same(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run finishes its file while this one decodes."""
    plain = tile_cache._decode_part

    def decode(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(tile_cache, "_decode_part", plain)
        _open(shards, _disk(tmp_path))
        plain(*arguments, **options)

    monkeypatch.setattr(tile_cache, "_decode_part", decode)
    assert _same(_open(shards, _disk(tmp_path)), shards)
    assert len(_files(tmp_path / "cache")) == 2


def test_labels_begin_where_tensorflow_takes_them() -> None:
    contents = Contents(size=5, counts={"a": 3})
    assert contents.bytes == 256 + 75


def test_no_room_is_one_sentence(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    options = InputOptions(cache="disk", folder=str(tmp_path / "file" / "below"))
    with pytest.raises(OutputError, match=r"'training.input.folder'"):
        _open(shards, options)
    monkeypatch.setattr(os, "posix_fallocate", _no_space)
    with pytest.raises(OutputError, match=r"0.00 GB of decoded tiles can't be kept in .*No space"):
        _open(shards, _disk(tmp_path))
    (tmp_path / "meminfo").write_text("MemTotal: 2 kB\nMemAvailable: 1 kB\n")
    monkeypatch.setattr("training.input.tile_file._MEMORY_INFO", tmp_path / "meminfo")
    with pytest.raises(OutputError, match="'training.input.cache' to 'disk' or 'none'"):
        _open(shards)


def test_a_folder_that_can_not_be_used_is_one_sentence(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        with pytest.raises(OutputError, match=r"can't be written: Permission.*training.input.fold"):
            _open(shards, _disk(tmp_path))


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_files_go_to_the_cache_of_the_user_unless_told(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYNYA_CACHE", str(tmp_path / "own"))
    _open(shards, InputOptions(cache="disk"))
    assert len(_files(tmp_path / "own" / "tiles")) == 2
    monkeypatch.delenv("POLYNYA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    _open(shards, InputOptions(cache="disk"))
    assert len(_files(tmp_path / "xdg" / "polynya" / "tiles")) == 2


def test_class_counts_are_those_of_the_labels(shards: ShardSet) -> None:
    _, labels = shards.load(["scene1", "scene4"], 30)
    expected = [int(np.count_nonzero(labels == code)) for code in range(3)]
    counts, pixels = shards.class_counts(["scene1", "scene4"])
    assert (counts.tolist(), pixels) == (expected, sum(expected))
    counts, pixels = shards.class_counts([])
    assert (counts.tolist(), pixels) == ([0, 0, 0], 0)

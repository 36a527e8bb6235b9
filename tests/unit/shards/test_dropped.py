"""Tiles that are left out: nothing reads or counts them, no shard changes, all can come back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.shards.shard_files import contents
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ShardError
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import open_shards
from polynya.shards.dropped import (
    DROPPED_FILE,
    DroppedTile,
    read_dropped,
    restore_dropped,
    write_dropped,
)
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.shards.manifest import read_manifest

RECIPE = Recipe.model_validate({"tiles": {"size": 16}, "label": {"method": "none"}})


@pytest.fixture
def shards(tmp_path):
    """Four scenes of 16 tiles, in row groups of 5."""
    return open_shards(write_tiny_shards(tmp_path / "shards", RECIPE, rows_per_group=5))


def drop(shards, *places, whole=()):
    """Leave out tiles, given by scene and number; `whole` names scenes with unreadable files."""
    tiles = [
        DroppedTile(shards.files[scene][0], index, scene, None, None, "empty: no pixel has data")
        for scene, index in [*places, *((scene, None) for scene in whole)]
    ]
    write_dropped(shards.folder, tiles)
    return open_shards(shards.folder)


def test_dropped_tiles_are_neither_read_nor_counted(shards):
    before = contents(shards.folder)
    images, labels = shards.load(["scene1"], 16)
    left = drop(shards, ("scene1", 0), ("scene1", 7), ("scene0", 3))
    kept = [n for n in range(16) if n not in (0, 7)]
    found_images, found_labels = left.load(["scene1"], 16)
    assert (found_images == images[kept]).all()
    assert (found_labels == labels[kept]).all()
    assert [group.tiles for group in left.row_groups(["scene1"])] == [4, 4, 5, 1]
    places = [(tile.row, tile.col) for tile in left.tiles(left.row_groups(["scene1"]))]
    assert places == [(n // 4 * 16, n % 4 * 16) for n in kept]
    counts, pixels = left.class_counts(["scene1"])
    assert counts.tolist() == RECIPE.classes.count(labels[kept])
    assert pixels == 14 * 256
    assert contents(shards.folder) == before


def test_all_tiles_come_back(shards):
    images, _ = shards.load(["scene0"], 16)
    drop(shards, ("scene0", 2))
    assert len(open_shards(shards.folder, with_dropped=True).load(["scene0"], 16)[0]) == 16
    assert restore_dropped(shards.folder)
    assert not restore_dropped(shards.folder)
    assert np.array_equal(open_shards(shards.folder).load(["scene0"], 16)[0], images)


def test_a_group_without_tiles_is_not_read_and_a_scene_without_tiles_is_none(shards):
    left = drop(
        shards,
        *(("scene0", n) for n in range(5, 10)),
        *(("scene1", n) for n in range(16)),
        whole=["scene2"],
    )
    assert [group.number for group in left.row_groups(["scene0"])] == [0, 2, 3]
    assert left.scene_ids == ("scene0", "scene3")
    assert left.dropped.describe() == "21 tiles and 1 unreadable file (empty 22)"


def test_a_data_set_without_any_tile_says_so(shards):
    with pytest.raises(ShardError, match=r"Every tile .* polynya inspect .* --restore"):
        drop(shards, whole=shards.scene_ids)


def test_a_list_for_another_manifest_is_refused(shards):
    drop(shards, ("scene0", 1))
    manifest = shards.folder.read("_manifest.csv")
    with open(f"{shards.folder}/_manifest.csv", "wb") as file:
        file.write(manifest.replace(b"scene3.tif", b"other3.tif"))
    with pytest.raises(ShardError, match=r"_dropped.json was made before .* --restore --drop"):
        open_shards(shards.folder)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "can't be read"),
        ('{"format": 9}', "has the format 9, this version of Polynya reads 1"),
        ('{"format": 1, "manifest": "", "tiles": [{"file": 1}]}', "can't be read"),
        ("[]", "can't be read"),
    ],
)
def test_a_damaged_list_is_one_sentence(shards, content, what):
    with open(f"{shards.folder}/{DROPPED_FILE}", "w") as file:
        file.write(content)
    with pytest.raises(ShardError, match=what) as said:
        open_shards(shards.folder)
    assert DROPPED_FILE in str(said.value)


def test_the_list_stays_when_nothing_is_labelled_and_goes_when_all_is_labelled_again(shards):
    drop(shards, ("scene0", 1))
    rows = read_manifest(shards.folder)
    finish_dataset(start_dataset(shards.folder, RECIPE), rows)
    assert len(read_dropped(shards.folder)) == 1
    start_dataset(shards.folder, RECIPE, overwrite=True)
    assert not shards.folder.has(DROPPED_FILE)


def test_the_list_says_when_why_and_for_which_manifest(shards):
    drop(shards, ("scene0", 1))
    content = json.loads(shards.folder.read(DROPPED_FILE))
    assert sorted(content) == ["date", "format", "manifest", "polynya_version", "tiles"]
    assert content["tiles"][0]["reason"] == "empty: no pixel has data"

"""Shards with augmented copies of the tiles that train."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autolabel.run import run_import
from helpers.maps.inference_commands import run
from helpers.shards.gym_loader import load_gym
from helpers.shards.import_sets import MadeSet, classes, image, labels, write_raster
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest
from polynya.splits.folds import TRAINS_ONLY
from polynya.splits.split_file import read_split
from polynya.storage.folder import Folder
from training.input.split import recipe_split

AUGMENT = {"training": {"augment": {"dihedral": True, "rotation": 20.0}}}
SITES = ("north-1", "north-2", "south-1", "south-2")


def photos(folder, **sections):
    """Shards of four photographs of two sites, whose tiles are 32 pixels wide."""
    made = MadeSet(
        folder / "data",
        {
            "classes": classes("water", "ice", "land"),
            "imports": {"kind": "folder"},
            "tiles": {"size": 32},
            "split": {"held_out": "^south", "group": "^([a-z]+)"},
            **AUGMENT,
            **sections,
        },
    )
    for n, name in enumerate(SITES):
        write_raster(made.source / "images" / f"{name}.png", image(n))
        write_raster(made.source / "masks" / f"{name}.png", labels(n, 3))
    recipe = made.save(folder / "recipe.json")
    run_import("folder", [str(made.source)], str(folder / "shards"), recipe, False, "here")
    return folder / "shards"


def content(folder):
    shards = open_shards(folder)
    tiles = shards.tiles(shards.row_groups(shards.scene_ids))
    return {(t.scene_id, t.row, t.col): (t.image, t.label) for t in tiles}


def equal(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Shards, and those with two copies."""
    folder = tmp_path_factory.mktemp("copied")
    run("augment", photos(folder), "--out", folder / "out", "--copies", 2)
    return folder


def test_training_tiles_get_copies_and_validation_tiles_none(copied):
    before, after = content(copied / "shards"), content(copied / "out")
    for key, tile in before.items():
        assert equal(after.pop(key), tile)
    assert {key[0] for key in after} == {f"north-{n}-copy{k}" for n in (1, 2) for k in (1, 2)}
    assert len(after) == 2 * 2 * 4
    assert {label.shape for _, label in after.values()} == {(32, 32)}
    first, second = after["north-1-copy1", 0, 0], after["north-1-copy2", 0, 0]
    assert not equal(first, second)
    assert not equal(first, before["north-1", 0, 0])
    assert set(np.unique(first[1])) <= {0, 1, 2, 255}


def test_copies_are_in_the_group_of_their_original_and_never_validate(copied):
    shards = open_shards(copied / "out")
    found = recipe_split(shards, shards.recipe)
    assert found.validation == ("south-1", "south-2")
    assert len(found.training) == 2 * 3
    split = read_split(copied / "out" / "_split.json")
    assert {tile.group for tile in split.tiles.values()} == {"north", "south"}
    copy = split.tiles["north-2-copy1", 32, 0]
    assert (copy.group, copy.fold) == ("north", TRAINS_ONLY)
    # Training changes nothing any more, and labels can still be added by the same recipe.
    assert not shards.recipe.training.augment.dihedral
    assert shards.recipe.labels_digest() == open_shards(copied / "shards").recipe.labels_digest()


def test_what_copies_are_made_of_is_written_down(copied):
    about = json.loads((copied / "out" / "_augmented.json").read_text())
    assert about["copies"] == 2
    assert about["augment"]["rotation"] == 20.0
    rows = {row.scene_id: row for row in read_manifest(Folder.at(copied / "out"))}
    assert rows["north-1-copy2"].uri == rows["north-1"].uri
    assert rows["north-1-copy2"].labelled == rows["north-1-copy2"].tiles == 4
    sources = {
        row["scene_id"]: row["label_source"]
        for row in open_shards(copied / "out")
        .columns(open_shards(copied / "out").row_groups(list(rows)), ["scene_id", "label_source"])
        .to_pylist()
    }
    assert sources["north-1"] == "import/folder"
    assert sources["north-1-copy1"] == "augmented/import/folder"
    assert (copied / "out" / "augmented.png").stat().st_size > 1000


def test_the_gym_knows_copies_by_their_names(copied, tmp_path):
    run("export", "gym", copied / "out", "--out", tmp_path / "gym")
    assert len(load_gym(tmp_path / "gym", "train", "aug").names) == 16
    assert all("-copy" in name for name in load_gym(tmp_path / "gym", "train", "aug").names)
    assert not list((tmp_path / "gym" / "val_data" / "val_npzs").glob("*_aug_*"))


def test_the_same_command_gives_the_same_bytes_and_more_copies_keep_the_first(copied, tmp_path):
    run("augment", copied / "shards", "--out", tmp_path / "out", "--copies", 2)
    names = [path.name for path in (copied / "out").glob("*.parquet")]
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (copied / "out" / name).read_bytes()
    run("augment", copied / "shards", "--out", tmp_path / "out", "--copies", 1)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == [
        "copy1-000.parquet", "original-000.parquet",
    ]  # fmt: skip
    name = "copy1-000.parquet"
    assert (tmp_path / "out" / name).read_bytes() == (copied / "out" / name).read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_copies_of_bands_keep_type_scale_and_gaps(tmp_path, dtype):
    made = MadeSet(
        tmp_path / "data",
        {
            "classes": classes("water", "ice"),
            "scene": {"inputs": [1, 2, 3, 4], "scale": 0.0625, "offset": -3.0},
            "imports": {"kind": "folder", "images": "images/{stem}.tif", "masks": "masks/{stem}.*",
                        "missing": 7},
            "tiles": {"size": 64},
            "split": {"validation": 0},
            "training": {"augment": {"rotation": 30.0, "zoom": [0.8, 1.2]}},
        },
    )  # fmt: skip
    write_raster(made.source / "images" / "a.tif", image(1, 4, dtype, 200))
    write_raster(made.source / "masks" / "a.png", labels(1, 2))
    recipe = made.save(tmp_path / "recipe.json")
    run_import("folder", [str(made.source)], str(tmp_path / "shards"), recipe, False, "here")
    run("augment", tmp_path / "shards", "--out", tmp_path / "out", "--copies", 1)
    shards = open_shards(tmp_path / "out")
    (row,) = shards.columns(
        shards.row_groups(["a-copy1"]), ["dtype", "scales", "offsets", "crs"]
    ).to_pylist()
    assert row == {"dtype": dtype, "scales": [0.0625] * 4, "offsets": [-3.0] * 4, "crs": None}
    pixels, label = content(tmp_path / "out")["a-copy1", 0, 0]
    assert np.isnan(pixels).any()
    assert np.nanmax(pixels) <= 199 * 0.0625 - 3
    assert np.nanmin(pixels) >= 1 * 0.0625 - 3
    assert (label[np.isnan(pixels).all(axis=-1)] == 255).all()
    if dtype != "float32":  # Whole numbers, times the scale.
        assert (np.rint(pixels[np.isfinite(pixels)] * 16) == pixels[np.isfinite(pixels)] * 16).all()


def test_what_cannot_be_done_is_one_sentence(copied, tmp_path):
    shards = copied / "shards"

    def said(*words):
        return " ".join(run("augment", *words, expect=1).output.split())

    assert "holds the originals; choose another --out" in said(shards, "--out", shards)
    again = said(copied / "out", "--out", tmp_path / "a", "--recipe", copied / "recipe.json")
    assert "has copies already, such as north-1-copy1" in again
    plain = json.loads((copied / "recipe.json").read_text()) | {"training": {}}
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    words = (shards, "--out", tmp_path / "b", "--recipe", tmp_path / "plain.json")
    assert "asks for no change of tiles, so copies would be equal" in said(*words)
    other = photos(tmp_path / "other", imports={"kind": "folder", "size": [32, 32]})
    (tmp_path / "others").mkdir()
    run_import("folder", [str(tmp_path / "other" / "data")], str(tmp_path / "c"),
               tmp_path / "other" / "recipe.json", False, "here")  # fmt: skip
    assert "holds shards of another recipe" in said(shards, "--out", tmp_path / "c")
    assert open_shards(other)
    assert not (tmp_path / "b").exists()


def test_a_damaged_scene_costs_itself_and_its_copies(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from polynya.shards.schema import SCHEMA

    shards = photos(tmp_path)
    (path,) = shards.glob("*.parquet")
    table = pq.read_table(path).to_pylist()
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for row in table:
            if row["scene_id"] == "north-2":
                row["label"] = bytes(len(row["label"]))
            writer.write_table(pa.Table.from_pylist([row], SCHEMA))
    output = run("augment", shards, "--out", tmp_path / "out", "--copies", 1, expect=1).output
    assert "1 of 4 scenes failed, the others are done" in output
    assert set(open_shards(tmp_path / "out").scene_ids) == {
        "north-1", "north-1-copy1", "south-1", "south-2",
    }  # fmt: skip

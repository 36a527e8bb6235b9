"""Labels of shards as data sets of other programs, and back: nothing of them changes."""

from __future__ import annotations

import shutil
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from autolabel.run import run_import
from helpers.maps.inference_commands import run
from helpers.shards.gym_loader import load_gym
from helpers.shards.import_sets import SETS, image, labels, write_raster
from inference.exports.registry import KINDS, find_exporter
from polynya.shards.dataset import open_shards
from polynya.shards.manifest import read_manifest
from polynya.shards.schema import SCHEMA
from polynya.storage.folder import Folder

FOR_KIND = {"gym": "gym", "rle": "rle", "kelp": "kelp", "masks": "folder"}
"""The kind of import that reads what a kind of export writes."""


def made_shards(name, folder, size=64, **changes):
    """A data set of `import_sets` as shards of tiles of a size."""
    made = SETS[name](folder / "data")
    made.recipe = made.recipe | {"tiles": {"size": size}} | changes
    import_set(made, made.source, folder / "shards")
    return made


def import_set(made, source, out):
    recipe = made.save(out.with_suffix(".json"))
    run_import(made.recipe["imports"]["kind"], [str(source)], str(out), recipe, False, "here")


def contents(folder):
    """Image and label of every tile, by scene, row and column."""
    shards = open_shards(folder)
    tiles = shards.tiles(shards.row_groups(shards.scene_ids))
    return {(t.scene_id, t.row, t.col): (t.image, t.label) for t in tiles}


def check_same(first, second):
    one, two = contents(first), contents(second)
    assert one.keys() == two.keys()
    for key, (pixels, label) in one.items():
        np.testing.assert_array_equal(label, two[key][1])
        np.testing.assert_array_equal(pixels, two[key][0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_what_it_is(kind):
    exporter = find_exporter(kind)
    assert exporter.name == kind
    assert exporter.about == exporter.about.strip(". \n")


def test_gym_there_and_back(tmp_path):
    made = made_shards("gym", tmp_path, split={"held_out": "^val-"})
    out = tmp_path / "out"
    assert "2 files of 2 images" in run("export", "gym", tmp_path / "shards", "--out", out).output
    import_set(made, out, tmp_path / "again")
    check_same(tmp_path / "shards", tmp_path / "again")
    before, after = (load_gym(folder, "val") for folder in (made.source, out))
    assert before.names == after.names
    np.testing.assert_array_equal(before.images, after.images)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert after.files == ("coast_noaug_nd_data_0000001.npz",)


def test_gym_gets_a_file_for_each_tile_and_pixels_without_label_no_class(tmp_path):
    made_shards("loveda", tmp_path, size=32, split={"held_out": "^val-"})
    run("export", "gym", tmp_path / "shards", "--out", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out/train_data/train_npzs").glob("*.npz"))
    assert names == [f"0_noaug_nd_data_000000{n}.npz" for n in range(4)]
    assert len(list((tmp_path / "out/val_data/val_npzs").glob("1_noaug_*.npz"))) == 4
    for (scene, row, col), (pixels, label) in contents(tmp_path / "shards").items():
        if scene == "0":
            number = (row > 0) * 2 + (col > 0)
            with np.load(tmp_path / "out/train_data/train_npzs" / names[number]) as data:
                np.testing.assert_array_equal(data["arr_0"], pixels)
                np.testing.assert_array_equal(data["arr_1"].any(axis=-1), label != 255)


@pytest.mark.parametrize("size", [16, 64])
def test_run_length_codes_there_and_back(tmp_path, size):
    made = made_shards("rle", tmp_path, size)
    run("export", "rle", tmp_path / "shards", "--out", tmp_path / "out")
    shutil.move(tmp_path / "out" / "labels.csv", made.source)
    import_set(made, made.source, tmp_path / "again")
    check_same(tmp_path / "shards", tmp_path / "again")


def test_a_submission_there_and_back(tmp_path):
    made = made_shards("kelp", tmp_path, 16)
    run("export", "kelp", tmp_path / "shards", "--out", tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "labels.tar") as tar:
        tar.extractall(made.source / "train_kelp", filter="data")
    import_set(made, made.source, tmp_path / "again")
    check_same(tmp_path / "shards", tmp_path / "again")


@pytest.mark.parametrize("name", ["folder", "loveda", "rle"])
def test_masks_there_and_back(tmp_path, name):
    made = made_shards(name, tmp_path, 16)
    out = tmp_path / "out"
    run("export", "masks", tmp_path / "shards", "--out", out / "masks")
    for scene, pixels in made.images.items():
        write_raster(out / "images" / f"{scene}.png", pixels)
    made.recipe["imports"] = {"kind": "folder"}
    import_set(made, out, tmp_path / "again")
    check_same(tmp_path / "shards", tmp_path / "again")


def test_masks_of_scenes_with_a_place_have_it(tmp_path):
    made = made_shards("vector", tmp_path, 16)
    run("export", "masks", tmp_path / "shards", "--out", tmp_path / "out")
    with rasterio.open(made.first) as scene, rasterio.open(tmp_path / "out" / "a.tif") as mask:
        assert (mask.crs, mask.transform) == (scene.crs, scene.transform)
        assert mask.nodata == 255
        np.testing.assert_array_equal(mask.read(1), made.labels["a"])
        assert mask.tags()["polynya_version"]


def test_the_same_command_gives_the_same_bytes_and_removes_only_own_files(tmp_path):
    made = made_shards("folder", tmp_path)
    out = tmp_path / "out"
    run("export", "masks", tmp_path / "shards", "--out", out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    run("export", "masks", tmp_path / "shards", "--out", out)
    assert first == {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "mine.png").write_bytes(b"mine")
    (made.source / "images" / "b.png").unlink()
    run("import", "folder", made.source, "--out", tmp_path / "one", "--engine", "here",
        "--recipe", tmp_path / "shards.json")  # fmt: skip
    run("export", "masks", tmp_path / "one", "--out", out)
    assert {path.name for path in out.glob("*.png")} == {"a.png", "mine.png"}
    (out / "a.png").write_bytes(b"changed by hand")
    assert "is not a file that Polynya wrote" in run(
        "export", "masks", tmp_path / "one", "--out", out, expect=1
    ).output.replace("\n", " ")
    assert (out / "a.png").read_bytes() == b"changed by hand"


def test_a_folder_with_other_files_is_refused(tmp_path):
    made_shards("folder", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    said = run("export", "rle", tmp_path / "shards", "--out", tmp_path / "out", expect=1).output
    assert "holds other files (mine.txt)" in said


def test_what_a_kind_cannot_hold_is_one_sentence(tmp_path):
    made = SETS["kelp"](tmp_path / "data")
    made.recipe["split"] = {"validation": 0}
    import_set(made, made.source, tmp_path / "shards")
    said = run("export", "gym", tmp_path / "shards", "--out", tmp_path / "out", expect=1).output
    assert "in the band 'swir16', and the Gym's files hold whole numbers from 0 to 255" in said
    assert "2 of 2 scenes failed" in said
    assert not list((tmp_path / "out").rglob("*.npz"))
    made_shards("folder", tmp_path / "other")
    for kind, why in (
        ("kelp", "has the classes water, ice, land, and a submission holds one mask"),
        ("jpeg", "There is no kind of export 'jpeg'; take one of gym, rle, kelp, masks."),
    ):
        said = run("export", kind, tmp_path / "other/shards", "--out", tmp_path / "x", expect=1)
        assert why.replace("has the", "have the") in said.output
    assert not (tmp_path / "x").exists()


def test_a_title_with_an_underscore_and_images_of_one_name_are_refused(tmp_path):
    made = SETS["folder"](tmp_path / "data")
    made.recipe["classes"]["classes"][1]["title"] = "Sea_ice"
    import_set(made, made.source, tmp_path / "shards")
    said = run("export", "rle", tmp_path / "shards", "--out", tmp_path / "x", expect=1).output
    assert "The class 'Sea_ice' has '_' in its title" in said
    made = SETS["folder"](tmp_path / "data")
    made.recipe["imports"] |= {"images": "{folder}/images/{stem}.*"}
    made.recipe["imports"] |= {"masks": "{folder}/masks/{stem}.*"}
    for place in ("east", "west"):
        write_raster(tmp_path / "two" / place / "images" / "a.png", image(0))
        write_raster(tmp_path / "two" / place / "masks" / "a.png", labels(0, 3))
    import_set(made, tmp_path / "two", tmp_path / "more")
    said = run("export", "rle", tmp_path / "more", "--out", tmp_path / "x", expect=1).output
    assert "a.png have one name, and a table of run-length codes tells" in said
    run("export", "masks", tmp_path / "more", "--out", tmp_path / "masks")
    assert len(list((tmp_path / "masks").glob("*.png"))) == 2


def test_a_damaged_tile_costs_its_image_and_the_others_are_written(tmp_path):
    made_shards("rle", tmp_path)
    (name,) = {name for row in read_manifest(Folder.at(tmp_path / "shards")) for name in
               row.file_names}  # fmt: skip
    path = tmp_path / "shards" / name
    table = pq.read_table(path).to_pylist()
    table[0]["label"] = bytes(len(table[0]["label"]))
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for row in table:  # A group for each scene.
            writer.write_table(pa.Table.from_pylist([row], SCHEMA))
    said = run("export", "masks", tmp_path / "shards", "--out", tmp_path / "out", expect=1).output
    assert "1 of 2 scenes failed, the others are done" in said
    assert "has a damaged tile of a (the checksum of its label is wrong)" in said
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["b.png"]

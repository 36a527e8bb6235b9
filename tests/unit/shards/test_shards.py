"""Writing and reading shards."""

import csv
import os

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import ice_image

from polynya.errors import OutputError, ShardError
from polynya.grid import tile_grid
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene
from polynya.shards.dataset import open_shards
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.shards.manifest import SceneResult, read_manifest
from polynya.shards.writer import LabelledTile, ShardWriter, tile_row
from polynya.storage.folder import Folder


@pytest.fixture
def image():
    return ice_image(100, 70)


@pytest.fixture
def dataset(tmp_path, write_scene, image):
    """A finished data set of one 100 x 70 scene in tiles of 64."""
    return make_dataset(tmp_path / "shards", write_scene("a.tif", image), image)


def make_dataset(place, path, image, recipe=None, **options):
    recipe = recipe or Recipe.model_validate({"tiles": {"size": 64}})
    scene = open_scene(str(path))
    folder = start_dataset(place, recipe)
    writer = ShardWriter(folder, scene.id, **options)
    for tile in tile_grid(*image.shape[:2], recipe.tiles.size):
        label = np.full((tile.height, tile.width), 1, np.uint8)
        writer.add(tile_row(scene, LabelledTile(tile, image[tile.slices], label), recipe, "test"))
    writer.close()
    files = " ".join(writer.files)
    finish_dataset(folder, [SceneResult(scene.id, scene.uri, "done", files=files)])
    return place


def test_tiles_come_back_as_they_went_in_padded_with_nodata(dataset, image):
    shards = open_shards(dataset)
    assert shards.scene_ids == ("a",)
    images, labels = shards.load(["a"], size=64)
    assert images.shape == (4, 64, 64, 3)
    assert (images[1, :, :6] == image[:64, 64:]).all()
    assert (images[1, :, 6:] == 0).all()
    assert (labels[1, :, :6] == 1).all()
    assert (labels[1, :, 6:] == 255).all()
    assert shards.load([], size=64)[0].shape == (0, 64, 64, 3)


def test_rows_carry_georeference_counts_and_recipe(dataset):
    row = ds.dataset(dataset).to_table().to_pylist()[3]
    assert row["scene_id"] == "a"
    assert (row["row"], row["col"], row["height"], row["width"]) == (64, 64, 36, 6)
    assert row["crs"] == "EPSG:3031"
    assert row["transform"] == [10, 0, -299_360, 0, -10, -1_200_640]
    assert row["class_counts"] == [0, 216, 0]
    assert row["valid_share"] == 1.0
    assert row["recipe_digest"] == open_shards(dataset).recipe.labels_digest()


def test_files_are_split_by_size_and_nothing_partial_remains(tmp_path, write_scene, image):
    path = write_scene("a.tif", image)
    folder = make_dataset(tmp_path / "small", path, image, file_bytes=20_000)
    assert sorted(path.name for path in folder.glob("*.parquet")) == [
        "a-000.parquet",
        "a-001.parquet",
    ]
    assert len(open_shards(folder).load(["a"], 64)[0]) == 4


def test_the_manifest_is_sorted_and_marks_the_end(tmp_path):
    folder = start_dataset(tmp_path / "out", Recipe())
    with pytest.raises(ShardError, match="no finished shards"):
        open_shards(folder)
    finish_dataset(
        folder, [SceneResult("b", "b.tif", "failed", "why"), SceneResult("a", "a.tif", "done")]
    )
    with open(tmp_path / "out" / "_manifest.csv") as file:
        assert [row["scene_id"] for row in csv.DictReader(file)] == ["a", "b"]
    with pytest.raises(ShardError, match="holds no labelled tile"):
        open_shards(folder)


def test_the_manifest_comes_back_as_it_was_written(tmp_path):
    folder = start_dataset(tmp_path / "out", Recipe())
    results = [
        SceneResult("a", "a, b.tif", "done", tiles=3, labelled=2, nodata=1, veiled_pixels=0),
        SceneResult("b", "b.tif", "failed", 'It is "broken", fix it.', tiles=2, failed=2),
    ]
    finish_dataset(folder, results)
    assert read_manifest(folder) == results
    path = tmp_path / "out" / "_manifest.csv"
    path.write_text(path.read_text().replace(",3,", ",three,"))
    with pytest.raises(ShardError, match="_manifest.csv is damaged"):
        read_manifest(folder)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ShardError, match="other columns than a manifest"):
        read_manifest(folder)


def test_files_that_the_manifest_does_not_name_go_at_the_end(dataset):
    folder = start_dataset(dataset, Recipe.model_validate({"tiles": {"size": 64}}))
    for left in ("killed-000.parquet", "_work/killed.json", "_work/killed.sky"):
        folder.write(left, b"half")
    assert len(open_shards(dataset).load(["a"], 64)[0]) == 4
    finish_dataset(folder, read_manifest(folder))
    assert folder.names() == ["_dataset.json", "_manifest.csv", "a-000.parquet"]
    assert not (dataset / "_work").exists()


@pytest.mark.parametrize("name", [
    "notes.txt", "README.md", "model/model.keras", "other.parquet", "x-000.parquet",
    f".x-001.{'0a' * 16}.parquet", "_work/notes.txt", "_work/x.json", "_pictures/a.png",
    "sub/a-000.parquet", os.fsdecode(b"n\xf6.txt"),
])  # fmt: skip
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_else_is_in_the_folder_is_left_alone(dataset, name, overwrite):
    own = dataset / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    folder = start_dataset(dataset, Recipe.model_validate({"tiles": {"size": 64}}), overwrite)
    finish_dataset(folder, read_manifest(folder))
    assert own.read_text() == "mine"
    assert (dataset / "a-000.parquet").exists() != overwrite


@pytest.mark.parametrize("name", ["_manifest.csv", "_dataset.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_file_in_the_place_of_ours_ends_the_run_before_any_work(dataset, name, overwrite):
    (dataset / name).write_text("mine")
    recipe = Recipe.model_validate({"tiles": {"size": 64}})
    with pytest.raises(OutputError, match=f"{name} is not a file that Polynya wrote"):
        start_dataset(dataset, recipe, overwrite)
    assert (dataset / name).read_text() == "mine"
    assert (dataset / "a-000.parquet").exists()


def test_a_data_set_may_be_a_link(dataset, tmp_path):
    (tmp_path / "link").symlink_to(dataset, target_is_directory=True)
    recipe = Recipe.model_validate({"tiles": {"size": 64}})
    start_dataset(tmp_path / "link", recipe, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert Folder.at(dataset).names() == ["_dataset.json"]


def test_scenes_may_share_a_file(tmp_path, write_scene):
    images = {name: ice_image(100, 70, seed) for seed, name in enumerate("abc")}
    recipe = Recipe.model_validate({"tiles": {"size": 64}})
    folder = start_dataset(tmp_path / "out", recipe)
    writer = ShardWriter(folder, "all", rows_per_group=3)
    for name, image in images.items():
        scene = open_scene(str(write_scene(f"{name}.tif", image)))
        for tile in tile_grid(100, 70, 64):
            label = np.zeros((tile.height, tile.width), np.uint8)
            there = LabelledTile(tile, image[tile.slices], label)
            assert writer.add(tile_row(scene, there, recipe, "test")) == "all-000.parquet"
    writer.close()
    results = [SceneResult(n, f"{n}.tif", "done", files="all-000.parquet") for n in images]
    finish_dataset(folder, results)
    for name, image in images.items():
        loaded, _ = open_shards(folder).load([name], 64)
        assert len(loaded) == 4
        assert (loaded[0] == image[:64, :64]).all()


def test_a_data_set_is_taken_up_by_its_own_recipe_only(dataset, tmp_path):
    with pytest.raises(OutputError, match="shards of another recipe.*add --overwrite"):
        start_dataset(dataset, Recipe())
    same = Recipe.model_validate({"tiles": {"size": 64}, "training": {"epochs": 3}})
    start_dataset(dataset, same)
    assert (dataset / "a-000.parquet").exists()
    start_dataset(dataset, Recipe(), overwrite=True)
    assert not (dataset / "a-000.parquet").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="holds other files"):
        start_dataset(tmp_path / "mine", Recipe(), overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match="choose another --out"):
            start_dataset(tmp_path / place, Recipe())


def test_keys_that_labels_do_not_depend_on_are_those_of_the_last_recipe(dataset):
    kept = Recipe.model_validate({"tiles": {"size": 64}, "split": {"validation": 0}})
    start_dataset(dataset, kept)
    assert open_shards(dataset).recipe == kept
    digest = kept.labels_digest()
    start_dataset(dataset, Recipe.model_validate({"tiles": {"size": 64}, "seed": 7}))
    found = open_shards(dataset).recipe
    assert (found.seed, found.split.validation) == (7, Recipe().split.validation)
    assert found.labels_digest() == digest


def test_no_recipe_leaves_the_one_of_the_data_set(tmp_path):
    asked = Recipe.model_validate({"split": {"validation": 0}})
    folder = start_dataset(tmp_path / "shards", asked)
    before = folder.read("_dataset.json")
    start_dataset(tmp_path / "shards", Recipe())
    assert folder.read("_dataset.json") == before


def test_shards_of_an_earlier_version_are_one_sentence(dataset, tmp_path):
    description = dataset / "_dataset.json"
    description.write_text(description.read_text().replace('"format": 4', '"format": 1'))
    with pytest.raises(ShardError, match="format 1, this version reads 2, 3, 4"):
        open_shards(dataset)
    (dataset / "_polynya.csv").unlink()
    with pytest.raises(OutputError, match="earlier version of Polynya.*choose another --out"):
        start_dataset(dataset, Recipe(), overwrite=True)


def test_other_classes_and_larger_tiles_are_errors(dataset):
    shards = open_shards(dataset)
    shards.check_scheme(Recipe().classes)
    two = ClassScheme(name="two", classes=Recipe().classes.classes[:2])
    with pytest.raises(
        ShardError, match="have the classes of 'sea-ice'.*the recipe has those of 'two'"
    ):
        shards.check_scheme(two)
    with pytest.raises(ShardError, match="label again or correct its key 'tiles.size'"):
        shards.load(["a"], size=32)


def test_damage_is_noticed(dataset):
    file = dataset / "a-000.parquet"
    table = pq.read_table(file)
    images = table.column("image").to_pylist()
    images[0] = b"\0" + images[0][1:]
    index = table.schema.get_field_index("image")
    pq.write_table(table.set_column(index, "image", [images]), file)
    with pytest.raises(ShardError, match="is damaged"):
        open_shards(dataset).load(["a"], 64)
    file.write_bytes(b"PAR1")
    with pytest.raises(ShardError, match="can't be read"):
        open_shards(dataset).load(["a"], 64)
    description = dataset / "_dataset.json"
    description.write_text("{}")
    with pytest.raises(ShardError, match="_dataset.json is damaged"):
        open_shards(dataset)

"""Writing and reading shards."""

import csv

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import ice_image

from polynya.classes import ClassScheme
from polynya.errors import OutputError, ShardError
from polynya.grid import tile_grid
from polynya.manifest import SceneResult, read_manifest
from polynya.recipe import Recipe
from polynya.scenes import open_scene
from polynya.shard_writer import LabelledTile, ShardWriter, finish_dataset, start_dataset, tile_row
from polynya.shards import open_shards


@pytest.fixture
def image():
    return ice_image(100, 70)


@pytest.fixture
def dataset(tmp_path, write_scene, image):
    """A finished data set of one 100 x 70 scene in tiles of 64."""
    return make_dataset(tmp_path / "shards", write_scene("a.tif", image), image)


def make_dataset(place, path, image, recipe=None):
    recipe = recipe or Recipe.model_validate({"tiles": {"size": 64}})
    scene = open_scene(str(path))
    folder = start_dataset(place, recipe)
    writer = ShardWriter(folder, scene.id)
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


def test_files_are_split_by_size_and_nothing_partial_remains(
    tmp_path, write_scene, image, monkeypatch
):
    monkeypatch.setattr("polynya.shard_writer.FILE_BYTES", 20_000)
    folder = make_dataset(tmp_path / "small", write_scene("a.tif", image), image)
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
        SceneResult("b", "b.tif", "failed", 'It is "broken", mend it.', tiles=2, failed=2),
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
    (dataset / "killed-000.parquet").write_bytes(b"half")
    (dataset / f".killed-001.{'0a' * 16}.parquet").write_bytes(b"half")
    (dataset / "_work").mkdir()
    (dataset / "_work" / "killed.json").touch()
    folder = start_dataset(dataset, Recipe.model_validate({"tiles": {"size": 64}}))
    assert len(open_shards(dataset).load(["a"], 64)[0]) == 4
    finish_dataset(folder, read_manifest(folder))
    names = sorted(path.name for path in dataset.iterdir())
    assert names == ["_dataset.json", "_manifest.csv", "a-000.parquet"]


def test_what_else_is_in_the_folder_is_left_alone(dataset):
    (dataset / "model" / "empty").mkdir(parents=True)
    own = [dataset / "notes.txt", dataset / "model" / "model.keras", dataset / "other.parquet"]
    for path in own:
        path.write_text("mine")
    folder = start_dataset(dataset, Recipe.model_validate({"tiles": {"size": 64}}))
    finish_dataset(folder, read_manifest(folder))
    assert (dataset / "a-000.parquet").exists()
    start_dataset(dataset, Recipe(), overwrite=True)
    assert not (dataset / "a-000.parquet").exists()
    assert all(path.read_text() == "mine" for path in own)
    assert (dataset / "model" / "empty").is_dir()


def test_scenes_may_share_a_file(tmp_path, write_scene, monkeypatch):
    monkeypatch.setattr("polynya.shard_writer.ROWS_PER_GROUP", 3)
    images = {name: ice_image(100, 70, seed) for seed, name in enumerate("abc")}
    recipe = Recipe.model_validate({"tiles": {"size": 64}})
    folder = start_dataset(tmp_path / "out", recipe)
    writer = ShardWriter(folder, "all")
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
    (dataset / "_dataset.json").write_text("{}")
    with pytest.raises(OutputError, match="shards of another recipe"):
        start_dataset(dataset, Recipe())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="holds other files"):
        start_dataset(tmp_path / "mine", Recipe(), overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match="choose another --out"):
            start_dataset(tmp_path / place, Recipe())


def test_other_classes_and_larger_tiles_are_errors(dataset):
    shards = open_shards(dataset)
    shards.check_scheme(Recipe().classes)
    two = ClassScheme(name="two", classes=Recipe().classes.classes[:2])
    with pytest.raises(
        ShardError, match="have the classes of 'sea-ice'.*the recipe those of 'two'"
    ):
        shards.check_scheme(two)
    with pytest.raises(ShardError, match="label again or mend its key 'tiles.size'"):
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
    content = description.read_text()
    description.write_text("{}")
    with pytest.raises(ShardError, match="_dataset.json is damaged"):
        open_shards(dataset)
    description.write_text(content.replace('"format": 2', '"format": 1'))
    with pytest.raises(ShardError, match="another version"):
        open_shards(dataset)

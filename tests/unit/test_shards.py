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
from polynya.recipe import Recipe
from polynya.scenes import open_scene
from polynya.shards import (
    LabelledTile,
    SceneResult,
    finish_dataset,
    open_shards,
    start_dataset,
    tile_row,
    write_scene_shards,
)


@pytest.fixture
def image():
    return ice_image(100, 70)


@pytest.fixture
def dataset(tmp_path, write_scene, image):
    """A finished data set of one 100 x 70 scene in tiles of 64."""
    return make_dataset(tmp_path / "shards", write_scene("a.tif", image), image)


def make_dataset(folder, path, image, recipe=None):
    recipe = recipe or Recipe.model_validate({"tiles": {"size": 64}})
    scene = open_scene(str(path))
    start_dataset(folder, recipe)
    rows = [
        tile_row(
            scene,
            LabelledTile(tile, image[tile.slices], np.full((tile.height, tile.width), 1, np.uint8)),
            recipe,
            "test",
        )
        for tile in tile_grid(*image.shape[:2], recipe.tiles.size)
    ]
    files = write_scene_shards(folder, scene, rows)
    finish_dataset(folder, [SceneResult(scene.id, scene.uri, "done", files=files)])
    return folder


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
    row = ds.dataset(dataset, partitioning="hive").to_table().to_pylist()[3]
    assert row["scene"] == row["scene_id"] == "a"
    assert (row["row"], row["col"], row["height"], row["width"]) == (64, 64, 36, 6)
    assert row["crs"] == "EPSG:3031"
    assert row["transform"] == [10, 0, -299_360, 0, -10, -1_200_640]
    assert row["class_counts"] == [0, 216, 0]
    assert row["valid_share"] == 1.0
    assert row["recipe_digest"] == open_shards(dataset).recipe.labels_digest()


def test_files_are_split_by_size_and_nothing_partial_remains(
    tmp_path, write_scene, image, monkeypatch
):
    monkeypatch.setattr("polynya.shards.FILE_BYTES", 20_000)
    folder = make_dataset(tmp_path / "small", write_scene("a.tif", image), image)
    assert len(list((folder / "scene=a").iterdir())) == 2
    assert not list(folder.glob("_partial*"))
    assert len(open_shards(folder).load(["a"], 64)[0]) == 4


def test_the_manifest_is_sorted_and_marks_the_end(tmp_path):
    folder = start_dataset(tmp_path / "out", Recipe())
    with pytest.raises(ShardError, match="no finished shards"):
        open_shards(folder)
    finish_dataset(
        folder, [SceneResult("b", "b.tif", "failed", "why"), SceneResult("a", "a.tif", "done")]
    )
    with open(folder / "_manifest.csv") as file:
        assert [row["scene_id"] for row in csv.DictReader(file)] == ["a", "b"]
    with pytest.raises(ShardError, match="holds no labelled tile"):
        open_shards(folder)


def test_what_a_killed_task_left_is_no_obstacle_and_goes_at_the_end(dataset, write_scene, image):
    stale = dataset / "_partial-a-left"
    stale.mkdir()
    (stale / "part-00000.parquet").touch()
    rows = ds.dataset(dataset, partitioning="hive").to_table().drop(["scene"]).to_pylist()
    write_scene_shards(dataset, open_scene(str(write_scene("a.tif", image))), rows)
    # Another attempt at the scene may still be writing there.
    assert stale.exists()
    finish_dataset(dataset, [SceneResult("a", "a.tif", "done")])
    assert not list(dataset.glob("_partial*"))
    assert len(open_shards(dataset).load(["a"], 64)[0]) == 4


def test_finished_shards_are_kept_unless_told_and_other_files_always(dataset, tmp_path):
    with pytest.raises(OutputError, match="add --overwrite"):
        start_dataset(dataset, Recipe())
    assert (dataset / "scene=a").exists()
    start_dataset(dataset, Recipe(), overwrite=True)
    assert not (dataset / "scene=a").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="holds other files"):
        start_dataset(tmp_path / "mine", Recipe(), overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Can't write to"):
        start_dataset(tmp_path / "file", Recipe())


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
    file = dataset / "scene=a" / "part-00000.parquet"
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
    (dataset / "_dataset.json").write_text("{}")
    with pytest.raises(ShardError, match="_dataset.json is damaged"):
        open_shards(dataset)

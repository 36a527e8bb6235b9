"""What one labelling task does to a scene."""

import csv
from typing import get_args

import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import ice_image, label_here

from autolabel import filter_image, label_image
from autolabel.filters.illumination.sky import confidence, estimate_sky
from autolabel.labels import Method
from autolabel.scene_tiles import cut_tiles, label_pixels
from autolabel.thresholds.brightness import brightness
from autolabel.thresholds.profiles import get_profile
from data_samples import make_scene
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import SceneLayers
from polynya.shards.dataset import open_shards


def recipe(**label):
    return Recipe.model_validate({"tiles": {"size": 64}, "label": label})


def labelled_whole(image, valid, options):
    """The tiles of a scene put together again."""
    images = np.zeros_like(image)
    labels = np.full(valid.shape, 255, np.uint8)
    labelled = label_pixels(image, valid, options, get_profile("ross-sea-summer"))
    for tile in cut_tiles(labelled, valid, options):
        images[tile.tile.slices] = tile.image
        labels[tile.tile.slices] = tile.label
    return images, labels


@pytest.fixture
def scene():
    image = ice_image(150, 200)
    valid = np.ones((150, 200), bool)
    valid[:, :90] = np.tri(150, 90, -20, bool).T[:90].T
    image[~valid] = 0
    return image, valid


@pytest.mark.parametrize("method", get_args(Method))
def test_tiles_get_the_label_of_the_whole_scene(scene, method):
    image, valid = scene
    images, labels = labelled_whole(image, valid, recipe(method=method))
    assert (labels == label_image(image, method=method, valid=valid)).all()
    assert (images == image).all()
    assert (labels[~valid] == 255).all()


def test_scope_tile_filters_each_tile_alone(scene):
    image, valid = scene
    _, labels = labelled_whole(image, valid, recipe(method="published", scope="tile"))
    corner = image[64:128, 64:128]
    expected = label_image(corner, method="published", valid=valid[64:128, 64:128])
    assert (labels[64:128, 64:128] == expected).all()
    whole = label_image(image, method="published", valid=valid)
    assert (labels != whole).any()


def test_shards_can_hold_the_filtered_image(scene):
    image, valid = scene
    images, _ = labelled_whole(image, valid, recipe(method="published", images="filtered"))
    assert (images == filter_image(image, method="published", valid=valid)).all()


def test_cloud_and_doubt_become_nodata_where_the_recipe_says_so(tmp_path, write_scene):
    sample = make_scene(503, 4, (512, 512), "both")
    path = write_scene("a.tif", sample.observed)
    plain, strict = recipe(), recipe(thick_cloud="nodata", most_haze=0.1, uncertain="nodata")
    results, shares = [], []
    for options in (plain, strict):
        folder, made = label_here(options, tmp_path / options.label.uncertain, path)
        results += made
        _, labels = open_shards(folder).load(["a"], 64)
        shares.append((labels == 255).mean())
    assert results[0].uncertain_pixels is None
    assert 0 < results[1].uncertain_pixels < 0.3 * results[1].valid_pixels
    assert 0 < results[1].thick_cloud_pixels < results[1].veiled_pixels
    assert shares[0] < 0.001
    hidden = results[1].uncertain_pixels + results[1].thick_cloud_pixels
    assert 0 < (shares[1] - shares[0]) * 512 * 512 <= hidden


def test_the_cloud_layer_of_a_scene_becomes_nodata_and_is_counted(tmp_path, write_scene):
    sample = make_scene(505, 0, (160, 256), "both", wedge=0.1)
    valid, cloud = sample.valid, np.zeros((160, 256), bool)
    cloud[40:100, 30:130] = True  # Also where the scene has no data.
    cloud[:, 200:216] = True
    image = sample.observed.copy()
    image[cloud & valid] = 235
    # Opaque cloud of medium and of high probability; 3 is shadow of cloud, 11 snow.
    codes = np.where(cloud, 9, 11).astype(np.uint8)
    codes[:20, 200:216] = 8
    codes[120:, :100] = 3
    path = write_scene("a.tif", image)
    write_scene("a_SCL.tif", codes)
    options = Recipe.model_validate(
        {
            "tiles": {"size": 64},
            "scene": {"layers": {"clouds": "{stem}_SCL.tif"}},
            "label": {"thick_cloud": "nodata", "uncertain": "nodata"},
        }
    )
    folder, (result,) = label_here(options, tmp_path / "out", path)

    layers = SceneLayers(None, None, None, cloud, None)
    sky = estimate_sky(image, valid, layers=layers)
    thick = sky.hidden(options.label.most_haze)
    unsure = confidence(brightness(image), valid, sky) < options.label.least_confidence
    assert (thick == cloud).all()
    assert (result.status, result.reason) == ("done", "")
    assert result.valid_pixels == valid.sum() < valid.size
    assert result.thick_cloud_pixels == (cloud & valid).sum() < cloud.sum()
    assert result.veiled_pixels == (sky.veiled() & valid).sum() >= result.thick_cloud_pixels
    assert result.uncertain_pixels == (unsure & valid).sum() > 0
    with open(tmp_path / "out" / "_manifest.csv", newline="") as file:
        row = next(csv.DictReader(file))
    for column in ("veiled_pixels", "thick_cloud_pixels", "uncertain_pixels"):
        assert row[column] == str(getattr(result, column))

    expected = label_image(image, valid=valid, layers=layers)
    expected[thick | unsure] = 255
    counts = [int((expected == code).sum()) for code in (0, 1, 2)]
    assert [int(part.split("=")[1]) for part in result.class_pixels.split()] == counts
    tiles = ds.dataset(folder.place).to_table().to_pylist()
    assert len(tiles) == result.labelled > 8
    differs = []
    for tile in tiles:
        height, width = tile["height"], tile["width"]
        place = np.s_[tile["row"] : tile["row"] + height, tile["col"] : tile["col"] + width]
        labels = np.frombuffer(tile["label"], np.uint8).reshape(height, width)
        assert (labels == expected[place]).all()
        images = np.frombuffer(tile["image"], np.uint8).reshape(height, width, 3)
        assert (images == image[place]).all()
        veiled = sky.veiled()[place][valid[place]].mean()
        assert tile["veiled_share"] == pytest.approx(veiled, abs=1e-12)
        differs.append(abs(sky.veiled()[place].mean() - veiled) > 0.01)
        assert tile["label_source"] == "illumination/scene/ross-sea-summer"
    assert len({tile["veiled_share"] for tile in tiles}) > 2
    # Nodata makes a difference in some of them.
    assert any(differs)


def test_without_its_cloud_layer_a_scene_fails_with_the_reason(tmp_path, write_scene):
    options = Recipe.model_validate({"scene": {"layers": {"clouds": "{stem}_SCL.tif"}}})
    path = str(write_scene("a.tif", ice_image(70, 70)))
    _, (result,) = label_here(options, tmp_path / "out", path)
    assert result.status == "failed"
    assert result.reason.startswith(f"{path} has no cloud layer")
    assert "fix scene.layers.clouds" in result.reason


@pytest.mark.parametrize("method", ["none", "published"])
def test_methods_that_look_at_colours_only_leave_the_sky_open(tmp_path, write_scene, method):
    options = recipe(method=method)
    path = write_scene("a.tif", ice_image(70, 70))
    folder, (result,) = label_here(options, tmp_path / "out", path)
    assert (result.veiled_pixels, result.thick_cloud_pixels, result.uncertain_pixels) == (None,) * 3
    table = ds.dataset(folder.place).to_table()
    assert table["veiled_share"].null_count == len(table)


def test_thousand_tiles_have_the_labels_of_their_scenes(tmp_path, write_scene):
    """A job over many tiles cut from scenes labels as the scenes are labelled whole."""
    options = Recipe.model_validate({"tiles": {"size": 32}})
    paths, expected = [], {}
    for index in range(4):
        sample = make_scene(503, index, (512, 512), "both")
        path = str(write_scene(f"s{index}.tif", sample.observed))
        valid = sample.observed.any(axis=2)
        expected[f"s{index}"] = label_image(sample.observed, valid=valid)
        paths.append(path)
    folder, results = label_here(options, tmp_path / "out", *paths)
    assert sum(result.tiles for result in results) == 1024
    for name, whole in expected.items():
        _, labels = open_shards(folder).load([name], 32)
        in_order = [
            whole[row : row + 32, col : col + 32]
            for row in range(0, 512, 32)
            for col in range(0, 512, 32)
            if (whole[row : row + 32, col : col + 32] != 255).any()
        ]
        assert (labels == np.array(in_order)).all()


def test_tiles_with_too_little_data_are_counted_not_written(tmp_path, write_scene):
    image = ice_image(128, 128)
    image[:64, :64] = 0
    image[:64, 64:120] = 0
    options = Recipe.model_validate({"tiles": {"size": 64, "min_valid": 0.2}})
    path = str(write_scene("a.tif", image))
    folder, (result,) = label_here(options, tmp_path / "out", path)
    assert (result.tiles, result.labelled, result.nodata) == (4, 2, 2)
    assert result.valid_pixels == 64 * 8 + 64 * 128
    _, labels = open_shards(folder).load(["a"], 64)
    counts = dict(part.split("=") for part in result.class_pixels.split())
    assert [int(n) for n in counts.values()] == [int((labels == code).sum()) for code in (0, 1, 2)]


def test_a_scene_without_a_valid_pixel_is_nodata_and_no_failure(tmp_path, write_scene):
    black = str(write_scene("black.tif", np.zeros((70, 70, 3), np.uint8)))
    _, (result,) = label_here(recipe(), tmp_path / "out", black)
    assert result.status == "nodata"
    assert (result.tiles, result.labelled, result.nodata, result.failed) == (4, 0, 4, 0)

"""What one labelling task does to a scene."""

import numpy as np
import pytest
from conftest import ice_image

from autolabel import filter_image, label_image
from autolabel.scene_tiles import label_scene, label_tiles
from autolabel.thresholds import get_profile
from polynya.recipe import Recipe
from polynya.scenes import SceneRef
from polynya.shards import finish_dataset, open_shards, start_dataset


def recipe(**label):
    return Recipe.model_validate({"tiles": {"size": 64}, "label": label})


def labelled_whole(image, valid, options):
    """The tiles of a scene put together again."""
    images = np.zeros_like(image)
    labels = np.full(valid.shape, 255, np.uint8)
    for tile in label_tiles(image, valid, options, get_profile("ross-sea-summer")):
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


@pytest.mark.parametrize("method", ["none", "published"])
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


def test_tiles_with_too_little_data_are_counted_not_written(tmp_path, write_scene):
    image = ice_image(128, 128)
    image[:64, :64] = 0
    image[:64, 64:120] = 0
    options = Recipe.model_validate({"tiles": {"size": 64, "min_valid": 0.2}})
    folder = start_dataset(tmp_path / "out", options)
    path = str(write_scene("a.tif", image))
    result = label_scene(SceneRef("a", path), options, folder)
    assert (result.tiles, result.labelled, result.nodata) == (4, 2, 2)
    assert result.valid_pixels == 64 * 8 + 64 * 128
    finish_dataset(folder, [result])
    _, labels = open_shards(folder).load(["a"], 64)
    counts = dict(part.split("=") for part in result.class_pixels.split())
    assert [int(n) for n in counts.values()] == [int((labels == code).sum()) for code in (0, 1, 2)]


def test_an_unusable_scene_is_a_failed_row_with_the_reason(tmp_path, write_scene):
    black = str(write_scene("black.tif", np.zeros((70, 70, 3), np.uint8)))
    result = label_scene(SceneRef("black", black), recipe(), tmp_path)
    assert result.status == "failed"
    assert result.reason == f"{black} has no valid pixel, all of it is nodata; leave it out."
    good = str(write_scene("good.tif", ice_image(70, 70)))
    (tmp_path / "file").touch()
    result = label_scene(SceneRef("good", good), recipe(), tmp_path / "file")
    assert result.status == "failed"
    assert "could not be labelled into" in result.reason

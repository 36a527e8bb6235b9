"""Scenes that a model sees in one size (`inference.size`): what it sees, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ice_image

from autolabel import label_image
from autolabel.importers.prepare import Placement, fit_pixels
from autolabel.importers.rasters import Pixels
from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from inference.predict.parts import scene_parts
from inference.predict.predict import open_model, predict_bands, predict_scene, scene_windows
from inference.predict.resize import bilinear, read_resized
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene

INFERENCE = {"window": 64, "overlap": 0.5, "batch_size": 4}


def rows_of(image, valid):
    return lambda start, stop: (image[start:stop], valid[start:stop])


def test_the_model_sees_what_an_import_makes_of_an_image():
    image, valid = ice_image(60, 90), np.ones((60, 90), bool)
    seen = read_resized(rows_of(image, valid), 60, (24, 32))
    imported = fit_pixels(Pixels(image, valid, None), Placement.stretched(24, 32), False)
    np.testing.assert_array_equal(seen.image, imported.image)
    assert seen.seen.all()
    np.testing.assert_array_equal(seen.rows(3, 9)[0], seen.image[3:9])


def test_pixels_without_data_do_not_count():
    image, valid = np.full((8, 8, 3), 200, np.uint8), np.ones((8, 8), bool)
    image[:, :3], valid[:, :3] = 0, False
    seen = read_resized(rows_of(image, valid), 8, (4, 4))
    assert seen.seen.tolist() == [[False, True, True, True]] * 4
    assert (seen.image[:, 1:] == 200).all()
    assert (seen.valid == valid).all()


def test_missing_values_of_a_band_stay_missing():
    image = np.ones((4, 4, 2), np.float32)
    image[:2, :2, 1] = np.nan
    image[2, 2, 0] = np.nan
    seen = read_resized(rows_of(image, np.ones((4, 4), bool)), 4, (2, 2)).image
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[..., 0], np.ones((2, 2)))
    np.testing.assert_array_equal(seen[..., 1], [[np.nan, 1], [1, 1]])


def test_interpolation_leaves_out_pixels_without_data():
    probabilities, valid = np.full((2, 2, 1), 0.8, np.float32), np.array([[True, False]] * 2)
    probabilities[~valid] = 0
    large = bilinear(probabilities, valid, (4, 4))
    np.testing.assert_allclose(large[:, :3], 0.8, rtol=1e-6)
    small = bilinear(np.float32([0, 1, 2, 3])[None, :, None], np.ones((1, 4), bool), (1, 2))
    np.testing.assert_allclose(small.ravel(), [0.5, 2.5])


@pytest.fixture
def scene(write_scene):
    image = ice_image(600, 70)
    image[:, 60:] = 0
    return open_scene(str(write_scene("scene.tif", image, nodata=0)))


def test_the_size_of_the_scene_changes_nothing(tmp_path, scene):
    plain = open_model(save_unet(tmp_path / "a", make_recipe(64)))
    recipe = make_recipe(64, inference=INFERENCE | {"size": [600, 70]})
    same = open_model(save_unet(tmp_path / "b", recipe))
    first, second = (predict_scene(m, scene, with_probabilities=True) for m in (plain, same))
    np.testing.assert_array_equal(first.codes, second.codes)
    valid = first.codes != 255
    np.testing.assert_allclose(first.probabilities[valid], second.probabilities[valid], atol=1e-6)


def test_a_map_has_the_size_and_the_nodata_of_the_scene(tmp_path, scene):
    recipe = make_recipe(64, inference=INFERENCE | {"size": [96, 32]})
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    assert (
        scene_windows(model, scene).rows.length,
        scene_windows(model, scene).columns.length,
    ) == (96, 32)
    assert len(scene_parts(model, scene)) == 1
    bands = list(predict_bands(model, scene))
    assert [band.row for band in bands] == [0, 256, 512]
    prediction = predict_scene(model, scene, with_probabilities=True)
    assert prediction.codes.shape == (600, 70)
    assert ((prediction.codes == 255) == (np.arange(70) >= 60)).all()
    valid = prediction.codes != 255
    np.testing.assert_allclose(prediction.probabilities[valid].sum(axis=-1), 1, atol=1e-5)


def test_large_areas_are_what_they_are_at_full_size(tmp_path, write_scene):
    image = np.kron(ice_image(16, 16)[::8, ::8], np.ones((64, 64, 1), np.uint8))
    image[:64], image[64:] = 15, 230
    scene = open_scene(str(write_scene("a.tif", image)))
    recipe = make_recipe(64, inference=INFERENCE | {"size": [32, 32]})
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    codes = predict_scene(model, scene).codes
    wrong = codes != label_image(image, method="none")
    # The edge is between rows 63 and 64; a pixel of the model is four rows.
    assert not wrong[:60].any()
    assert not wrong[68:].any()


def test_the_size_changes_the_digest_and_its_absence_does_not():
    plain, sized = Recipe(), Recipe.model_validate({"inference": {"size": [96, 32]}})
    assert plain.digest() != sized.digest()
    assert plain.digest() == Recipe.model_validate({"inference": {"size": None}}).digest()

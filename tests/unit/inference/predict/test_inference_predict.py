"""Whole scenes through real Keras models."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ice_image

from autolabel import filter_image, label_image
from autolabel.scene_tiles import filter_scene
from data_samples import make_scene
from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from inference import predict_bands, predict_scene
from inference.predict.predict import open_model, scene_windows
from polynya.errors import ModelError
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import open_scene, read_scene


@pytest.fixture(scope="module")
def threshold_model(tmp_path_factory):
    return open_model(
        save_threshold_model(tmp_path_factory.mktemp("model") / "thresholds", make_recipe())
    )


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    return open_model(save_unet(tmp_path_factory.mktemp("model") / "unet", make_recipe(32)))


def wedge(image):
    """The image with a black nodata wedge and a nodata hole."""
    image = image.copy()
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    image[rows + columns < min(image.shape[:2]) // 3] = 0
    image[image.shape[0] // 2, image.shape[1] // 2] = 0
    return image


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 97), (150, 1), (20, 30), (64, 64), (65, 64), (203, 131)]
)
def test_scenes_of_any_size_get_the_classes_of_the_model(
    threshold_model, write_scene, height, width
):
    image = ice_image(height, width)
    scene = open_scene(str(write_scene("scene.tif", image)))
    codes = predict_scene(threshold_model, scene).codes
    assert codes.dtype == np.uint8
    assert codes.shape == (height, width)
    np.testing.assert_array_equal(codes, label_image(image, method="none"))


def test_nodata_is_kept_exactly_and_never_invented(threshold_model, write_scene):
    image = wedge(ice_image(203, 131))
    scene = open_scene(str(write_scene("scene.tif", image, nodata=0)))
    codes = predict_scene(threshold_model, scene).codes
    np.testing.assert_array_equal(codes, label_image(image, method="none"))
    assert ((codes == 255) == ~read_scene(scene)[1]).all()
    assert (codes == 255).sum() > 500


def test_scenes_longer_than_one_read_are_put_together(threshold_model, write_scene):
    image = wedge(ice_image(2100, 40))
    scene = open_scene(str(write_scene("long.tif", image)))
    codes = predict_scene(threshold_model, scene, overlap=0.25).codes
    valid = image.any(axis=2)
    valid[1050, 20] = True  # The file marks no nodata, and this black pixel lies inside.
    np.testing.assert_array_equal(codes, label_image(image, method="none", valid=valid))


def test_unet_with_stride_blends_to_the_sum_over_all_windows(unet, write_scene):
    image = ice_image(90, 75)
    scene = open_scene(str(write_scene("scene.tif", image)))
    prediction = predict_scene(unet, scene, with_probabilities=True)
    windows = scene_windows(unet, scene)
    sums, totals = np.zeros((90, 75, 3)), np.zeros((90, 75, 1))
    for top in windows.rows.starts:
        for left in windows.columns.starts:
            weights = np.outer(windows.rows.weights(top), windows.columns.weights(left))[..., None]
            place = (slice(top, top + 32), slice(left, left + 32))
            sums[place] += unet.keras_model.predict_on_batch(image[place][None])[0] * weights
            totals[place] += weights
    np.testing.assert_allclose(prediction.probabilities, sums / totals, atol=1e-4)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=2), 1, atol=1e-4)


def test_a_window_as_large_as_the_scene_is_the_scene_in_one_piece(unet, write_scene):
    image = ice_image(32, 32)
    scene = open_scene(str(write_scene("scene.tif", image)))
    prediction = predict_scene(unet, scene, with_probabilities=True)
    whole = unet.keras_model.predict_on_batch(image[None])[0]
    np.testing.assert_allclose(prediction.probabilities, whole, atol=1e-4)


def test_windows_fit_the_scene_and_the_model(tmp_path, write_scene):
    """The model's strides make 32 pixels; a window is not larger than wanted, but for a tile."""
    scene = open_scene(str(write_scene("scene.tif", ice_image(70, 300))))
    for window, expected in ((64, (64, 64)), (190, (96, 192)), (1024, (96, 320)), (10, (64, 64))):
        folder = tmp_path / str(window)
        save_threshold_model(folder, make_recipe(64, inference={"window": window}))
        windows = scene_windows(open_model(folder), scene)
        assert (windows.rows.size, windows.columns.size) == expected


def test_prediction_is_the_same_twice_and_for_any_batch_size(unet, write_scene):
    scene = open_scene(str(write_scene("scene.tif", wedge(ice_image(130, 170)))))
    first = predict_scene(unet, scene, with_probabilities=True)
    again = predict_scene(unet, scene, with_probabilities=True)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    single = predict_scene(unet, scene, batch_size=1, with_probabilities=True)
    np.testing.assert_allclose(first.probabilities, single.probabilities, atol=1e-5)


def test_bands_follow_each_other_down_the_scene(unet, write_scene):
    scene = open_scene(str(write_scene("scene.tif", ice_image(100, 50))))
    bands = list(predict_bands(unet, scene, overlap=0.5))
    assert [band.row for band in bands] == [0, 16, 32, 48, 64, 68]
    assert sum(len(band.valid) for band in bands) == 100
    codes = np.concatenate([band.codes(255) for band in bands])
    np.testing.assert_array_equal(codes, predict_scene(unet, scene, overlap=0.5).codes)


@pytest.mark.parametrize("scope", ["scene", "tile"])
def test_a_model_of_filtered_images_sees_the_filtered_scene(tmp_path, write_scene, scope):
    label = {"method": "published", "images": "filtered", "scope": scope}
    recipe = make_recipe(64, label=label)
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    image = wedge(ice_image(150, 100))
    scene = open_scene(str(write_scene("scene.tif", image)))
    codes = predict_scene(model, scene).codes
    valid = read_scene(scene)[1]
    filtered = filter_scene(image, valid, recipe)
    np.testing.assert_array_equal(codes, label_image(filtered, method="none", valid=valid))
    assert (codes != label_image(image, method="none")).any()
    whole = filter_image(image, method="published")
    assert (filtered == whole).all() == (scope == "scene")


def test_a_model_of_filtered_images_uses_the_layers_of_the_scene(tmp_path, write_scene):
    recipe = make_recipe(
        64,
        scene={"bands": [1, 2, 3], "layers": {"nir": 4, "clouds": "{stem}_SCL.tif"}},
        label={"images": "filtered"},
    )
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    sample = make_scene(503, 4, (512, 512), "cloud", wedge=0.0)
    # Infrared as dark as this leaves no room for haze.
    stack = np.dstack([sample.observed, np.ones((512, 512), np.uint8)])
    codes = np.zeros((512, 512), np.uint8)
    codes[:50, :80] = 9
    path = write_scene("scene.tif", stack, photometric="RGB", alpha="UNSPECIFIED")
    write_scene("scene_SCL.tif", codes)
    scene = open_scene(str(path), recipe.scene)
    image, valid = read_scene(scene)
    layers = read_layers(scene)
    assert (layers.opaque_cloud == (codes == 9)).all()
    filtered = filter_scene(image, valid, recipe, layers)
    assert (filtered != filter_scene(image, valid, recipe)).any()
    # The model decides by blue alone.
    by_blue = np.digitize(filtered[..., 2], [31, 205]).astype(np.uint8)
    by_blue[~valid] = 255
    np.testing.assert_array_equal(predict_scene(model, scene).codes, by_blue)


def test_a_model_of_original_images_sees_the_original_whatever_made_its_labels(
    tmp_path, write_scene
):
    recipe = make_recipe(64, label={"method": "published", "images": "original"})
    model = open_model(save_threshold_model(tmp_path / "model", recipe))
    image = ice_image(70, 80)
    scene = open_scene(str(write_scene("scene.tif", image)))
    np.testing.assert_array_equal(
        predict_scene(model, scene).codes, label_image(image, method="none")
    )


def test_a_scene_without_data_is_all_nodata(threshold_model, write_scene):
    scene = open_scene(str(write_scene("black.tif", np.zeros((80, 80, 3), np.uint8))))
    assert (predict_scene(threshold_model, scene).codes == 255).all()


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no model folder"):
        open_model(tmp_path / "nothing")
    with pytest.raises(ModelError, match="holds no model"):
        open_model(tmp_path)

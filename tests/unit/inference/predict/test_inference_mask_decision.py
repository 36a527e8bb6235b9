"""Masks that overlap: from probabilities to labels, over whole scenes and in parts."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import MASKS, ONE_MASK
from inference.predict import parts
from inference.predict.backends import open_forward
from inference.predict.decision import DECISION_FILE, Decision, read_decision, tidy_labels
from inference.predict.parts import predict_part, read_parts, scene_parts
from inference.predict.predict import predict_scene
from inference.predict.windows import Band
from polynya.errors import ModelError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene


def labels_of(image, least=(100, 100, 100)):
    """What `mask_model` gives: a bit where a colour is at least so bright; nodata where black."""
    labels = sum((image[..., k] >= least[k]).astype(np.uint8) << k for k in range(3))
    return np.where(image.any(axis=2), labels, 255)


def speckled(height, width):
    image = np.random.default_rng(0).integers(90, 111, (height, width, 3)).astype(np.uint8)
    image[: height // 4, : width // 3] = 0
    return image


@pytest.fixture
def model(tmp_path):
    return mask_model(tmp_path / "model", make_recipe(32, classes=MASKS.model_dump()))


# Thresholds


def test_a_mask_is_where_its_probability_reaches_the_threshold():
    probabilities = np.float32([[[0.5, 0.49, 0.7], [0.2, 0.9, 0.69], [0.1, 0.1, 0.1], [1, 1, 1]]])
    band = Band(0, np.array([[True, True, True, False]]), probabilities)
    # 0.5 each: bits 0 and 2; bits 1 and 2; none; nodata.
    assert Decision().labels(band, MASKS).tolist() == [[5, 6, 0, 255]]
    # 0.7 is reached by what is 0.7 in float32.
    assert Decision(thresholds=(0.2, 0.95, 0.7)).labels(band, MASKS).tolist() == [[5, 1, 0, 255]]


def test_one_mask_is_binary_labels():
    band = Band(0, np.array([[True, True, False]]), np.float32([[[0.5], [0.499], [0.9]]]))
    assert Decision().labels(band, ONE_MASK).tolist() == [[1, 0, 255]]
    assert Decision(thresholds=(0.4,)).labels(band, ONE_MASK).tolist() == [[1, 1, 255]]


@pytest.mark.parametrize(
    ("text", "classes", "problem"),
    [
        ("weights: [1, 2, 1]", MASKS, r"decision.yaml has 'weights', .* give 'thresholds' instead"),
        ("thresholds: [0.5, 0.4, 0.1]", SEA_ICE, "has 'thresholds', .* give 'weights' instead"),
        ("thresholds: [0.5, 0.4]", MASKS, "2 values for 'thresholds' but the model has 3 classes"),
        ("thresholds: [0, 0.4, 0.1]", MASKS, "wrong value for 'thresholds"),
        ("thresholds: [1, 0.4, 0.1]", MASKS, "wrong value for 'thresholds"),
        ("thresholds: [.nan, 0.4, 0.1]", MASKS, "wrong value for 'thresholds"),
    ],
)
def test_a_decision_that_does_not_fit_the_classes_is_one_sentence(tmp_path, text, classes, problem):
    (tmp_path / DECISION_FILE).write_text(text)
    with pytest.raises(ModelError, match=problem):
        read_decision(tmp_path, Recipe(classes=classes))


# Tidying


def test_each_mask_is_tidied_by_itself():
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 1
    labels[4, 4] = 2  # a hole in mask 0, and all of mask 1
    labels[2, 2] = 5  # all of mask 2
    labels[0, 0] = 255
    found = tidy_labels(labels.copy(), Decision(least_hole=(4, 0, 0)), MASKS)
    assert found[4, 4] == 3
    assert (found != labels).sum() == 1
    found = tidy_labels(labels.copy(), Decision(least_region=(0, 4, 0)), MASKS)
    assert found[4, 4] == 0
    assert (found != labels).sum() == 1
    assert found[0, 0] == 255
    found = tidy_labels(labels.copy(), Decision(opening=(0, 0, 1)), MASKS)
    assert found[2, 2] == 1
    assert (found != labels).sum() == 1
    assert tidy_labels(labels.copy(), Decision(), MASKS).tolist() == labels.tolist()


def test_regions_of_a_mask_have_the_connectivity_of_the_decision():
    labels = np.zeros((9, 9), np.uint8)
    labels[range(2, 7), range(2, 7)] = 2  # mask 1, a diagonal line of 5 pixels
    kept = Decision(least_region=(0, 5, 0), connectivity=8)
    assert tidy_labels(labels.copy(), kept, MASKS).tolist() == labels.tolist()
    assert not tidy_labels(labels.copy(), Decision(least_region=(0, 5, 0)), MASKS).any()


def test_a_small_region_is_removed_also_where_what_is_around_it_is_small():
    labels = np.full((12, 12), 0b010, np.uint8)
    labels[3:8, 3:8] = 0
    labels[5, 5] = 0b010
    found = tidy_labels(labels.copy(), Decision(least_region=(0, 30, 0)), MASKS)
    labels[5, 5] = 0
    np.testing.assert_array_equal(found, labels)


def test_holes_in_one_mask_are_filled_and_nodata_is_none():
    labels = np.ones((7, 7), np.uint8)
    labels[3, 3], labels[5, 5] = 0, 255
    found = tidy_labels(labels, Decision(least_hole=(9,)), ONE_MASK)
    assert (found[3, 3], found[5, 5], (found == 1).sum()) == (1, 255, 48)


# Scenes


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 30), (90, 75)])
def test_a_scene_gets_the_masks_of_the_model(model, write_scene, height, width):
    image = speckled(height, width)
    scene = open_scene(str(write_scene("scene.tif", image, nodata=0)))
    found = predict_scene(model, scene)
    np.testing.assert_array_equal(found.codes, labels_of(image))
    # A probability of 0.9 takes 2.2 / 0.5 steps more.
    found = predict_scene(model, scene, decision=Decision(thresholds=(0.9, 0.5, 0.5)))
    np.testing.assert_array_equal(found.codes, labels_of(image, (104, 100, 100)))


def test_turned_windows_have_the_same_masks_where_the_model_sees_single_pixels(model, write_scene):
    image = speckled(40, 50)
    scene = open_scene(str(write_scene("scene.tif", image, nodata=0)))
    for turns in ("flips", "dihedral"):
        found = predict_scene(model, scene, decision=Decision(tta=turns))
        np.testing.assert_array_equal(found.codes, labels_of(image))


def test_smoothing_is_of_each_mask(model, write_scene):
    image = np.full((32, 32, 3), 90, np.uint8)
    image[:, :16, 0] = image[8, 8, 1] = 110
    scene = open_scene(str(write_scene("scene.tif", image)))
    found = predict_scene(model, scene, decision=Decision(smooth=2.0)).codes
    assert (found[:, :16] == 1).all()  # The speck of mask 1 is gone, mask 0 is as it was.
    assert (found[:, 16:] == 0).all()


def test_weights_are_no_decision_on_masks(model, write_scene):
    scene = open_scene(str(write_scene("scene.tif", speckled(20, 20))))
    with pytest.raises(ModelError, match="The decision has 'weights'"):
        predict_scene(model, scene, decision=Decision(weights=(1, 2, 1)))


@pytest.mark.parametrize("with_probabilities", [False, True])
def test_parts_give_the_same_labels(model, write_scene, tmp_path, monkeypatch, with_probabilities):
    monkeypatch.setattr(parts, "_PART_PIXELS", 4000)
    (model.folder / DECISION_FILE).write_text("thresholds: [0.9, 0.5, 0.5]\n")
    image = speckled(210, 130)
    scene = open_scene(str(write_scene("large.tif", image, nodata=0)))
    planned = scene_parts(model, scene)
    assert len(planned) > 3
    files = [tmp_path / f"{part.first}.npz" for part in planned]
    for part, file in zip(planned, files, strict=True):
        predict_part(model, scene, part, file, with_probabilities=with_probabilities)
    together = predict_scene(model, scene, bands=read_parts(files, 255))
    np.testing.assert_array_equal(together.codes, predict_scene(model, scene).codes)
    np.testing.assert_array_equal(together.codes, labels_of(image, (104, 100, 100)))


def test_masks_in_xarray_have_a_plane_each(model, write_scene):
    image = np.full((1, 3, 3), 90, np.uint8)
    image[0, 0, 0] = image[0, 1, 2] = image[0, 0, 2] = 110
    image[0, 2] = 0
    scene = open_scene(str(write_scene("scene.tif", image, nodata=0)))
    array = predict_scene(model, scene).to_xarray()
    assert array.dims == ("mask", "y", "x")
    assert array.dtype == np.uint8
    assert list(array.mask.values) == ["ice", "wet", "thick_ice"]
    assert array.values.tolist() == [[[1, 0, 255]], [[0, 0, 255]], [[1, 1, 255]]]
    assert array.rio.nodata == 255
    assert array.attrs["flag_values"] == [0, 1]
    assert (array.x.values == (-299_995, -299_985, -299_975)).all()


# Numbers that are no probabilities


@pytest.mark.parametrize(
    ("activation", "problem"), [("linear", "last layer is a sigmoid"), ("sqrt", "finite numbers")]
)
def test_masks_need_probabilities(activation, problem):
    import keras

    last = keras.ops.sqrt if activation == "sqrt" else activation
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Activation(last)])
    images = np.float32([-3, 4]).reshape(1, 1, 2, 1)
    with pytest.raises(ModelError, match=problem):
        open_forward(model, InferenceOptions(), has_masks=True)(images)
    if activation == "linear":  # Of classes the largest decides, whatever the numbers are.
        assert open_forward(model, InferenceOptions())(images).ravel().tolist() == [-3, 4]

"""Scenes that are cut into pieces, which are resized for the model (`inference.slice`)."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import rasterio
from conftest import ice_image

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, save_threshold_model, save_unet
from inference.predict.decision import Decision
from inference.predict.predict import (
    open_for_tiles,
    open_model,
    predict_bands,
    predict_scene,
    scene_windows,
)
from inference.predict.resize import in_size
from polynya.errors import RecipeError
from polynya.recipe.overrides import resolve
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.scenes.reading import open_scene

SLICES = {"window": 80, "slice": 32, "overlap": 0.5, "batch_size": 4}


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    recipe = make_recipe(64, inference=SLICES, model={"filters": [4, 6, 8], "dropout": [0, 0, 0]})
    return open_model(save_unet(tmp_path_factory.mktemp("slices") / "unet", recipe))


def sum_of_slices(model, image):
    """Slow and on its own: each piece enlarged, seen, brought back and added with its weights."""
    sums, totals = np.zeros((*image.shape[:2], 3)), np.zeros((*image.shape[:2], 1))
    starts = [sorted({*range(0, side - 32, 16), side - 32}) for side in image.shape[:2]]
    centres = np.arange(32) + 0.5
    rise = np.sin(np.pi / 2 * np.minimum(np.minimum(centres, 32 - centres) / 16, 1)) ** 2
    weights = np.outer(rise, rise)[..., None]
    for top in starts[0]:
        for left in starts[1]:
            place = (slice(top, top + 32), slice(left, left + 32))
            seen = cv2.resize(image[place].astype(np.float32), (80, 80))
            found = model.keras_model.predict_on_batch(np.rint(seen)[None])[0]
            sums[place] += cv2.resize(found, (32, 32), interpolation=cv2.INTER_AREA) * weights
            totals[place] += weights
    return sums / totals


@pytest.mark.parametrize("backend", ["keras", "openvino"])
def test_pieces_are_enlarged_brought_back_and_blended(unet, write_scene, backend):
    image = ice_image(90, 75)
    scene = open_scene(str(write_scene("scene.tif", image)))
    model = replace(unet, recipe=resolve(unet.recipe, {"inference.backend": backend}))
    windows = scene_windows(model, scene)
    assert (windows.rows.size, windows.columns.size) == (32, 32)
    found = predict_scene(model, scene, with_probabilities=True).probabilities
    np.testing.assert_allclose(found, sum_of_slices(unet, image), atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    if backend == "keras":
        # Some strips alone have the same bits, and tiles are seen as scenes are.
        part = list(predict_bands(model, scene, part=range(1, 3)))
        rows = np.concatenate([band.probabilities for band in part])
        np.testing.assert_array_equal(rows, found[part[0].row :][: len(rows)])
        (tile,) = open_for_tiles(model, Decision())(image[None])
        np.testing.assert_array_equal(tile, found)


def test_a_scene_smaller_than_a_piece_and_one_with_nodata(tmp_path, write_scene):
    model = open_model(save_threshold_model(tmp_path / "model", make_recipe(64, inference=SLICES)))
    image = np.kron(ice_image(7, 9, seed=3), np.ones((3, 3, 1), np.uint8))
    image[10:20, 5:9] = 0
    scene = open_scene(str(write_scene("scene.tif", image, nodata=0)))
    codes = predict_scene(model, scene).codes
    np.testing.assert_array_equal(codes == 255, ~image.any(axis=2))


def test_missing_values_of_bands_stay_missing_and_masks_keep_their_axis():
    def seen(images):
        assert images.shape == (1, 10, 10, 2)
        assert np.isnan(images[0, :4, :4, 1]).all()
        assert np.isfinite(images[..., 0]).all()
        return np.nan_to_num(images[..., :1])

    image = np.ones((1, 4, 4, 2), np.float32)
    image[0, :2, :2, 1] = np.nan
    np.testing.assert_allclose(in_size(seen, (10, 10))(image), np.ones((1, 4, 4, 1)), rtol=1e-6)
    # Made smaller, the model sees means.
    np.testing.assert_allclose(in_size(lambda images: images, (2, 2))(image[..., :1]), 1, rtol=1e-6)


def test_slices_in_recipes_and_commands(tmp_path, write_scene):
    for wrong, problem in (
        ({"slice": 32}, "'slice' needs the key 'window'"),
        ({"slice": 32, "window": 64, "size": [96, 96]}, "exclude each other"),
    ):
        with pytest.raises(RecipeError, match=problem):
            parse_recipe({"inference": wrong}, source="wrong.yaml")
    plain, sliced = Recipe(), Recipe.model_validate({"inference": {"slice": 32, "window": 896}})
    assert plain.digest() != sliced.digest()
    path = write_scene("scene.tif", ice_image(50, 40))
    folder = save_threshold_model(tmp_path / "model", make_recipe(64))
    run("predict", folder, path, "--out", tmp_path / "maps", "--slices", "32:64")
    with rasterio.open(tmp_path / "maps/scene.tif") as source:
        assert source.tags()["window_size"] == "32 x 32, resized to 64 x 64"
    words = ("predict", folder, path, "--out", tmp_path / "maps", "--slices")
    assert "write 128:320" in run(*words, "32", expect=1).output
    sized = save_threshold_model(tmp_path / "sized", make_recipe(64, inference={"size": [32, 32]}))
    found = run("predict", sized, path, "--out", tmp_path / "b", "--slices", "8:16", expect=1)
    assert "'inference.size'" in found.output

"""Thresholds by Otsu's method: by definition, in strips, of masks and two classes, in maps."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from helpers.maps.inference_commands import run
from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import MASKS, OTHER
from inference.predict import otsu as module
from inference.predict import parts as parts_module
from inference.predict.decision import Decision
from inference.predict.otsu import OtsuLabels, otsu_thresholds
from inference.predict.parts import predict_part, read_parts, scene_parts
from inference.predict.predict import predict_scene
from inference.predict.windows import Band
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene
from training.model_folder.folder import TrainedModel


def by_definition(values):
    """The middle of the bin of 256 after which the variance within both classes is least."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    numbers = np.repeat(middles.astype(np.float64), counts)
    ends = np.cumsum(counts)[:-1]
    within = [
        numbers[:end].var() * end + numbers[end:].var() * (len(numbers) - end) for end in ends
    ]
    return middles[int(np.argmin(within))]


def strips_of(values, valid, rows):
    for row in range(0, len(values), rows):
        yield Band(row, valid[row : row + rows], values[row : row + rows])


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    values = rng.beta(*rng.uniform(0.3, 5, 2), (60, 50, 3)).astype(np.float32)
    values[..., 1] = np.where(rng.random((60, 50)) < 0.2, 0.3, 0.1) + rng.normal(0, 0.02, (60, 50))
    valid = rng.random((60, 50)) < 0.9
    values[~valid] = 0  # As where no window was needed; it is no probability.
    found = OtsuLabels(MASKS)
    for band in strips_of(values, valid, 7):
        found.add(band)
    expected = [by_definition(values[valid][:, mask]) for mask in range(3)]
    assert found.thresholds() == pytest.approx(expected, abs=1e-7)
    labels = np.concatenate([codes for _, codes in found.labels(found.thresholds())])
    wanted = sum((values[..., k] > expected[k]).astype(np.uint8) << k for k in range(3))
    np.testing.assert_array_equal(labels, np.where(valid, wanted, 255))
    try:
        from skimage.filters import threshold_otsu
    except ImportError:
        return
    assert found.thresholds() == tuple(threshold_otsu(values[valid][:, k]) for k in range(3))


def test_two_classes_are_divided_by_the_second(monkeypatch):
    monkeypatch.setattr(module, "_IN_MEMORY", 1)  # All in a file.
    second = np.float32([[0.1, 0.15, 0.3, 0.35], [0.1, 0.1, 0.3, 0.9]])
    band = Band(5, np.array([[True] * 4, [True] * 3 + [False]]), np.stack([1 - second, second], -1))
    (threshold,) = otsu_thresholds(band, OTHER)
    assert 0.15 < threshold < 0.3
    labels = Decision(threshold="otsu").labels(band, OTHER)
    assert labels.tolist() == [[0, 0, 1, 1], [0, 0, 1, 255]]


def test_equal_probabilities_are_divided_at_a_half_and_no_data_has_no_threshold():
    valid, decision = np.ones((2, 2), bool), Decision(threshold="otsu")
    noise = np.float32([[0, 1e-7], [0, -1e-7]])[..., None]
    high = Band(0, valid, np.full((2, 2, 2), 0.9, np.float32) + noise)
    assert otsu_thresholds(high, OTHER) == (0.5,)
    assert (decision.labels(high, OTHER) == 1).all()
    nothing = Band(0, ~valid, np.zeros((2, 2, 2), np.float32))
    assert np.isnan(otsu_thresholds(nothing, OTHER)).all()
    assert (decision.labels(nothing, OTHER) == 255).all()


def test_more_than_two_classes_are_refused():
    with pytest.raises(RecipeError, match=r"'inference.threshold' is otsu, and .* 3 classes"):
        Recipe.model_validate({"inference": {"threshold": "otsu"}})


def faint(height, width):
    """Colours whose masks all have probabilities below 0.5 (`mask_model`): 0.15 or 0.32."""
    image = np.full((height, width, 3), 96, np.uint8)
    image[height // 3 :, : width // 2] = 98
    image[0, :3] = 0
    return image


def test_a_map_is_divided_by_the_whole_scene_also_in_parts(tmp_path, write_scene, monkeypatch):
    image = faint(300, 40)
    path = write_scene("scene.tif", image, nodata=0)
    inference = {"window": 32, "overlap": 0.5, "threshold": "otsu"}
    recipe = make_recipe(32, classes=MASKS.model_dump(), inference=inference)
    plain = mask_model(tmp_path / "model", recipe)
    model = TrainedModel(plain.predictor, recipe, plain.folder)
    scene = open_scene(str(path))
    found = predict_scene(model, scene)
    expected = np.where(image[..., 0] == 98, 7, 0)
    expected[0, :3] = 255
    np.testing.assert_array_equal(found.codes, expected)
    assert len(found.thresholds) == 3
    assert all(0.14 < threshold < 0.32 for threshold in found.thresholds)

    monkeypatch.setattr(parts_module, "_PART_PIXELS", 4000)
    parts = scene_parts(model, scene)
    assert len(parts) > 1
    files = [tmp_path / f"{part.first}.npz" for part in parts]
    for part, file in zip(parts, files, strict=True):
        predict_part(model, scene, part, file, with_probabilities=False)
    again = predict_scene(model, scene, bands=read_parts(files, 255))
    np.testing.assert_array_equal(again.codes, found.codes)
    assert again.thresholds == found.thresholds

    for _ in range(2):  # The second run finds it done, and has the same row.
        run("predict", tmp_path / "model", path, "--out", tmp_path / "maps")
        with (tmp_path / "maps/summary.csv").open() as file:
            (row,) = csv.DictReader(file)
        assert float(row["wet_threshold"]) == pytest.approx(found.thresholds[1], abs=1e-6)
    with rasterio.open(tmp_path / "maps/scene.tif") as source:
        assert source.tags()["ice_threshold"] == row["ice_threshold"]
        assert '"threshold":"otsu"' in source.tags()["decision"]


def test_a_command_may_ask_for_it(tmp_path, write_scene):
    path = write_scene("scene.tif", ice_image(40, 40))
    folder = mask_model(tmp_path / "model", make_recipe(32, classes=MASKS.model_dump())).folder
    run("predict", folder, path, "--out", tmp_path / "a", "--threshold", "otsu", "--tta", "flips")
    with rasterio.open(tmp_path / "a/scene.tif") as source:
        assert source.tags()["decision"] == '{"tta":"flips","threshold":"otsu"}'

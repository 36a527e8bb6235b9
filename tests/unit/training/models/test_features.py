"""What a model does with its bands first: indices, missing values, scaling, worked out by hand."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import spyndex

from helpers.training.thread_ranks import on_ranks
from polynya.errors import RecipeError, ShardError
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.scenes.indices import find_index
from training.input.batches import TileSource
from training.input.statistics import find_statistics
from training.models.features import FeaturePlan, FeatureStatistics, make_features
from training.ranks.port import SingleProcess

NAN = math.nan


def plan_of(inputs=("red", "nir"), **features) -> FeaturePlan:
    content = {"features": features}
    if inputs is not None:
        content["scene"] = {"inputs": list(inputs)}
    return FeaturePlan.of(parse_recipe(content, "recipe.yaml"))


def model_of(plan, statistics=None):
    inputs = keras.Input((None, None, len(plan.bands)))
    return keras.Model(inputs, make_features(plan, statistics)(inputs))


def statistics_of(tiles, plan, collective=None):
    tiles = np.asarray(tiles, np.float32 if not plan.is_colors else np.uint8)
    labels = np.zeros(tiles.shape[:3], np.uint8)
    source = TileSource(tiles, labels, nodata=255, threads=1)
    return find_statistics(source, plan, collective or SingleProcess())


# Two tiles of 1 x 2 pixels with the bands red and nir.
TILES = [[[[1.0, 10.0], [3.0, NAN]]], [[[5.0, 30.0], [NAN, 50.0]]]]


def test_statistics_are_over_what_is_there():
    found = statistics_of(TILES, plan_of())
    # Red: 1, 3, 5. Near infrared: 10, 30, 50.
    assert found.mean == pytest.approx([3, 30])
    assert found.deviation == pytest.approx([math.sqrt(8 / 3), math.sqrt(800 / 3)])
    assert found.minimum.tolist() == [1, 10]
    assert found.maximum.tolist() == [5, 50]


def test_quantiles_are_as_exact_as_the_bins():
    values = np.arange(1001, dtype=np.float32).reshape(1, 7, 143, 1)
    plan = plan_of(("red",), scaling="quantile", quantiles=(0.1, 0.75))
    found = statistics_of(values, plan)
    assert found.low == pytest.approx([np.quantile(values, 0.1)], abs=1.1)
    assert found.high == pytest.approx([np.quantile(values, 0.75)], abs=1.1)


def test_any_number_of_ranks_finds_the_same_bits():
    rng = np.random.default_rng(0)
    tiles = rng.normal(0.3, 0.2, (7, 5, 5, 2)).astype(np.float32)
    tiles[rng.uniform(size=tiles.shape) < 0.3] = NAN
    plan = plan_of(indices=["NDVI"], scaling="quantile")
    alone = statistics_of(tiles, plan)
    for ranks in (2, 3):
        for found in on_ranks(ranks, lambda collective: statistics_of(tiles, plan, collective)):
            for name in ("mean", "deviation", "minimum", "maximum", "low", "high"):
                assert (getattr(found, name) == getattr(alone, name)).all()


def test_a_band_without_a_value_is_one_sentence():
    with pytest.raises(ShardError, match="'nir' has not one valid value"):
        statistics_of([[[[1.0, NAN]]]], plan_of())


def known(**changes) -> FeatureStatistics:
    values = {
        "mean": [2.0, 20.0], "deviation": [0.5, 5.0], "minimum": [1.0, 10.0],
        "maximum": [5.0, 50.0], "low": [1.5, 12.0], "high": [3.5, 32.0],
    } | changes  # fmt: skip
    return FeatureStatistics(**{key: np.array(value) for key, value in values.items()})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[2.0, -2.0], [0.0, 0.0]]),  # z-score; the mean fills.
        ({"fill": "minimum"}, [[2.0, -2.0], [-2.0, -2.0]]),
        ({"fill": "maximum"}, [[2.0, -2.0], [6.0, 6.0]]),
        ({"fill": 4.0}, [[2.0, -2.0], [4.0, -3.2]]),
        ({"scaling": "min_max"}, [[0.5, 0.0], [0.25, 0.25]]),
        ({"scaling": "quantile"}, [[0.75, 0.0], [0.25, 0.4]]),
        ({"scaling": "quantile", "clip": False}, [[0.75, -0.1], [0.25, 0.4]]),
        ({"scaling": "none"}, [[3.0, 10.0], [2.0, 20.0]]),
    ],
)
def test_scaling_and_fill_by_hand(options, expected):
    model = model_of(plan_of(**options), known())
    image = np.array([[[[3.0, 10.0], [NAN, NAN]]]], np.float32)
    assert np.asarray(model(image))[0, 0] == pytest.approx(np.array(expected), abs=1e-6)


def test_the_fixed_range_of_bands_is_the_stretch():
    recipe = parse_recipe(
        {
            "scene": {"inputs": ["red", "nir"], "stretch": [0.1, 0.6]},
            "features": {"scaling": "range", "indices": ["NDVI"]},
        },
        "recipe.yaml",
    )
    plan = FeaturePlan.of(recipe)
    assert plan.needs_statistics  # The index has no range whose middle could fill it.
    model = model_of(plan, known(mean=[0.2, 0.3, 0.2]))
    image = np.array([[[[0.1, 0.6], [NAN, 0.35]]]], np.float32)
    expected = [[0.0, 1.0, 0.5 / 0.7], [0.2, 0.5, 0.2]]
    assert np.asarray(model(image))[0, 0] == pytest.approx(np.array(expected), abs=1e-6)


def test_statistics_of_each_image():
    image = np.array([[[[1.0], [3.0], [NAN]]], [[[10.0], [10.0], [40.0]]]], np.float32)
    plan = plan_of(("red",), statistics="image")
    assert not plan.needs_statistics
    found = np.asarray(model_of(plan)(image))[..., 0]
    assert found[0, 0] == pytest.approx([-1, 1, 0])
    assert found[1, 0] == pytest.approx([-1 / math.sqrt(2), -1 / math.sqrt(2), math.sqrt(2)])
    found = np.asarray(model_of(plan_of(("red",), statistics="image", scaling="min_max"))(image))
    assert found[0, 0, :, 0] == pytest.approx([0, 1, 0.5])
    options = {"statistics": "image", "scaling": "quantile", "quantiles": (0, 0.5)}
    found = np.asarray(model_of(plan_of(("red",), **options))(image))
    assert found[0, 0, :, 0] == pytest.approx([0, 1, 1])
    # An image without any value is still one of finite numbers.
    nothing = np.full((1, 2, 2, 1), NAN, np.float32)
    assert np.isfinite(np.asarray(model_of(plan)(nothing))).all()


def test_statistics_of_all_bands_of_an_image_are_those_of_segmentation_gym():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 4, 5, 2)).astype(np.float32)
    image[1] = 7.0  # Nothing to divide by but 1 / sqrt(H W).
    image[1, 0, 0, 0] = 8.0
    plan = plan_of(statistics="image_all_bands", scaling="z_score")
    assert not plan.needs_statistics
    found = np.asarray(model_of(plan)(image))
    for one, seen in zip(image.astype(np.float64), found, strict=True):
        deviation = max(one.std(), 1 / math.sqrt(4 * 5))
        assert seen == pytest.approx((one - one.mean()) / deviation, abs=1e-5)
    assert image[1].std() < 1 / math.sqrt(20)
    # What is missing doesn't count, and becomes the mean.
    image[0, 0, 0] = NAN
    there = image[0][np.isfinite(image[0])].astype(np.float64)
    expected = np.where(np.isfinite(image[0]), (image[0] - there.mean()) / there.std(), 0.0)
    assert np.asarray(model_of(plan)(image))[0] == pytest.approx(expected, abs=1e-5)
    plan = plan_of(statistics="image_all_bands", scaling="quantile", quantiles=(0, 1))
    seen = np.asarray(model_of(plan)(image[1:]))
    assert seen == pytest.approx(image[1:] - 7.0, abs=1e-5)


def test_a_band_that_is_the_same_everywhere_is_no_division_by_zero():
    plan = plan_of(("red",))
    tiles = np.full((2, 3, 3, 1), 7.0)
    found = np.asarray(model_of(plan, statistics_of(tiles, plan))(tiles.astype(np.float32)))
    assert (found == 0).all()


def test_colours_keep_the_models_they_had_unless_something_is_asked_for():
    assert make_features(plan_of(None), None) is None
    plan = plan_of(None, scaling="z_score")
    tiles = [[[[10, 20, 30], [0, 0, 0]]], [[[30, 40, 50], [20, 30, 40]]]]
    found = statistics_of(tiles, plan)
    assert found.mean == pytest.approx([20, 30, 40])
    image = np.array(tiles[:1], np.float32)
    # Black is what stands for nodata.
    scaled = np.asarray(model_of(plan, found)(image))[0, 0]
    assert scaled[0] == pytest.approx([-math.sqrt(1.5)] * 3, abs=1e-6)
    assert scaled[1] == pytest.approx([0, 0, 0], abs=1e-6)


def test_indices_of_colours_are_those_of_reflectance():
    plan = plan_of(None, indices=["TGI"], scaling="none", fill=0.0)
    image = np.array([[[[51, 102, 153], [0, 0, 0]]]], np.float32)
    expected = -0.5 * (190 * (0.2 - 0.4) - 120 * (0.2 - 0.6))
    assert np.asarray(model_of(plan)(image))[0, 0, :, 3] == pytest.approx([expected, 0], abs=1e-4)


def test_a_saved_model_carries_all_of_it(tmp_path):
    plan = plan_of(("green", "swir16"), indices=["NDSI"], fill="minimum")
    tiles = np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 2)).astype(np.float32)
    tiles[:, 0, 0, 1] = NAN
    model = model_of(plan, statistics_of(tiles, plan))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert (np.asarray(again(tiles)) == np.asarray(model(tiles))).all()
    assert np.isfinite(np.asarray(model(tiles))).all()


@pytest.mark.parametrize("name", ["NDVI", "NDWI", "NDSI", "MNDWI", "EVI", "SAVI", "GVMI", "BI"])
def test_indices_are_those_of_spyndex(name):
    bands = ("blue", "green", "red", "nir", "swir16", "swir22")
    values = {
        band: np.random.default_rng(place).uniform(0.05, 0.9, (4, 5))
        for place, band in enumerate(bands)
    }
    symbols = dict(zip(bands, ("B", "G", "R", "N", "S1", "S2"), strict=True))
    wanted = spyndex.indices[name].bands
    given = {symbols[band]: value for band, value in values.items()}
    given |= {s: spyndex.constants[s].default for s in wanted if s in spyndex.constants}
    expected = spyndex.computeIndex(name, {s: given[s] for s in wanted})
    assert find_index(name, bands).compute(values) == pytest.approx(expected)


def test_indices_know_the_bands_of_sentinel_2_by_number():
    found = find_index("NDVI", ("B04", "B08"))
    assert found.compute({"B04": 1.0, "B08": 3.0}) == 0.5


@pytest.mark.parametrize(
    ("inputs", "index", "problem"),
    [
        (("red",), "NDVI", r"'NDVI', which needs the band nir \(N\); 'scene.inputs' names red"),
        (("red", "nir"), "NDVY", "'NDVY', which is no index .*similar ones are"),
        (("red", "nir"), "kNDVI", "kNN, which is no band"),
    ],
)
def test_indices_that_can_not_be_are_one_sentence(inputs, index, problem):
    with pytest.raises(RecipeError, match=problem):
        plan_of(inputs, indices=[index])


def test_recipes_without_features_have_the_digests_they_had():
    assert Recipe().digest() != Recipe.model_validate({"features": {"fill": 0.0}}).digest()
    with pytest.raises(RecipeError, match=r"features\.quantiles"):
        parse_recipe({"features": {"quantiles": [0.5, 0.1]}}, "recipe.yaml")

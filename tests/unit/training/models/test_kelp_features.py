"""Indices of the kelp study, worked out by hand, and bands that say where others are bad."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.scenes.indices import KELP_INDICES, find_index
from training.models.features import FeaturePlan, make_features

BANDS = ("swir16", "nir", "red", "green", "blue", "qa", "elevation")
VALUES = dict(zip(BANDS, (0.2, 0.5, 0.4, 0.25, 0.1, 0.0, 12.0), strict=True))
BY_HAND = {
    # a = 1.22, b = 0.03, X = 0.08: 1.22 (0.5 - 0.488 - 0.03) / (0.61 + 0.4 - 0.0366 + 0.199072)
    "kelp_ATSAVI": -0.02196 / 1.172472,
    "kelp_AVI": 0.6,
    "kelp_CI": 0.75,
    "kelp_DEMWM": 12.0,
    "kelp_GVMI": (0.6 - 0.22) / (0.6 + 0.22),
    "kelp_IPVI": 0.5 / 0.9 / 2 * (0.15 / 0.4 + 0.25 + 1),
    "kelp_KIVU": -1.2,
    "kelp_MCARI": (0.1 - 0.2 * 0.25) * 0.5 / 0.4,
    "kelp_MVI": 2.5,
    "kelp_PNDVI": -0.25 / 1.25,
    "kelp_SABI": 0.1 / 0.35,
    "kelp_mCRIG": (10 - 4) * 0.5,
}


def plan_of(bands=BANDS, **features) -> FeaturePlan:
    content = {"features": features, "scene": {"inputs": list(bands)}}
    return FeaturePlan.of(parse_recipe(content, "recipe.yaml"))


def test_every_index_has_its_value_by_hand():
    assert set(BY_HAND) == set(KELP_INDICES)
    for name, expected in BY_HAND.items():
        assert find_index(name, BANDS).compute(VALUES) == pytest.approx(expected, rel=1e-12), name


def test_the_water_mask_is_0_at_and_below_the_sea():
    heights = np.array([-3.0, 0.0, 7.0, np.nan], np.float32)
    found = find_index("kelp_DEMWM", BANDS).compute({"elevation": heights})
    np.testing.assert_array_equal(found, np.array([0, 0, 7, np.nan], np.float32))


@pytest.mark.parametrize(
    ("bands", "index", "problem"),
    [
        (("red", "nir"), "kelp_DEMWM", "needs the band elevation; 'scene.inputs' names red, nir"),
        (("red", "nir"), "kelp_MVI", r"needs the band swir16 \(S1\)"),
        (("red", "nir"), "kelp_AVY", "similar ones are kelp_AVI"),
    ],
)
def test_an_index_that_can_not_be_is_one_sentence(bands, index, problem):
    with pytest.raises(RecipeError, match=problem):
        plan_of(bands, indices=[index])


def test_bad_pixels_are_missing_before_indices():
    plan = plan_of(
        ("red", "nir", "qa", "elevation"),
        indices=["kelp_AVI"],
        missing_where={"qa": {"above": 0}, "elevation": {"above": 0}},
    )
    image = np.array([[[[1, 2, 0, -5], [1, 2, 1, 0], [1, 2, 0, 3], [1, 2, 1, 3]]]], np.float32)
    raw = np.asarray(plan.raw(keras.ops.convert_to_tensor(image)))[0, 0]
    nan = np.nan
    # The bands that say so keep their values.
    expected = [
        [1, 2, 0, -5, 3],
        [nan, nan, 1, 0, nan],
        [nan, nan, 0, 3, nan],
        [nan, nan, 1, 3, nan],
    ]
    np.testing.assert_array_equal(raw, expected)


def test_both_limits_count():
    plan = plan_of(("red", "nir"), missing_where={"nir": {"above": 9, "below": 1}})
    image = np.array([[[[1, 0], [2, 1], [3, 9], [4, 10]]]], np.float32)
    raw = np.asarray(plan.raw(keras.ops.convert_to_tensor(image)))[0, 0, :, 0]
    np.testing.assert_array_equal(raw, [np.nan, 2, 3, np.nan])


def test_a_saved_model_masks_as_well(tmp_path):
    plan = plan_of(("red", "qa"), missing_where={"qa": {"above": 0}}, scaling="none", fill=-1.0)
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, make_features(plan, None)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    image = np.array([[[[5, 0], [5, 2]]]], np.float32)
    np.testing.assert_array_equal(np.asarray(again(image))[0, 0], [[5, 0], [-1, 2]])


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"green": {"above": 0}}, "names the band 'green'; 'scene.inputs' names red, nir"),
        ({"nir": {}}, r"features\.missing_where.*give 'above', 'below', or both"),
        ({"nir": {"over": 1}}, r"features\.missing_where\.nir\.over"),
    ],
)
def test_wrong_limits_are_one_sentence(limits, problem):
    with pytest.raises(RecipeError, match=problem):
        plan_of(("red", "nir"), missing_where=limits)


def test_recipes_without_it_keep_their_digest():
    some = {"features": {"fill": 0.0}}
    assert parse_recipe(some, "r").digest() == "5db21e5bc854e2e3"
    assert Recipe().digest() != parse_recipe(some, "r").digest()


def test_the_shipped_recipe_has_the_17_indices_of_the_study():
    plan = FeaturePlan.of(load_recipe("kelp"))
    assert len(plan.indices) == 17
    assert plan.bands == BANDS

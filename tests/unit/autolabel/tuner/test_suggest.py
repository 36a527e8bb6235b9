"""Limits that follow from histograms of brightness."""

from __future__ import annotations

import numpy as np
import pytest

from autolabel.thresholds.brightness import brightness
from autolabel.thresholds.profiles import PARTIAL_NIGHT, PROFILES, ROSS_SEA_SUMMER, label_by_color
from autolabel.tuner.suggest import (
    classes_by_brightness,
    otsu_limits,
    suggest,
    suggest_limits,
)
from autolabel.tuner.tuning import told
from data_samples import make_scene
from data_samples.seasons import SEASONS
from polynya.errors import RecipeError, SceneError
from polynya.recipe.thresholds import ColorRange, Profile


def modes(*places: float, spread: float = 2.0) -> np.ndarray:
    """Histogram of surfaces of equal size."""
    values = np.arange(256)
    return sum(1000 * np.exp(-0.5 * ((values - place) / spread) ** 2) for place in places)


@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("air", [0.0, 12.0])
def test_limits_follow_the_light(strength, air):
    places = [air * strength + strength * value for value in (8, 60, 120, 230, 245)]
    limits = suggest_limits(modes(*places, spread=1.5 * strength + 0.4))
    assert places[0] < limits.water < places[1] - 1
    assert places[2] < limits.thick <= places[3] - 2
    assert limits.doubt < 0.02
    assert limits.strength == pytest.approx(strength, rel=0.1)


def test_a_limit_moves_to_the_valley():
    # The paper's limit would cut through a surface.
    limits = suggest_limits(modes(6, 100, 200, 238, spread=3.0))
    assert 208 < limits.thick < 232


def test_histograms_without_modes_are_in_doubt():
    flat = suggest_limits(np.ones(256))
    assert flat.doubt > 0.02
    single = suggest_limits(np.eye(256)[77])
    assert 0 <= single.water < single.thick <= 255


@pytest.mark.parametrize("season", SEASONS)
def test_generated_scenes_of_each_season_are_labelled_right(season):
    scene = make_scene(4003, 0, (384, 384), "clear", season=season)
    found = suggest([(scene.clear, scene.valid)])
    profile = found.profile("x", classes_by_brightness(ROSS_SEA_SUMMER))
    label = label_by_color(scene.clear, profile)
    assert (label == scene.truth)[scene.valid].mean() > 0.99
    assert found.is_sure
    assert "; sure for " in told(found)
    shipped = label_by_color(scene.clear, PROFILES[season])
    assert (shipped == scene.truth)[scene.valid].mean() > 0.95


def test_a_scene_under_cloud_and_shadow_is_unsure():
    scene = make_scene(4003, 2, (512, 512), "both", season="partial-night")
    found = suggest([(scene.observed, scene.valid)])
    label = label_by_color(scene.observed, found.profile("x", PARTIAL_NIGHT.class_names))
    assert (label == scene.truth)[scene.valid].mean() < 0.95
    assert not found.is_sure
    assert "cloud or shadow" in told(found)


def test_the_same_ice_is_only_darker_in_another_season():
    summer, night = (
        make_scene(7, 0, (64, 64), "clear", season=season)
        for season in ("ross-sea-summer", "partial-night")
    )
    assert np.array_equal(summer.truth, night.truth)
    assert np.array_equal(summer.clear, make_scene(7, 0, (64, 64), "clear").clear)
    ratio = brightness(night.clear).mean() / brightness(summer.clear).mean()
    assert 0.3 < ratio < 0.6
    assert night.site.endswith("partial-night")


def test_otsu_finds_the_middle_between_modes():
    water, thick = otsu_limits(modes(20, 120, 220))
    assert 24 < water < 116
    assert 124 < thick < 216


def test_what_cannot_be_suggested_is_said():
    none = np.zeros((4, 4), np.bool_)
    with pytest.raises(SceneError, match="no limits"):
        suggest([(np.zeros((4, 4, 3), np.uint8), none)])
    two = Profile(
        name="two",
        ranges=(
            ColorRange(class_name="open_water", value=(0, 99)),
            ColorRange(class_name="thick_ice", value=(100, 255)),
        ),
    )
    with pytest.raises(RecipeError, match="three classes"):
        classes_by_brightness(two)

"""Haze that the short-wave infrared shows, and its shadow away from the sun."""

import numpy as np
import pytest

from autolabel import label_image
from autolabel.filters.illumination.finding import Ground, without_cloud
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.shade import find_shade
from autolabel.filters.illumination.survey import Strip, survey_scene
from autolabel.filters.illumination.veil import find_veil, most_haze, solve_veil
from helpers.scenes.hazy_floes import (
    CLOUD,
    CLOUD_SWIR,
    SIZE,
    bump,
    cells,
    ground_of,
    hazy,
    surfaces,
)
from polynya.scenes.scene import SceneLayers


def test_each_scene_tells_how_bright_its_cloud_is():
    haze = 0.45 * bump(300, 320)
    veil = find_veil(ground_of(*hazy(*surfaces(), haze)).observed, Levels())
    # W is taken to be the least V of thick ice. W_s fits it: over water, where V - 14 is
    # (W - 14) h, both give the same haze.
    assert veil.cloud == Levels().bright
    over_water = (CLOUD_SWIR - 8) / (CLOUD - 14)
    assert (veil.swir - 8) / (veil.cloud - 14) == pytest.approx(over_water, rel=0.05)
    assert veil.dark == pytest.approx(8, abs=1.5)
    assert veil.snow == pytest.approx(24, abs=3)


def test_haze_is_as_dense_as_it_is():
    haze = 0.45 * bump(300, 320)
    ground = ground_of(*hazy(*surfaces(), haze))
    veil = find_veil(ground.observed, Levels())
    solved = solve_veil(ground.observed, veil).reshape(ground.haze.shape)
    expected = cells(haze) * (CLOUD - 14) / (Levels().bright - 14)
    # Inside a floe of snow the short waves tell less.
    assert np.abs(solved - expected).max() < 0.15
    assert np.abs(solved - expected).mean() < 0.01
    below = without_cloud(ground)
    assert (below.gain == 1).all()
    # Without it, water and grey ice have the brightness of their surfaces again.
    parts = below.parts
    dark = (parts.pixels > 60) & (parts.mean < 150)
    nearest = np.abs(parts.mean[dark, None] - [14, 70]).min(axis=1)
    assert np.percentile(nearest, 95) < 10  # A little haze is left on purpose.
    # And no thick ice has lost its class.
    thick = ground.observed.mean >= Levels().bright
    assert (parts.mean[thick] >= Levels().bright).all()


def test_short_waves_that_lack_a_part_of_the_scene_say_nothing():
    value, swir = hazy(*surfaces(), 0.45 * bump(300, 480))
    rgb = np.repeat(np.rint(value).astype(np.uint8)[..., None], 3, axis=2)
    for width, known in ((0, True), (256, False), (SIZE, False)):
        layer = np.float32(swir / 255)
        layer[:, :width] = 0.0  # 0 is nodata; as where another detector's swath ends.
        layers = SceneLayers(None, layer, None, None, None)
        strip = Strip.of(rgb, np.ones(value.shape, bool), layers)
        survey = survey_scene([strip], value.shape, Levels())
        assert (survey.swir is not None) == known
        assert (Ground.of(survey, levels=Levels()).seen is not None) == known


@pytest.mark.parametrize("what", ["clear", "growing ice", "shadow", "snow alone"])
def test_what_is_no_haze_in_the_short_waves_is_none(what):
    value, swir = surfaces()
    if what == "growing ice":
        thickness = bump(320, 320, 150.0)
        grows = value == 70
        value = np.where(grows, 20 + 120 * thickness, value)
        swir = np.where(grows, 8 + 6 * thickness, swir)
    elif what == "shadow":
        gain = 1 - 0.5 * bump(300, 320)
        value, swir = value * gain, swir * gain
    elif what == "snow alone":
        value, swir = np.full_like(value, 230.0), 24 + 10 * bump(300, 320)
    ground = ground_of(value, swir)
    assert ground.seen is None
    assert without_cloud(ground) is ground


def test_dark_short_waves_leave_no_room_for_haze():
    water = cells(surfaces()[0] == 14) > 0.1
    bound = most_haze(ground_of(*surfaces()).observed, Levels()).reshape(water.shape)
    assert bound[water].max() < 0.1
    haze = 0.3 * bump(300, 320)
    bound = most_haze(ground_of(*hazy(*surfaces(), haze)).observed, Levels())
    assert (bound.reshape(water.shape) >= cells(haze) - 0.02).all()


@pytest.mark.parametrize("sun", [(-1.0, 0.0), (0.0, 1.0), (0.6, -0.8)])
def test_the_shadow_lies_away_from_the_sun(sun):
    distance = 160.0
    haze = 0.45 * bump(320, 320, 80.0)
    shadow = 0.4 * bump(320 - distance * sun[0], 320 - distance * sun[1], 80.0)
    value, swir = surfaces()
    value, swir = hazy(value * (1 - shadow), swir * (1 - shadow), haze)
    ground = ground_of(value, swir, sun)
    below = without_cloud(ground)
    assert np.abs(1 - below.gain - cells(shadow)).max() < 0.2
    assert np.abs(1 - below.gain - cells(shadow)).mean() < 0.03
    only_haze = ground.without(np.zeros_like(below.haze), below.haze)
    shade = find_shade(only_haze.parts, below.haze, sun)
    assert shade.distance * 32 == pytest.approx(distance, abs=20)
    assert shade.depth == pytest.approx(0.4, abs=0.2)
    assert shade.explained > shade.by_chance + 0.3
    # In the wrong direction there is none.
    assert find_shade(only_haze.parts, below.haze, (-sun[0], -sun[1])) is None


def test_what_gets_darker_once_and_stays_dark_is_no_shadow():
    # A street of cloud, and beside it either its shadow or ice that is darker from there on.
    x, sun = np.arange(SIZE), (0.0, -1.0)
    haze = np.tile(0.45 * np.exp(-((x - 200) ** 2) / (2 * 50.0**2)), (SIZE, 1))
    shadow = np.tile(0.4 * np.exp(-((x - 360) ** 2) / (2 * 50.0**2)), (SIZE, 1))
    found = []
    for darker in (shadow, np.maximum.accumulate(shadow, axis=1)):
        value, swir = surfaces()
        ground = ground_of(*hazy(value * (1 - darker), swir * (1 - darker), haze), sun)
        below = without_cloud(ground)
        assert below.haze.max() > 0.35
        found.append(below.gain.min())
    assert found[0] < 0.7
    assert found[1] == 1


@pytest.mark.parametrize(("share", "known"), [(0.0, True), (0.3, True), (0.7, False), (1.0, False)])
def test_haze_stays_where_most_dark_surfaces_are_dark_nilas(share, known):
    value, swir = surfaces()
    x = np.indices((SIZE, SIZE))[1]
    value = np.where((value == 14) & (x < share * SIZE), 40.0, value)
    ground = ground_of(*hazy(value, swir, 0.45 * bump(300, 320)))
    assert (ground.seen is not None) == known


def test_without_sun_or_haze_there_is_no_shadow_to_match():
    haze, shadow = 0.45 * bump(200, 320, 60.0), 0.4 * bump(400, 320, 60.0)
    value, swir = surfaces()
    dark = value * (1 - shadow), swir * (1 - shadow)
    unknown = without_cloud(ground_of(*hazy(*dark, haze)))
    assert unknown.haze.max() > 0.35
    assert (unknown.gain == 1).all()
    no_haze = ground_of(*dark, (-1.0, 0.0))
    assert without_cloud(no_haze) is no_haze
    # Cloud whose shadow lies elsewhere has none here.
    alone = without_cloud(ground_of(*hazy(value, swir, haze), (-1.0, 0.0)))
    assert alone.haze.max() > 0.35
    assert (alone.gain == 1).all()


def test_pixels_below_a_known_haze_have_the_class_of_their_own_brightness():
    # Ice that thickens softly from water to grey is one segment, and has no class.
    y, x = np.indices((SIZE, SIZE))
    value, swir = surfaces()
    ramp = (y >= 240) & (y < 400)
    value = np.where(ramp, np.where(x < 240, 14, 14 + 0.2 * (x - 240)), value)
    swir = np.where(ramp, 8 + 3.0 * x / SIZE, swir)
    haze = 0.35 * bump(320, 200, 120.0)
    seen = hazy(value, swir, haze)
    rgb = np.repeat(np.rint(seen[0]).astype(np.uint8)[..., None], 3, axis=2)
    layers = SceneLayers(*[np.float32(seen[1] / 255)] * 2, None, None, None)
    truth = Levels().classes(np.rint(value).astype(np.uint8))
    right = {
        method: (label_image(rgb, method=method, layers=layers) == truth)[ramp & (haze > 0.05)]
        for method in ("none", "illumination")
    }
    # Some haze is left, so the darkest ice stays what it is, and so does its rim of water.
    assert right["none"].mean() < 0.4
    assert right["illumination"].mean() > 0.78
    assert right["illumination"][value[ramp & (haze > 0.05)] == 14].mean() > 0.9

"""Which light is removed: numbers of patches, the trees that judge them, soft ice left alone."""

from dataclasses import replace

import numpy as np
import pytest

from autolabel import label_image
from autolabel.filters.illumination import judge as judging
from autolabel.filters.illumination.finding import Ground, find_light
from autolabel.filters.illumination.judge import LEAST_PROOF, Judge, load_judge, prove_light
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.patches import NAMES, find_patches
from autolabel.filters.illumination.scene_sky import pack_sky, unpack_sky
from autolabel.filters.illumination.sky import (
    confidence,
    estimate_sky,
    sky_of,
)
from autolabel.filters.illumination.survey import Strip, survey_scene
from autolabel.thresholds.brightness import brightness
from data_samples import make_scene
from data_samples.spectral import make_spectral
from polynya.scenes.scene import SceneLayers

WATER, THICK = 12, 230


def floes(shape=(320, 320)):
    """Square floes of thick ice on water, 140 px wide, with leads of 20 px."""
    y, x = np.indices(shape) % 160
    return np.where((y < 140) & (x < 140), np.uint8(THICK), np.uint8(WATER))


def grey(value):
    return np.repeat(value[..., None], 3, axis=2)


def found_in(value, layers=None):
    return found_in_rgb(grey(value), layers)


def found_in_rgb(rgb, layers=None):
    shape = rgb.shape[:2]
    strip = Strip.of(rgb, np.ones(shape, bool), layers)
    survey = survey_scene([strip], shape, Levels())
    ground = Ground.of(survey, levels=Levels())
    return ground, find_light(ground)


def numbers_of(found, patch=0):
    return dict(zip(NAMES, found.numbers[patch], strict=True))


def shaded(value, depth=0.35, sigma=60.0, at=None):
    """Put one round shadow over a picture."""
    y, x = np.indices(value.shape)
    row, column = at or (value.shape[0] / 2, value.shape[1] / 2)
    gain = 1 - depth * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return np.rint(value * gain).astype(np.uint8)


def test_patches_are_areas_of_cells_that_touch():
    shadow, haze = np.zeros((5, 6)), np.zeros((5, 6))
    shadow[0, 0] = haze[1, 1] = haze[4, 5] = 0.2
    patches = find_patches(shadow, haze)
    assert patches[0, 0] == patches[1, 1] > 0
    assert patches[4, 5] not in (0, patches[0, 0])
    assert (patches > 0).sum() == 3


def test_numbers_of_a_shadow_over_floes():
    _, found = found_in(shaded(floes()))
    assert found.numbers.shape == (1, len(NAMES))
    numbers = numbers_of(found)
    assert np.exp(numbers["cells"]) == pytest.approx((found.patches == 1).sum())
    assert numbers["share"] == pytest.approx((found.patches == 1).mean())
    assert np.exp(numbers["grid"]) == pytest.approx(100)
    assert numbers["shadow_most"] == pytest.approx(found.shadow.max())
    # One light explains what happens to snow, and gives back its brightness.
    assert numbers["explained_160"] > 0.9
    assert abs(numbers["slope_160"] - 1) < 0.1
    assert abs(numbers["thick_mean_patch"] - THICK) < 12
    assert numbers["thick_patch"] > numbers["thick_before_patch"]
    assert numbers["relabelled"] > 0.02
    for name in ("swir_follows", "swir_to_ring", "swir_to_value", "nir_to_clear"):
        assert np.isnan(numbers[name])


def test_numbers_do_not_depend_on_other_patches():
    one = shaded(floes((640, 640)), at=(120, 120), sigma=30.0)
    two = shaded(one, at=(520, 520), sigma=30.0)
    alone, both = (found_in(value)[1] for value in (one, two))
    assert len(alone.numbers) == 1
    assert len(both.numbers) == 2
    first, same = numbers_of(alone), numbers_of(both, both.patches[3, 3] - 1)
    for name in ("cells", "shadow_most", "explained_160", "thick_mean_patch", "thick_to_ring"):
        assert first[name] == pytest.approx(same[name], rel=0.05, abs=0.5)


def test_numbers_of_infrared():
    value = shaded(floes())
    nir = (value / 255.0 * 0.9).astype(np.float32)
    swir = np.full(value.shape, 0.05, np.float32)
    _, found = found_in(value, SceneLayers(nir, swir, None, None, None))
    numbers = numbers_of(found)
    # The same in the patch and around it.
    assert numbers["swir_to_ring"] == pytest.approx(0, abs=1e-3)
    assert numbers["nir_to_clear"] == pytest.approx(0, abs=0.02)
    assert numbers["swir_to_value"] == pytest.approx(0.05 * 255 / value.mean(), rel=0.3)


def test_a_picture_without_light_has_no_patches():
    ground, found = found_in(floes())
    assert found.numbers.shape == (0, len(NAMES))
    assert prove_light(found.numbers, found.ponds).shape == (0,)
    sky = sky_of(ground, found, prove_light(found.numbers, found.ponds))
    assert (sky.cell_gain == 1).all()
    assert sky.doubted() is None


def test_trees_are_walked_to_their_leaves():
    # Two trees: one asks for column 1, the other is a single leaf.
    judge = Judge(
        root=np.array([0, 3], np.int32),
        feature=np.array([1, -1, -1, -1], np.int16),
        limit=np.array([2.0, 0.0, 0.0, 0.0]),
        missing_left=np.array([True, False, False, False]),
        left=np.array([1, 0, 0, 0], np.int32),
        right=np.array([2, 0, 0, 0], np.int32),
        leaf=np.array([0.0, -1.0, 2.0, 0.5]),
        start=0.25,
    )
    numbers = np.array([[9.0, 2.0], [9.0, 2.1], [9.0, np.nan]])
    odds = np.array([-0.25, 2.75, -0.25])
    assert judge.chance(numbers) == pytest.approx(1 / (1 + np.exp(-odds)))


def test_trees_that_were_grown_on_other_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(judging, "NAMES", NAMES[:-1])
    load_judge.cache_clear()
    with pytest.raises(RuntimeError, match=r"benchmarks\.labels judge"):
        load_judge()


def test_only_proven_patches_are_removed():
    value = shaded(shaded(floes((640, 640)), at=(120, 120), sigma=30.0), at=(520, 520), sigma=30.0)
    ground, found = found_in(value)
    sky = sky_of(ground, found, np.array([True, False]))
    assert (sky.cell_gain < 1)[found.patches == 1].any()
    assert (sky.cell_gain == 1)[found.patches == 2].all()
    assert (sky.doubted_gain < 1)[found.patches == 2].any()
    assert sky.doubted().cell_gain is sky.doubted_gain


def test_labels_of_light_that_is_not_proven_are_unsure():
    value = shaded(floes())
    ground, found = found_in(value)
    valid = np.ones(value.shape, bool)
    sky = sky_of(ground, found, np.zeros(1, bool))
    sure = confidence(value, valid, sky)
    darkened = (floes() == THICK) & (value < 195)
    assert darkened.sum() > 1000
    assert (sure[darkened] == 0.5).mean() > 0.9
    assert (sure[value == WATER] > 0.9).all()
    # The doubt outlives the way to the workers.
    assert (confidence(value, valid, unpack_sky(pack_sky(sky))) == sure).all()
    proven = replace(sky, doubted_gain=sky.cell_gain, doubted_haze=sky.cell_haze)
    assert (confidence(value, valid, proven)[darkened] > 0.5).all()


@pytest.mark.parametrize("structure", ["young", "polynya", "ponds", "ridges", "brash", "nilas"])
def test_clear_ice_that_is_soft_by_itself_stays_as_thresholds_say(structure):
    scene = make_spectral(9907, (512, 512), "clear", structure=structure)
    for layers in (None, scene.layers):
        for size in (256, 512):
            part = np.s_[:size, :size]
            image, valid = np.ascontiguousarray(scene.observed[part]), scene.valid[part]
            seen = None if layers is None else cut(layers, part)
            labels = label_image(image, valid=valid, layers=seen, stretch=scene.stretch)
            alone = label_image(image, method="none", valid=valid)
            assert (labels != alone)[valid].mean() <= 0.003


def cut(layers, part):
    nir, swir, cirrus = (layer[part] for layer in (layers.nir, layers.swir, layers.cirrus))
    return SceneLayers(nir, swir, cirrus, None, None, sun=layers.sun)


def test_a_shadow_over_floes_is_still_removed():
    scene = make_scene(503, 0, (512, 512), "shadow")
    sky = estimate_sky(scene.observed, scene.valid)
    assert (sky.cell_gain < 0.9).any()
    value = brightness(scene.observed)
    assert (confidence(value, scene.valid, sky)[scene.valid] >= 0.5).all()
    assert 0.5 < LEAST_PROOF < 1


def test_light_over_melt_ponds_is_not_proven():
    value = shaded(floes())
    rgb = grey(value)
    seen, found = found_in_rgb(rgb)
    assert (found.ponds == 0).all()
    # Blue ponds on a floe, with soft shores.
    y, x = np.indices(value.shape)
    blue = rgb.copy()
    pond = ((y % 160 - 70) ** 2 + (x % 160 - 70) ** 2 < 30**2) & (value > 100)
    blue[pond] = [80, 130, 140]
    _, wet = found_in_rgb(blue)
    assert (wet.ponds > 0.02).any()
    assert not prove_light(wet.numbers, wet.ponds)[wet.ponds > 0.02].any()
    # Dark blue water is water.
    sea = rgb.copy()
    sea[value == WATER] = [4, 8, WATER]
    assert (found_in_rgb(sea)[1].ponds == 0).all()
    assert seen.survey.ponds.shape == (100,)


def test_light_over_one_surface_alone_is_not_proven():
    # A sheet of bright cloud that gets dimmer looks like one snow field in a shadow.
    value = shaded(np.full((400, 400), THICK, np.uint8))
    _, found = found_in(value)
    assert numbers_of(found)["thick_patch"] == 1
    assert load_judge().chance(found.numbers).shape == (1,)
    assert not prove_light(found.numbers, found.ponds).any()
    assert (label_image(grey(value)) == label_image(grey(value), method="none")).all()

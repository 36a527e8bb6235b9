"""The filter that finds the light: on generated scenes with truth, and on anything at all."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autolabel import filter_image, label_image
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import BETWEEN, THICK, WATER
from autolabel.filters.illumination.sky import (
    clear_brightness,
    clear_sky,
    confidence,
    estimate_sky,
    solve_sky,
)
from autolabel.filters.illumination.survey import Strip, opaque_cloud, survey_scene
from autolabel.labels import label_and_filter
from autolabel.thresholds.brightness import brightness
from autolabel.thresholds.profiles import ROSS_SEA_SUMMER
from data_samples import SKY_KINDS, make_scene
from polynya.errors import RecipeError
from polynya.recipe.thresholds import ColorRange, Profile
from polynya.scenes.scene import SceneLayers

NODATA = 255


@pytest.fixture(scope="module")
def scenes():
    """A site of development with loose floes, 512 x 512 pixels, under every sky."""
    return {sky: make_scene(503, 4, (512, 512), sky) for sky in SKY_KINDS}


def right(labels, scene):
    return (labels == scene.truth)[scene.valid].mean()


def test_labels_are_right_under_every_sky_and_better_than_thresholds(scenes):
    for sky, scene in scenes.items():
        share = right(label_image(scene.observed, valid=scene.valid), scene)
        alone = right(label_image(scene.observed, method="none", valid=scene.valid), scene)
        assert share >= (alone if sky != "clear" else 0.998)
        assert share > 0.975


def test_no_sky_of_any_site_is_labelled_worse_than_by_thresholds():
    gained = []
    for site in range(8):
        for sky in SKY_KINDS:
            scene = make_scene(503, site, (512, 512), sky)
            share = right(label_image(scene.observed, valid=scene.valid), scene)
            alone = right(label_image(scene.observed, method="none", valid=scene.valid), scene)
            assert share >= alone - (0.001 if sky == "clear" else 0.002)
            gained.append(share - alone)
    assert np.mean(gained) > 0.03


def test_a_clear_image_comes_back_to_the_bit():
    scene = make_scene(503, 2, (256, 256), "clear")
    assert (filter_image(scene.clear, valid=scene.valid) == scene.clear).all()


def test_fields_are_close_to_the_true_ones():
    scene = make_scene(503, 0, (512, 512), "both")
    sky = estimate_sky(scene.observed, scene.valid)
    sky = sky.doubted() or sky  # As they were found; which of it is removed is another question.
    assert sky.gain().shape == sky.haze().shape == (512, 512)
    assert np.abs(sky.gain() - scene.sky.gain)[scene.valid].mean() < 0.04
    assert np.abs(sky.haze() - scene.sky.haze)[scene.valid].mean() < 0.04
    assert np.corrcoef(sky.haze().ravel(), scene.sky.haze.ravel())[0, 1] > 0.8


@pytest.mark.slow
def test_what_is_sure_is_more_often_right():
    sure, correct = [], []
    # One site has too few unsure pixels to say anything; these are twelve.
    for seed, index in [*((503, i) for i in range(8)), *((501, i) for i in range(4))]:
        scene = make_scene(seed, index, (512, 512), "both")
        sky = estimate_sky(scene.observed, scene.valid)
        value = brightness(scene.observed)
        labels = label_image(scene.observed, valid=scene.valid)
        chance = confidence(value, scene.valid, sky)
        assert chance.dtype == np.float32
        assert (chance[~scene.valid] == 0).all()
        assert (chance[scene.valid] >= 0.5).all()
        assert (chance <= 1).all()
        sure.append(chance[scene.valid])
        correct.append((labels == scene.truth)[scene.valid])
    chance, correct = np.concatenate(sure), np.concatenate(correct)
    limits = [0.5, 0.8, 0.95, 0.98, 1.01]
    shares = [correct[(chance >= low) & (chance < high)].mean() for low, high in pairwise(limits)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.985
    assert shares[0] < 0.95


def test_image_brightness_and_label_agree(scenes):
    scene = scenes["both"]
    result = label_and_filter(
        scene.observed,
        method="illumination",
        profile=ROSS_SEA_SUMMER,
        valid=scene.valid,
        with_filtered=True,
    )
    assert (result.filtered == filter_image(scene.observed, valid=scene.valid)).all()
    assert (result.label == label_image(scene.observed, valid=scene.valid)).all()
    value = clear_brightness(brightness(scene.observed), scene.valid, result.sky)
    assert np.abs(brightness(result.filtered).astype(int) - value).max() <= 0
    assert (result.filtered[~scene.valid] == 0).all()


def test_a_profile_with_colours_goes_through_the_filtered_image(scenes):
    scene = scenes["shadow"]
    coloured = Profile(
        name="split",
        ranges=(
            ColorRange(class_name="open_water", value=(0, 30)),
            ColorRange(class_name="thin_ice", value=(31, 204)),
            ColorRange(class_name="thick_ice", saturation=(0, 100), value=(205, 255)),
            ColorRange(class_name="thin_ice", saturation=(101, 255), value=(205, 255)),
        ),
    )
    assert right(label_image(scene.observed, profile=coloured, valid=scene.valid), scene) > 0.98


def test_thick_cloud_is_hidden_and_no_evidence(scenes):
    scene = scenes["clear"]
    cloud = np.zeros((512, 512), bool)
    cloud[100:200, 150:330] = True
    image = scene.clear.copy()
    image[cloud] = 235
    layers = SceneLayers(None, None, None, cloud, None)
    sky = estimate_sky(image, scene.valid, layers=layers)
    assert (sky.hidden(1.0) == cloud).all()
    assert sky.veiled()[cloud].all()
    labels = label_image(image, valid=scene.valid, layers=layers)
    assert (labels == scene.truth)[scene.valid & ~cloud].mean() > 0.998


def test_snow_and_cloud_differ_in_the_short_wave_infrared(scenes):
    scene = scenes["clear"]
    image = np.full((64, 64, 3), 230, np.uint8)
    swir = np.full((64, 64), 0.05, np.float32)
    swir[:, 32:] = 0.6
    sky = estimate_sky(
        image, np.ones((64, 64), bool), layers=SceneLayers(None, swir, None, None, None)
    )
    assert not sky.hidden(1.0)[:, :32].any()
    assert sky.hidden(1.0)[:, 32:].all()
    assert scene.valid.any()


def test_dark_infrared_forbids_haze_and_cirrus_suggests_it():
    scene = make_scene(503, 4, (512, 512), "cloud")
    h = scene.sky.haze.astype(np.float32)
    plain = estimate_sky(scene.observed, scene.valid)
    nothing = np.zeros((512, 512), np.float32)
    no_haze = estimate_sky(
        scene.observed, scene.valid, layers=SceneLayers(nothing, None, None, None, None)
    )
    assert plain.haze().max() > 0.2
    assert no_haze.haze().max() <= 0.031
    cirrus = SceneLayers(None, None, 0.001 + 0.05 * h, None, None)
    helped = label_image(scene.observed, valid=scene.valid, layers=cirrus)
    alone = label_image(scene.observed, valid=scene.valid)
    assert right(helped, scene) >= right(alone, scene) - 0.002


def test_haze_that_colours_prove_is_theirs_and_the_cirrus_band_tells_the_rest():
    proven, unproven = (make_scene(777, i, (768, 768), "cloud") for i in (0, 1))
    for scene, by_colours in ((proven, True), (unproven, False)):
        band = (0.001 + 0.3 * scene.sky.haze).astype(np.float32)
        layers = SceneLayers(None, None, band, None, None)
        alone = label_image(scene.observed, valid=scene.valid)
        helped = label_image(scene.observed, valid=scene.valid, layers=layers)
        thresholds = label_image(scene.observed, valid=scene.valid, method="none")
        assert np.array_equal(helped, alone) == by_colours
        assert np.array_equal(alone, thresholds) == (not by_colours)
        assert right(helped, scene) > right(thresholds, scene) + 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (2, 2), (33, 31), (64, 65)])
@pytest.mark.parametrize("value", [1, 15, 100, 230, 255])
def test_constant_images_of_any_shape(shape, value):
    image = np.full((*shape, 3), value, np.uint8)
    expected = 0 if value <= 30 else 1 if value <= 204 else 2
    assert (label_image(image) == expected).all()
    assert (filter_image(image) == image).all()


@settings(max_examples=60, deadline=None)
@given(
    image=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3)),
        elements=st.sampled_from([0, 1, 8, 30, 31, 60, 120, 204, 205, 230, 255]),
    ),
    seed=st.integers(0, 2**16),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    smooth=st.booleans(),
)
def test_anything_is_labelled_and_nodata_is_kept(image, seed, share, smooth):
    rng = np.random.default_rng(seed)
    if smooth:
        ramp = np.linspace(0.2, 1.0, image.shape[1])[None, :, None]
        image = (image * ramp).astype(np.uint8)
    valid = rng.random(image.shape[:2]) < share
    before = image.copy()
    for method in ("illumination", "published", "none"):
        labels = label_image(image, method=method, valid=valid)
        assert labels.dtype == np.uint8
        assert labels.shape == valid.shape
        assert ((labels == NODATA) == ~valid).all()
        assert set(np.unique(labels)) <= {0, 1, 2, NODATA}
        if method != "none":
            assert (filter_image(image, method=method, valid=valid)[~valid] == 0).all()
    assert (image == before).all()


def test_segments_are_what_they_are_called(scenes):
    scene = scenes["clear"]
    sky = estimate_sky(scene.clear, scene.valid)
    truth = scene.truth[::2, ::2]
    for kind, code in ((WATER, 0), (BETWEEN, 1), (THICK, 2)):
        assert (truth[sky.kind == kind] == code).mean() > 0.95


@pytest.mark.parametrize("height", [160, 333])
def test_a_scene_gone_through_in_strips_is_filtered_to_the_same_bits(scenes, height):
    scene = scenes["both"]
    image, valid = scene.observed, scene.valid
    rng = np.random.default_rng(3)
    layers = SceneLayers(
        rng.uniform(0, 1, valid.shape).astype(np.float32),
        rng.uniform(0, 0.3, valid.shape).astype(np.float32),
        rng.uniform(0, 0.02, valid.shape).astype(np.float32),
        rng.uniform(0, 1, valid.shape) > 0.99,
        None,
    )

    def part(top, n):
        rows = slice(top, top + n)
        bands = (
            layer[rows] for layer in (layers.nir, layers.swir, layers.cirrus, layers.opaque_cloud)
        )
        return image[rows], valid[rows], SceneLayers(*bands, None)

    whole = estimate_sky(image, valid, layers=layers)
    strips = [Strip.of(*part(top, 64)) for top in range(0, 512, 64)]
    survey = survey_scene(strips, valid.shape, Levels())
    sky = solve_sky(survey, levels=Levels())
    assert (sky.cell_haze == whole.cell_haze).all()
    assert (sky.cell_gain == whole.cell_gain).all()
    cleared = clear_sky(image, valid, whole)
    for top in range(0, 512, height):
        n = min(height, 512 - top)
        rows = slice(top, top + n)
        rgb, seen, evidence = part(top, n)
        there = sky.rows(top, n, opaque_cloud(rgb, evidence, (0.0, 1.0)))
        assert (clear_sky(rgb, seen, there) == cleared[rows]).all()
        assert (there.veiled() == whole.veiled()[rows]).all()
        assert (there.hidden(0.3) == whole.hidden(0.3)[rows]).all()
        value = brightness(rgb)
        sure = confidence(brightness(image), valid, whole)[rows]
        assert (confidence(value, seen, there) == sure).all()


def test_limits_that_can_not_be_water_and_snow_are_named():
    image = np.full((8, 8, 3), 120, np.uint8)
    for dark, bright in ((100, 205), (30, 120)):
        profile = Profile(
            name="mine",
            ranges=(
                ColorRange(class_name="open_water", value=(0, dark)),
                ColorRange(class_name="thin_ice", value=(dark + 1, bright - 1)),
                ColorRange(class_name="thick_ice", value=(bright, 255)),
            ),
        )
        with pytest.raises(RecipeError, match=f"'mine'.*value {dark} .*from {bright}.*'none'"):
            label_image(image, profile=profile)
        assert (label_image(image, profile=profile, method="none") > 0).all()


def test_compiled_loops_do_what_python_does(tmp_path):
    """The same bytes without the compiler; also, coverage sees inside the loops."""
    scene = make_scene(503, 4, (70, 66), "both")
    layers = SceneLayers(
        np.full((70, 66), 0.3, np.float32), None, np.zeros((70, 66), np.float32), None, None
    )
    sky = estimate_sky(scene.observed, scene.valid, layers=layers)
    np.savez(
        tmp_path / "compiled.npz",
        image=scene.observed,
        valid=scene.valid,
        gain=sky.cell_gain,
        haze=sky.cell_haze,
        filtered=clear_sky(scene.observed, scene.valid, sky),
        sure=confidence(brightness(scene.observed), scene.valid, sky),
        label=label_image(scene.observed, valid=scene.valid),
    )
    program = f"""
import numpy as np
from autolabel import label_image
from autolabel.thresholds.brightness import brightness
from autolabel.filters.illumination.sky import clear_sky, confidence, estimate_sky
from polynya.scenes.beside.layers import SceneLayers
expected = np.load({str(tmp_path / "compiled.npz")!r})
image, valid = expected["image"], expected["valid"]
shape = valid.shape
layers = SceneLayers(
    np.full(shape, 0.3, np.float32), None, np.zeros(shape, np.float32), None, None
)
sky = estimate_sky(image, valid, layers=layers)
assert (sky.cell_gain == expected["gain"]).all()
assert (sky.cell_haze == expected["haze"]).all()
assert (clear_sky(image, valid, sky) == expected["filtered"]).all()
assert np.allclose(confidence(brightness(image), valid, sky), expected["sure"], atol=1e-6)
assert (label_image(image, valid=valid) == expected["label"]).all()
assert (label_image(image, method="none", valid=valid)[valid] < 3).all()
"""
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        timeout=300,
    )


def test_importing_the_labels_is_light():
    program = (
        "import sys, autolabel; heavy = {'numba', 'tensorflow', 'pyspark', 'pandas', 'matplotlib'};"
        " sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

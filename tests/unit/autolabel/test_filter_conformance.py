"""What every filter must be and do, whichever it is (docs/extending.md)."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from conftest import ice_image, label_here

import autolabel.filters
from autolabel.filters.registry import FILTER_NAMES, find_filter, light_steps, needs_whole
from autolabel.label_pictures import _strips
from autolabel.labels import filter_image, label_and_filter
from autolabel.plan import needs_sky, plan_units
from autolabel.scene_tiles import filter_scene, label_pixels
from autolabel.thresholds.profiles import get_profile
from polynya.recipe.label import FIND_CLOUD
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene, read_scene
from polynya.scenes.scene import SceneLayers

FILTERS = [find_filter(name) for name in FILTER_NAMES]
each_filter = pytest.mark.parametrize("chosen", FILTERS, ids=FILTER_NAMES)
SHAPES = [(1, 1), (1, 9), (200, 1), (3, 3), (70, 130), (300, 280)]
PROFILE = get_profile("ross-sea-summer")


def recipe(chosen, **label):
    return Recipe.model_validate({"tiles": {"size": 64}, "label": {"method": chosen.name, **label}})


def scene_with_gap(height, width):
    """An image with nodata in a corner, and where it is valid."""
    image, valid = ice_image(height, width), np.ones((height, width), bool)
    valid[: height // 3, : width // 4] = False
    image[~valid] = 0
    return image, valid


def test_names_and_modules_agree():
    found = {
        module.FILTER.name
        for entry in pkgutil.iter_modules(autolabel.filters.__path__)
        if hasattr(module := import_module(f"autolabel.filters.{entry.name}"), "FILTER")
    }
    assert found == set(FILTER_NAMES)
    assert len({chosen.title for chosen in FILTERS}) == len(FILTERS)


@each_filter
def test_it_says_what_it_is(chosen):
    assert find_filter(chosen.name) is chosen
    assert chosen.title == chosen.title.strip(". \n")
    # What the recipe must know before any filter is imported.
    assert (chosen.name in FIND_CLOUD) == ({"thick_cloud", "confidence"} <= chosen.knows)
    assert not chosen.knows or chosen.light is not None
    chosen.check_profile(PROFILE, Recipe().classes)


def test_no_filter_loads_what_workers_can_do_without():
    program = (
        "import sys; from autolabel.filters.registry import FILTER_NAMES, find_filter;"
        "[find_filter(name) for name in FILTER_NAMES];"
        "heavy = {'numba', 'tensorflow', 'keras', 'pyspark', 'matplotlib'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape", SHAPES)
@each_filter
def test_an_image_stays_one_and_its_nodata_too(chosen, shape):
    image, valid = scene_with_gap(*shape)
    before = image.copy()
    filtered = filter_image(image, method=chosen.name, valid=valid)
    assert (filtered.shape, filtered.dtype) == (image.shape, np.uint8)
    assert not filtered[~valid].any()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(filter_image(image, method=chosen.name, valid=valid), filtered)
    assert chosen.changes_images or filtered is image


@pytest.mark.parametrize("level", [0, 1, 120, 255])
@each_filter
def test_surfaces_without_any_contrast_have_labels(chosen, level):
    image, valid = np.full((90, 70, 3), level, np.uint8), np.ones((90, 70), bool)
    valid[:, 60:] = False
    labelled = label_and_filter(image, method=chosen.name, profile=PROFILE, valid=valid)
    assert (labelled.label[valid] < 3).all()
    assert (labelled.label[~valid] == 255).all()
    assert labelled.filtered is None
    nothing = np.zeros_like(valid)
    blank = label_and_filter(image, method=chosen.name, profile=PROFILE, valid=nothing)
    assert (blank.label == 255).all()


@each_filter
def test_labels_are_those_of_the_filtered_image(chosen):
    image, valid = scene_with_gap(300, 280)
    both = label_and_filter(
        image, method=chosen.name, profile=PROFILE, valid=valid, with_filtered=True
    )
    alone = label_and_filter(image, method=chosen.name, profile=PROFILE, valid=valid)
    np.testing.assert_array_equal(both.label, alone.label)
    again = label_and_filter(both.filtered, method="none", profile=PROFILE, valid=valid)
    np.testing.assert_array_equal(both.label, again.label)


@each_filter
def test_layers_that_it_can_not_use_change_nothing(chosen):
    image, valid = scene_with_gap(300, 280)
    rng = np.random.default_rng(0)
    nir, swir, cirrus = rng.random((3, 300, 280), np.float32)
    clouds = np.zeros((300, 280), bool)
    clouds[100:200, 100:200] = True
    given = {"nir": nir, "swir": swir, "cirrus": cirrus, "opaque_cloud": clouds, "sun_azimuth": 45}
    usable = {"opaque_cloud" if name == "clouds" else name for name in chosen.layers}
    usable = {"sun_azimuth" if name == "sun" else name for name in usable}
    kept = {name: value if name not in usable else None for name, value in given.items()}
    plain = filter_image(image, method=chosen.name, valid=valid)
    filtered = filter_image(image, method=chosen.name, valid=valid, layers=SceneLayers(**kept))
    np.testing.assert_array_equal(filtered, plain)
    filter_image(image, method=chosen.name, valid=valid, layers=SceneLayers(**given))


@pytest.mark.parametrize("scope", ["scene", "tile"])
@each_filter
def test_parts_of_a_scene_look_like_the_whole(chosen, scope, write_scene):
    scene = open_scene(str(write_scene("scene.tif", scene_with_gap(330, 280)[0], nodata=0)))
    options = recipe(chosen, scope=scope)
    strips = list(_strips(scene, options, 64))
    at_once = chosen.needs_whole and scope == "scene"
    assert needs_whole(options.label) == at_once
    assert len(strips) == (1 if at_once else 6)
    whole = filter_scene(*read_scene(scene), options)
    np.testing.assert_array_equal(np.concatenate([left for _, _, left in strips]), whole)


@each_filter
def test_light_travels_as_bytes(chosen, write_scene):
    steps = light_steps(recipe(chosen).label)
    assert light_steps(recipe(chosen, scope="tile").label) is None
    assert (steps is None) == (chosen.light is None)
    if steps is None:
        return
    scene = open_scene(str(write_scene("scene.tif", scene_with_gap(300, 280)[0], nodata=0)))
    image, valid = read_scene(scene)
    found = steps.find(scene, recipe(chosen))
    content = steps.pack(found)
    assert steps.pack(steps.unpack(content)) == content
    known = steps.over_rows(steps.unpack(content), 0, image, None, (0.0, 1.0))
    assert known.gain().shape == known.haze().shape == valid.shape
    here = label_pixels(image, valid, recipe(chosen), PROFILE)
    there = label_pixels(image, valid, recipe(chosen), PROFILE, sky=known)
    np.testing.assert_array_equal(here.label, there.label)


@each_filter
def test_large_scenes_are_cut_unless_it_needs_them_whole(chosen, write_scene, small_bands):
    scene = open_scene(str(write_scene("scene.tif", ice_image(600, 280))))
    units = plan_units([scene], recipe(chosen))
    assert (len(units) == 1) == chosen.needs_whole
    first = needs_sky(units[0], recipe(chosen).label)
    assert first == (chosen.light is not None and not chosen.needs_whole)


@each_filter
def test_it_knows_what_it_says_and_no_more(chosen):
    image, valid = scene_with_gap(300, 280)
    asked = {"uncertain": "nodata"} if chosen.name in FIND_CLOUD else {}
    labelled = label_pixels(image, valid, recipe(chosen, **asked), PROFILE)
    for mask, what in (
        (labelled.veiled, "veiled"),
        (labelled.thick_cloud, "thick_cloud"),
        (labelled.uncertain, "confidence"),
    ):
        assert (mask is not None) == (what in chosen.knows)
        assert mask is None or (mask.shape, mask.dtype) == (valid.shape, np.bool_)


@pytest.mark.parametrize("images", ["original", "filtered"])
@each_filter
def test_a_data_set_says_what_made_it(chosen, images, write_scene, tmp_path):
    path = write_scene("scene.tif", scene_with_gap(130, 100)[0], nodata=0)
    _, (result,) = label_here(recipe(chosen, images=images), tmp_path / "out", path)
    assert (result.status, result.reason) == ("done", "")
    assert (result.veiled_pixels is None) == ("veiled" not in chosen.knows)
    assert (result.thick_cloud_pixels is None) == ("thick_cloud" not in chosen.knows)

"""Rows of a scene come as its model saw them, whatever is read at once."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ice_image

from autolabel.scene_tiles import filter_scene
from data_samples import make_scene
from helpers.maps.inference_models import make_recipe
from inference.predict import rows
from inference.predict.rows import row_reader
from polynya.scenes.reading import open_scene, read_scene

FILTERED = [
    {"images": "original", "method": "illumination"},
    {"images": "filtered", "method": "none"},
    {"images": "filtered", "method": "illumination"},
    {"images": "filtered", "method": "illumination", "scope": "tile"},
    {"images": "filtered", "method": "published"},
    {"images": "filtered", "method": "published", "scope": "tile"},
]


@pytest.mark.parametrize("label", FILTERED, ids=lambda label: "-".join(label.values()))
@pytest.mark.parametrize("first", [0, 130])
def test_rows_read_in_parts_are_those_of_the_whole_scene(write_scene, monkeypatch, label, first):
    monkeypatch.setattr(rows, "_ROWS_PER_READ", 64)
    monkeypatch.setattr("autolabel.filters.illumination.scene_sky._STRIP_ROWS", 64)
    recipe = make_recipe(64, label=label)
    sample = make_scene(13, 3, (300, 200), "both", wedge=0.2)
    scene = open_scene(str(write_scene("scene.tif", sample.observed, nodata=0)))
    image, valid = read_scene(scene)
    if label["images"] == "filtered":
        image = filter_scene(image, valid, recipe)
    read = row_reader(scene, recipe, first)
    parts = [read(start, stop) for start, stop in ((first, first + 7), (first + 7, 290))]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), image[first:290])
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), valid[first:290])


@pytest.mark.parametrize("first", [0, 100, 130])
def test_black_means_the_same_in_any_rows(write_scene, monkeypatch, first):
    monkeypatch.setattr(rows, "_ROWS_PER_READ", 64)
    image = ice_image(300, 200)
    image[90:140, 20:40] = 0  # A lake.
    image[:250, 60] = image[250, 60:90] = image[140:250, 90] = 0  # Down from the edge and up again.
    scene = open_scene(str(write_scene("scene.tif", image)))
    pixels, valid = read_scene(scene)
    assert valid[90:140, 20:40].all()
    assert not valid[140:250, 90].any()
    read = row_reader(scene, make_recipe(64), first)
    parts = [read(start, stop) for start, stop in ((first, first + 7), (first + 7, 290))]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), pixels[first:290])
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), valid[first:290])


def test_the_recipe_puts_a_filter_before_a_model_that_learnt_without(write_scene):
    sample = make_scene(33, 0, (256, 256), "both", wedge=0.1)
    scene = open_scene(str(write_scene("scene.tif", sample.observed, nodata=0)))
    learnt = make_recipe(64, label={"images": "original", "method": "none"})
    before = make_recipe(64, label=learnt.label.model_dump(), inference={"filter": "illumination"})
    as_if = make_recipe(64, label={"images": "filtered", "method": "illumination"})
    seen, expected, plain = (row_reader(scene, r)(0, 256)[0] for r in (before, as_if, learnt))
    np.testing.assert_array_equal(seen, expected)
    assert (seen != plain).any()


def test_no_row_is_read_twice(write_scene, monkeypatch):
    monkeypatch.setattr(rows, "_ROWS_PER_READ", 64)
    asked = []

    def reading(scene, window):
        asked.append((window.row, window.height))
        return read_scene(scene, window)

    monkeypatch.setattr(rows, "read_scene", reading)
    scene = open_scene(str(write_scene("scene.tif", ice_image(200, 40))))
    read = row_reader(scene, make_recipe(32), 70)
    for start in range(70, 200, 10):
        read(start, start + 10)
    assert asked == [(64, 64), (128, 64), (192, 8)]

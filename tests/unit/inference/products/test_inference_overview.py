"""Overview pictures: blocks of pixels, scale bar, north, colours that everybody can tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import ice_image
from matplotlib.image import imread

from autolabel import label_image
from helpers.maps.made_maps import box_scene, make_scene, random_codes
from inference.ground.lengths import map_scale
from inference.products.overview import draw_overview, read_preview
from inference.products.registry import product_tags
from inference.stac.assets import class_entries
from polynya.errors import RecipeError
from polynya.recipe.classes import OKABE_ITO, SEA_ICE, ClassScheme, LabelClass
from polynya.recipe.recipe import Recipe
from polynya.report.pictures import bar_length, draw_panels, thinning
from polynya.scenes.reading import open_scene

COLOUR_BLIND = Recipe.model_validate({"inference": {"palette": "colour-blind"}})


@pytest.mark.parametrize(
    ("height", "width", "step"), [(1, 1, 1), (900, 3, 1), (901, 5, 2), (5, 2000, 3), (3000, 4, 4)]
)
def test_previews_are_means_of_blocks(write_scene, height, width, step):
    image = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    preview = read_preview(open_scene(str(write_scene("scene.tif", image))), Recipe()).image
    assert thinning(height, width) == step
    for row, column in np.ndindex(*preview.shape[:2]):
        block = image[row * step :, column * step :][:step, :step]
        mean = block.reshape(-1, 3).astype(float).mean(axis=0)
        np.testing.assert_allclose(preview[row, column], mean, atol=0.5)


def test_labels_of_previews_are_what_most_pixels_of_a_block_are(write_scene):
    image = ice_image(1810, 40)
    scene, recipe = open_scene(str(write_scene("scene.tif", image))), Recipe()
    labels = read_preview(scene, recipe).labels
    codes = label_image(image, method="none", classes=SEA_ICE)
    for row, column in np.ndindex(*labels.shape):
        block = codes[row * 3 :, column * 3 :][:3, :3]
        counts = np.bincount(block.ravel(), minlength=256)
        assert counts[labels[row, column]] == counts.max()


def test_a_model_of_other_classes_has_no_labels_beside_it(write_scene, tmp_path):
    ponds = ClassScheme(
        name="ponds",
        classes=(
            LabelClass(code=0, name="dry", title="Dry", color=(1, 1, 1)),
            LabelClass(code=1, name="wet", title="Wet", color=(2, 2, 2)),
        ),
    )
    scene = open_scene(str(write_scene("scene.tif", ice_image(20, 30))))
    recipe = Recipe(classes=ponds)
    preview = read_preview(scene, recipe)
    assert preview.labels is None
    codes = np.zeros((20, 30), np.uint8)
    for name in ("a.png", "b.png"):
        draw_overview(tmp_path / name, preview, scene, codes, recipe)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("longest", "length"),
    [(1.0, 1), (1.99, 1), (4999, 2000), (5000, 5000), (99_999, 50_000), (0.3, 0.2)],
)
def test_bars_have_round_lengths(longest, length):
    assert bar_length(longest) == pytest.approx(length)


def test_the_scale_is_that_of_the_ground_and_north_where_it_is():
    greenland = map_scale(make_scene(400, 400, "EPSG:3413", (250.0, 0.0, 0.0, 0.0, -250.0, -2e6)))
    # At 71.2 degrees, where 250 m on this map are a little more; the pole is up, a little left.
    assert greenland.metres == pytest.approx(250.9, rel=1e-3)
    assert greenland.north == pytest.approx((-0.024, -1.0), abs=0.005)
    antarctica = map_scale(make_scene(100, 100, "EPSG:3031", (10.0, 0.0, 0.0, 0.0, -10.0, 2e6)))
    assert antarctica.north == pytest.approx((0.0, -1.0), abs=0.001)
    mercator = map_scale(make_scene(100, 100, "EPSG:3857", (100.0, 0.0, 0.0, 0.0, -100.0, 12.13e6)))
    assert mercator.metres == pytest.approx(29.32, rel=1e-3)
    upside_down = map_scale(box_scene(10, 40, 11, 41, "EPSG:4326"))
    assert upside_down.north == pytest.approx((0.0, 1.0), abs=0.01)


def test_without_one_scale_or_one_north_there_is_none():
    assert map_scale(make_scene(crs=None)) is None
    assert map_scale(replace(make_scene(), transform=None)) is None
    assert map_scale(box_scene(-180, 85, 180, -85, "EPSG:4326")) is None
    at_pole = map_scale(box_scene(-1e5, 1e5, 1e5, -1e5))
    assert at_pole.metres == pytest.approx(2000 / 0.97277, rel=1e-3)
    assert at_pole.north is None


def test_bar_and_arrow_are_in_the_picture(tmp_path):
    panels = [("Scene", np.zeros((300, 400, 3), np.uint8))]
    draw_panels(tmp_path / "plain.png", panels, SEA_ICE, "title")
    draw_panels(tmp_path / "scale.png", panels, SEA_ICE, "title", metres=10.0, north=(0.0, -1.0))
    plain, scale = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("plain", "scale"))
    assert plain.shape == scale.shape
    changed = np.abs(plain - scale).max(axis=2) > 0.5
    rows, columns = np.nonzero(changed)
    width = changed.shape[1]
    bar = np.flatnonzero(changed[rows.max()] & (np.arange(width) < width / 2))
    # 1 km are 100 pixels of 400.
    assert np.ptp(bar) == pytest.approx(100, abs=3)
    assert (columns > width / 2).sum() > 100


def simulated(color, matrix):
    linear = np.where(
        (c := np.array(color) / 255) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4
    )
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_all_can_tell_the_colours_of_the_second_palette_apart():
    # Machado, Oliveira and Fernandes 2009, complete protanopia and deuteranopia.
    protanopia = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
    deuteranopia = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    shown = [c.color for c in COLOUR_BLIND.shown_classes.classes]
    for matrix in (np.eye(3), protanopia, deuteranopia):
        seen = [simulated(color, matrix) for color in shown]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(apart) > 0.3


def test_the_palette_is_that_of_pictures_tables_and_metadata():
    classes = COLOUR_BLIND.shown_classes
    assert [c.color for c in classes.classes] == list(OKABE_ITO[:3])
    assert classes.names == SEA_ICE.names
    assert COLOUR_BLIND.classes == SEA_ICE
    assert Recipe().shown_classes is Recipe().classes or Recipe().shown_classes == SEA_ICE
    assert classes.colormap()[0] == (0, 114, 178, 255)
    assert class_entries(classes)[0]["color_hint"] == "0072B2"
    assert tuple(classes.paint(random_codes(8, 8) * 0)[0, 0]) == (0, 114, 178)
    # Maps with other colours are other files.
    assert product_tags(COLOUR_BLIND.inference, COLOUR_BLIND.classes) == {"palette": "colour-blind"}
    assert product_tags(Recipe().inference, Recipe().classes) == {}


def test_more_classes_than_colours_are_one_sentence():
    many = ClassScheme(
        name="many",
        classes=tuple(
            LabelClass(code=i, name=f"c{i}", title=f"C{i}", color=(i, 0, 0)) for i in range(8)
        ),
    )
    with pytest.raises(RecipeError, match="'inference.palette' colour-blind has 7 colours"):
        many.in_palette("colour-blind")
    assert many.in_palette("standard") is many

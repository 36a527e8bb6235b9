"""Labels by colour thresholds are those that the ranges say."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.thresholds.profiles import (
    PROFILES,
    brightness_steps,
    get_profile,
    label_by_brightness,
    label_by_color,
)
from helpers.shards.colour_ranges import (
    COLOUR_RANGES,
    FOUR,
    NAMES,
    THICK,
    THIN,
    WATER,
    colour_range,
    hsv_members,
    profile,
)
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe
from polynya.recipe.thresholds import color_grid


def expected_labels(rgb, mine, classes):
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    labels = np.full(rgb.shape[:2], classes.nodata, np.uint8)
    for part in mine.ranges:
        hue, saturation, value = hsv_members(part.model_dump())
        mask = hue[hsv[..., 0]] & saturation[hsv[..., 1]] & value[hsv[..., 2]]
        labels[mask] = classes.names.index(part.class_name)
    return labels


@settings(max_examples=40, deadline=None)
@given(COLOUR_RANGES, st.integers(0, 2**31))
def test_labels_are_those_of_the_ranges(ranges, seed):
    try:
        mine = profile(*ranges, allow_gaps=True)
    except RecipeError:
        return
    rgb = np.random.default_rng(seed).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    assert (label_by_color(rgb, mine, FOUR) == expected_labels(rgb, mine, FOUR)).all()


def test_every_colour_counts_even_with_more_than_256_cells():
    ranges = [
        colour_range(NAMES[(i + j + k) % 4], hue=[i * 20, i * 20 + 19],
                     saturation=[j * 32, j * 32 + 31], value=[k * 32, k * 32 + 31])
        for i in range(9) for j in range(8) for k in range(8)
    ]  # fmt: skip
    mine = profile(*ranges)
    assert color_grid(mine).owners.size > 256
    rgb = np.random.default_rng(0).integers(0, 256, (700, 800, 3)).astype(np.uint8)
    assert (label_by_color(rgb, mine, FOUR) == expected_labels(rgb, mine, FOUR)).all()


@pytest.mark.parametrize("allow_gaps", [False, True])
def test_where_value_decides_the_code_is_that_of_the_greatest_band(allow_gaps):
    ranges = [WATER, THIN, THICK] if not allow_gaps else [THICK, WATER]
    mine = profile(*ranges, allow_gaps=allow_gaps)
    # More rows than are labelled at once, and a last strip of another height.
    rgb = np.random.default_rng(0).integers(0, 256, (801, 700, 3)).astype(np.uint8)
    codes = np.full(256, 255)
    for part in mine.ranges:
        codes[part.value[0] : part.value[1] + 1] = NAMES.index(part.class_name)
    assert (label_by_color(rgb, mine) == codes[rgb.max(axis=2)]).all()


@settings(max_examples=40, deadline=None)
@given(
    starts=st.lists(st.integers(1, 255), max_size=6, unique=True).map(sorted),
    names=st.lists(st.sampled_from([*NAMES, None]), min_size=7, max_size=7),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**31),
)
def test_labels_by_brightness_are_those_by_colour(starts, names, shape, seed):
    edges = [0, *starts, 256]
    pieces = [(name, low, high) for name, low, high in zip(names, edges, edges[1:], strict=False)]
    ranges = [colour_range(n, value=[low, high - 1]) for n, low, high in pieces if n]
    if not ranges:
        ranges = [colour_range("slush", value=[7, 9])]
    mine = profile(*ranges, allow_gaps=True)
    rgb = np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)
    value = rgb.max(axis=2)
    labels = label_by_brightness(value, mine, FOUR)
    assert (labels == label_by_color(rgb, mine, FOUR)).all()
    assert (labels == expected_labels(rgb, mine, FOUR)).all()
    # Between the steps the class is the same, at each step it changes.
    ramp = label_by_brightness(np.arange(256, dtype=np.uint8)[None], mine, FOUR)[0]
    changes = np.flatnonzero(np.diff(ramp.astype(int))) + 1
    assert brightness_steps(mine, FOUR) == tuple(changes.tolist())


def test_the_papers_thresholds_have_two_steps():
    assert brightness_steps(PROFILES["ross-sea-summer"]) == (31, 205)


def test_brightness_alone_is_refused_where_colour_counts():
    mine = profile(
        WATER,
        colour_range("thin_ice", value=[31, 255], hue=[0, 89]),
        colour_range("thick_ice", value=[31, 255], hue=[90, 179]),
    )
    assert brightness_steps(mine) is None
    with pytest.raises(ValueError, match="depend on brightness alone. Received: 'mine'"):
        label_by_brightness(np.zeros((2, 2), np.uint8), mine)


@pytest.mark.parametrize(
    "view",
    [np.s_[:, :, :], np.s_[3:60, 5:50], np.s_[::2, ::3], np.s_[::-1, ::-1], np.s_[:, :, ::-1]],
)
@pytest.mark.parametrize("mine", ["value", "colour"])
def test_parts_and_turned_views_of_an_image_are_labelled_like_copies(view, mine):
    thin = [colour_range("thin_ice", value=[31, 255], hue=hue) for hue in ([0, 80], [90, 179])]
    thick = colour_range("thick_ice", value=[31, 255], hue=[81, 89])
    chosen = PROFILES["ross-sea-summer"] if mine == "value" else profile(WATER, *thin, thick)
    rgb = np.random.default_rng(0).integers(0, 256, (70, 64, 3)).astype(np.uint8)[view]
    labels = label_by_color(rgb, chosen)
    assert (labels == label_by_color(np.ascontiguousarray(rgb), chosen)).all()
    assert (labels == expected_labels(np.ascontiguousarray(rgb), chosen, Recipe().classes)).all()


def test_an_image_without_pixels_has_labels_without_pixels():
    for shape in ((0, 5, 3), (5, 0, 3)):
        labels = label_by_color(np.empty(shape, np.uint8), PROFILES["ross-sea-summer"])
        assert labels.shape == shape[:2]
        value = np.empty(shape[:2], np.uint8)
        assert label_by_brightness(value, PROFILES["ross-sea-summer"]).shape == shape[:2]


def test_black_is_no_data_if_one_says_so():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = [[0, 0, 1], [0, 90, 0]]
    coloured = profile(
        colour_range("open_water", value=[0, 30]),
        colour_range("thin_ice", value=[31, 255], hue=[0, 89]),
        colour_range("thick_ice", value=[31, 255], hue=[90, 179]),
    )
    parsed = Recipe.model_validate({"label": {"profile": coloured}}).label.profile
    for thresholds in (PROFILES["ross-sea-summer"], get_profile(parsed)):
        assert label_by_color(image, thresholds)[1].tolist() == [0, 0]
        marked = label_by_color(image, thresholds, black_is_nodata=True)
        assert marked.tolist() == [[0, 1], [255, 255]]

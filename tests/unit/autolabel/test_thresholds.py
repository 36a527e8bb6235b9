"""Profiles of colour thresholds: what they accept, and that they label what they say."""

import pickle
import re
import time

import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import ice_image, label_here
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel import label_image
from autolabel.thresholds.profiles import (
    PROFILES,
    brightness_steps,
    get_profile,
    label_by_brightness,
    label_by_color,
)
from polynya.errors import RecipeError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.thresholds import ColorRange, Profile, color_grid
from polynya.shards.dataset import open_shards

NAMES = ("open_water", "thin_ice", "thick_ice", "slush")
FOUR = ClassScheme.model_validate(
    {
        "name": "four",
        "classes": [
            {"code": i, "name": name, "title": name, "color": (i, 0, 0)}
            for i, name in enumerate(NAMES)
        ],
    }
)


def profile(*ranges, name="mine", **options):
    return Profile.model_validate({"name": name, "ranges": list(ranges), **options})


def colour_range(name, **axes):
    return {"class": name, **axes}


WATER = colour_range("open_water", value=[0, 30])
THIN = colour_range("thin_ice", value=[31, 204])
THICK = colour_range("thick_ice", value=[205, 255])

# === In the recipe ===


def read(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return load_recipe(path)


def test_a_recipe_gives_a_profile_by_name_or_with_its_ranges(tmp_path):
    by_name = read(tmp_path, "label: {profile: ross-sea-summer}\n")
    assert by_name == Recipe()
    assert by_name.label.profile_name == "ross-sea-summer"
    assert get_profile(by_name.label.profile) is PROFILES["ross-sea-summer"]
    own = read(
        tmp_path,
        """
        label:
          profile:
            name: melt-ponds
            ranges:
              - {class: open_water, value: [0, 30]}
              - {class: thin_ice, hue: [90, 130], value: [31, 255]}
              - {class: thick_ice, hue: [131, 89], value: [31, 255]}
        """,
    )
    ranges = get_profile(own.label.profile).ranges
    assert get_profile(own.label.profile).name == own.label.profile_name == "melt-ponds"
    assert ranges[0] == ColorRange(class_name="open_water", value=(0, 30))
    assert ranges[0].hue == (0, 179)
    assert ranges[2].boxes == (((0, 89), (0, 255), (31, 255)), ((131, 179), (0, 255), (31, 255)))


def test_a_saved_recipe_with_ranges_is_the_same_recipe(tmp_path):
    recipe = Recipe.model_validate({"label": {"profile": profile(WATER, THIN, THICK)}})
    recipe.save(tmp_path / "saved.yaml")
    again = load_recipe(tmp_path / "saved.yaml")
    assert again == recipe
    assert again.labels_digest() == recipe.labels_digest() != Recipe().labels_digest()
    assert "class: thin_ice" in (tmp_path / "saved.yaml").read_text()


def test_hue_ends_at_179_whatever_is_written():
    assert ColorRange(class_name="thin_ice", hue=(0, 185)) == ColorRange(class_name="thin_ice")


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        (
            [WATER, colour_range("thin_ice", value=[41, 204]), THICK],
            "can't be used: the profile 'mine' has a gap: no range holds hue 0..179, saturation"
            r" 0..255, value 31..40 \(next to open_water and thin_ice\); widen a range in the"
            " recipe's 'label.profile', or set its key allow_gaps to true",
        ),
        (
            [WATER, THIN, THICK, colour_range("open_water", hue=[170, 10], value=[200, 220])],
            "can't be used: the profile 'mine' has an overlap: thin_ice and open_water both hold"
            " hue 0..10, saturation 0..255, value 200..204; fix their ranges in the recipe's"
            " 'label.profile'",
        ),
        (
            [WATER, THIN, THICK, {"class": "slush", "value": [3, 1]}],
            "wrong value for 'label.profile.ranges.3.value': the second value must not be smaller",
        ),
        (
            [WATER, THIN, colour_range("slush", value=[205, 255])],
            "can't be used: the profile 'mine' labels 'slush', which the classes 'sea-ice' don't"
            " have .*; fix the recipe's 'label.profile' or 'classes'",
        ),
        ([{"value": [0, 255]}], "lacks the key 'label.profile.ranges.0.class'; add it"),
        (
            [{"class": "open_water", "hues": [0, 1]}],
            "unknown key 'label.profile.ranges.0.hues'; known there: class, hue, saturation, value",
        ),
        (
            [{"class": "open_water", "hue": [180, 5]}],
            "'label.profile.ranges.0.hue.0'.*equal to 179",
        ),
        ([{"class": "open_water", "value": [0, 256]}], "'label.profile.ranges.0.value.1'.*to 255"),
        ([], "'label.profile.ranges'.*at least 1"),
    ],
)
def test_a_wrong_profile_is_one_sentence_with_file_key_and_remedy(ranges, problem):
    content = {"label": {"profile": {"name": "mine", "ranges": ranges}}}
    with pytest.raises(RecipeError, match=problem) as caught:
        parse_recipe(content, source="my.yaml")
    assert str(caught.value).startswith("The recipe my.yaml ")
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_neither_name_nor_mapping_or_has_unknown_keys_is_an_error():
    with pytest.raises(RecipeError, match="wrong value for 'label.profile': .*valid string"):
        parse_recipe({"label": {"profile": 3}}, source="my.yaml")
    content = {"label": {"profile": {"name": "mine", "ranges": [WATER], "gaps": True}}}
    with pytest.raises(RecipeError, match="'label.profile.gaps'; known there: allow_gaps, name, r"):
        parse_recipe(content, source="my.yaml")


def test_a_profile_of_its_own_must_not_take_a_name_that_means_something_else():
    mine = profile(WATER, colour_range("thick_ice", value=[31, 255]), name="ross-sea-summer")
    with pytest.raises(
        RecipeError, match="'label.profile.name' is 'ross-sea-summer'.*another name"
    ):
        get_profile(mine)
    same = profile(WATER, THIN, THICK, name="ross-sea-summer")
    assert get_profile(same) == PROFILES["ross-sea-summer"]


def test_a_scene_is_labelled_by_the_profile_of_the_recipe(tmp_path, write_scene):
    recipe = Recipe.model_validate(
        {
            "tiles": {"size": 64},
            "label": {
                "method": "none",
                "profile": profile(colour_range("open_water"), name="all-water"),
            },
        }
    )
    # Workers get the recipe as a pickle.
    recipe = pickle.loads(pickle.dumps(recipe))
    image = ice_image(64, 64)
    folder, (result,) = label_here(recipe, tmp_path / "out", write_scene("a.tif", image))
    assert result.class_pixels == "open_water=4096 thin_ice=0 thick_ice=0"
    shards = open_shards(folder)
    assert shards.recipe == recipe
    table = ds.dataset(folder.place).to_table()
    assert table["label_source"].to_pylist() == ["none/scene/all-water"]
    label = label_image(image, method="none", profile=shards.recipe.label.profile)
    assert (label == 0).all()


# === Gaps and overlaps ===


def test_gaps_are_nodata_where_they_are_allowed():
    mine = profile(WATER, THICK, allow_gaps=True)
    pixels = np.array([[(9, 3, 5), (100, 99, 98), (0, 250, 0)]], np.uint8)
    assert label_by_color(pixels, mine).tolist() == [[0, 255, 2]]


def test_ranges_of_one_class_may_overlap():
    mine = profile(WATER, colour_range("thin_ice", value=[31, 100]), THIN, THICK)
    assert mine.class_names == ("open_water", "thin_ice", "thick_ice")


AXES = ("hue", "saturation", "value")
SIZES = (180, 256, 256)
CUTS = ((30, 90, 120), (64, 128), (31, 100, 205))


def interval(axis, wraps):
    size, ends = SIZES[axis], (0, *CUTS[axis], SIZES[axis])
    pairs = [
        [low, (high - 1) % size]
        for low in ends[:-1]
        for high in ends[1:]
        if low < high or (wraps and low > high)
    ]
    return st.sampled_from(pairs)


RANGES = st.lists(
    st.builds(
        lambda name, hue, saturation, value: colour_range(
            name, hue=hue, saturation=saturation, value=value
        ),
        st.sampled_from(NAMES),
        interval(0, wraps=True),
        interval(1, wraps=False),
        interval(2, wraps=False),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def partitions(draw):
    """Ranges that hold each colour once; sometimes one is missing or too long."""
    ranges = []

    def cut(box):
        places = [
            (axis, at)
            for axis in range(3)
            for at in CUTS[axis]
            if box[axis][0] < at <= box[axis][1]
        ]
        if not places or len(ranges) > 6 or draw(st.integers(0, 3)) == 0:
            axes = {name: list(part) for name, part in zip(AXES, box, strict=True)}
            ranges.append(colour_range(draw(st.sampled_from(NAMES)), **axes))
            return
        axis, at = draw(st.sampled_from(places))
        for part in ((box[axis][0], at - 1), (at, box[axis][1])):
            cut([part if i == axis else box[i] for i in range(3)])

    cut([(0, size - 1) for size in SIZES])
    change = draw(st.sampled_from(["none", "none", "missing", "longer"]))
    if change == "missing" and len(ranges) > 1:
        ranges.pop(draw(st.integers(0, len(ranges) - 1)))
    if change == "longer":
        ranges[draw(st.integers(0, len(ranges) - 1))]["value"] = [0, 255]
    return ranges


COLOUR_RANGES = st.one_of(RANGES, partitions(), partitions(), partitions())


def hsv_members(part):
    """Which hues (180,), saturations and values (256,) a range holds."""
    inside = []
    for axis, size in zip(AXES, SIZES, strict=True):
        low, high = part.get(axis, (0, size - 1))
        numbers = np.arange(size)
        above, below = numbers >= low, numbers <= high
        inside.append(above & below if low <= high else above | below)
    return inside


def members(part):
    """Brute force: bool (180, 256, 256), the colours of a range."""
    hue, saturation, value = hsv_members(part)
    return hue[:, None, None] & saturation[:, None] & value


def told_box(message):
    found = re.search(
        r"hue (\d+)\.\.(\d+), saturation (\d+)\.\.(\d+), value (\d+)\.\.(\d+)", message
    )
    numbers = [int(n) for n in found.groups()]
    return tuple(slice(numbers[i], numbers[i + 1] + 1) for i in (0, 2, 4))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(COLOUR_RANGES)
def test_gaps_and_overlaps_are_those_that_brute_force_finds(ranges):
    held = {name: np.zeros(SIZES, bool) for name in NAMES}
    for part in ranges:
        held[part["class"]] |= members(part)
    classes_per_colour = sum(mask.astype(np.uint8) for mask in held.values())
    try:
        mine = profile(*ranges)
    except RecipeError as error:
        message = str(error)
        box = told_box(message)
        if "overlap" in message:
            assert classes_per_colour.max() > 1
            named = re.search(r"overlap: (\w+) and (\w+) both", message).groups()
            assert all(held[name][box].all() for name in named)
        else:
            assert classes_per_colour.max() == 1
            assert (classes_per_colour[box] == 0).all()
            named = re.search(r"next to (.*?)\)", message).group(1).split(" and ")
            assert set(named) <= set(NAMES)
            assert profile(*ranges, allow_gaps=True)
        return
    assert (classes_per_colour == 1).all()
    grid = color_grid(mine)
    owners = grid.owners[np.ix_(*grid.cells)]
    for i, name in enumerate(mine.class_names):
        assert ((owners == i) == held[name]).all()


def test_many_ranges_are_checked_at_once():
    ranges = [
        colour_range(NAMES[(h + s + v) % 4], hue=[h * 30, h * 30 + 29],
                     saturation=[s * 32, s * 32 + 31], value=[v * 32, v * 32 + 31])
        for h in range(6) for s in range(8) for v in range(8)
    ]  # fmt: skip
    started = time.perf_counter()
    mine = profile(*ranges)
    # The brute force takes more than this for a single range.
    assert time.perf_counter() - started < 5
    assert label_by_color(np.full((2, 2, 3), 7, np.uint8), mine, FOUR).shape == (2, 2)


# === Labels ===


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

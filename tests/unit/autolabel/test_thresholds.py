"""Profiles of colour thresholds: what they accept, and that they label what they say."""

import pickle
import re
import time

import numpy as np
import pyarrow.dataset as ds
import pytest
from conftest import ice_image, label_here
from hypothesis import given, settings

from autolabel import label_image
from autolabel.thresholds.profiles import (
    PROFILES,
    get_profile,
    label_by_color,
)
from helpers.shards.colour_ranges import (
    COLOUR_RANGES,
    FOUR,
    NAMES,
    SIZES,
    THICK,
    THIN,
    WATER,
    colour_range,
    hsv_members,
    profile,
)
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.thresholds import ColorRange, color_grid
from polynya.shards.dataset import open_shards

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

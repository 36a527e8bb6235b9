"""Each check finds what it is for, and leaves good tiles alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.shards import alike
from helpers.shards.faulty_shards import BANDS, kelp_recipe, kelp_tile
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.shards.scan import TilePixels, TilePlace
from training.inspection.checks import (
    constant,
    copies,
    empty,
    image_without_label,
    label_without_image,
    misaligned,
    near_duplicates,
    saturated,
    striped,
    unknown_labels,
    unseen_class,
)
from training.inspection.checks.base import Facts, role_of
from training.inspection.checks.registry import CHECKS

SIZE = 96
CLASSES = kelp_recipe(SIZE).classes


def facts(bands=BANDS, classes=CLASSES, tiles=0, counts=None):
    places = [TilePlace("a-000.parquet", n, "a", 0, n) for n in range(tiles)]
    counted = np.ones((tiles, classes.n_classes), np.int64) if counts is None else counts
    return Facts(classes, bands, places, [""] * tiles, counted, size=SIZE)


def tile(seed=0, change=lambda values, label: None, ceiling=32767):
    image, label = kelp_tile(SIZE, seed)
    values = np.ascontiguousarray(np.moveaxis(image, -1, 0)).astype(np.float32)
    change(values, label)
    return TilePixels(values, label, np.full(7, ceiling, np.float32))


def verdict(module, tiles):
    told = facts(tiles=len(tiles))
    check = module.CHECK
    return {one.tile for one in check.judge(told, [check.measure(t, told) for t in tiles])}


def make(expression):
    """A change of a tile from an assignment, such as values[:5] = 0."""

    def change(values, label):
        rng = np.random.default_rng(0)
        exec(expression, {"values": values, "label": label, "np": np, "rng": rng})

    return change


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        (empty, "values[:] = np.nan"),
        (empty, "values[:5] = np.nan"),
        (constant, "values[:5] = 0"),
        (constant, "values[:5, 3:] = np.nan; values[:5, :3] = 7"),
        (striped, "values[3, ::9] += 250"),
        (striped, "values[1, :, 4::12] *= 0.5"),
        (striped, "values[:5, 5::16] = np.nan"),
        (striped, "values[0, :, 5::16] = np.nan"),
        (saturated, "values[2] = np.where(values[2] > 1200, 32767, values[2])"),
        (label_without_image, "values[:5, :20] = np.nan"),
        (image_without_label, "label[:] = 255"),
        (unknown_labels, "label[3, 3:9] = 77"),
        (misaligned, "values[6] = np.roll(values[6], (14, -9), (0, 1))"),
        (misaligned, "values[6] = values[6][::-1, ::-1].copy()"),
    ],
)
def test_a_fault_is_found_among_good_tiles(module, fault):
    tiles = [tile(seed) for seed in range(8)]
    assert verdict(module, tiles) == set()
    tiles[3] = tile(3, make(fault))
    assert verdict(module, tiles) == {3}


@pytest.mark.parametrize(
    "harmless",
    [
        "values[:] = np.nan; values[:, 0, 0] = 5; label[1:] = 255; label[0, 1:] = 255",
        "values[6] = 0; values[5] = 1",  # All is water, and cloud.
        "values[:5, :, :30] = np.nan; label[:, :30] = 255",
        "values[:5, 48:] += 3000",  # An edge along the grid.
        "values[:5, 48:49] += 3000",  # A canal along the grid.
        "values[:5] = np.kron(rng.integers(1, 9, (5, 6, 6)), np.ones((16, 16)))",
        "values[:5] = rng.integers(100, 103, (5, 96, 96))",
        # A cloud over the coast, in the band of clouds or not.
        "values[:5, 9:70, 20:80] = 3500 + rng.normal(0, 150, (5, 61, 60))",
        "values[:5, 9:70, 20:80] = 3500 + rng.normal(0, 150, (5, 61, 60)); values[5, 9:70] = 1",
    ],
)
def test_odd_but_good_tiles_are_left_alone(harmless):
    tiles = [tile(seed) for seed in range(8)]
    tiles[3] = tile(3, make(harmless))
    told = facts(tiles=8)
    for check in CHECKS:
        answers = [check.measure(t, told) if check.measure else None for t in tiles]
        assert check.judge(told, answers) == [], check.name


def test_copies_are_found_but_not_the_first_nor_all_water():
    water = make("values[:5] = 0")
    tiles = [tile(0), tile(1), tile(0), tile(2, water), tile(3, water), tile(0)]
    assert verdict(copies, tiles) == {2, 5}


def test_pictures_of_one_place_are_found_and_copies_are_left_to_their_own_check():
    rng = np.random.default_rng(4)
    edge = 350
    bands = [alike.pictures(rng, alike.coast, 3, edge) for _ in range(12)]
    tiles = [
        TilePixels(band[None].astype(np.float32), np.zeros((edge, edge), np.uint8), np.ones(1))
        for place in bands
        for band in place
    ]
    tiles.append(tiles[0])
    told = replace(facts(("green",), tiles=len(tiles)), size=edge)
    found = near_duplicates.judge(told, [near_duplicates.measure(t, told) for t in tiles])
    assert {one.tile for one in found} == {n for n in range(36) if n % 3}
    assert "shows what a, row 0, col 0 shows" in {one.reason for one in found}


def test_a_sensor_that_ends_below_its_data_type_saturates_too():
    tiles = [tile(seed) for seed in range(5)]
    tiles += [tile(9, make("values[1] = np.minimum(values[1], 2500); values[1, 0, 0] = 2500"))]
    assert verdict(saturated, tiles) == set()  # Others are brighter.
    clipped = make("values[1] = np.minimum(values[1], 2000)")
    assert verdict(saturated, [tile(seed, clipped) for seed in range(5)]) == set(range(5))


def test_elevation_is_not_compared_where_it_never_fits():
    swapped = [tile(seed) for seed in range(8)]
    for seed, other in enumerate(swapped):
        other.values[6] = tile(seed + 50).values[6]
    assert verdict(misaligned, swapped) == set()


def test_the_move_of_an_elevation_is_named():
    tiles = [tile(seed) for seed in range(8)]
    tiles[5] = tile(5, make("values[6] = np.roll(values[6], (14, -9), (0, 1))"))
    told = facts(tiles=8)
    (found,) = misaligned.judge(told, [misaligned.measure(t, told) for t in tiles])
    assert "if it moves -14 rows and 9 columns" in found.reason


@pytest.mark.parametrize(("rows", "is_found"), [(10, False), (60, True)])
def test_some_black_of_colours_is_no_missing_image(rows, is_found):
    dark = tile(0, make(f"values[:, :{rows}] = np.nan"))
    told = replace(facts(), sees_colors=True)
    assert bool(label_without_image.measure(dark, told)) == is_found


def test_a_class_without_a_pixel_is_named():
    counts = np.array([[4, 0, 2], [1, 0, 0]])
    (found,) = unseen_class.judge(facts(classes=SEA_ICE, tiles=2, counts=counts), [None] * 2)
    assert (found.tile, found.reason) == (None, "not one pixel has the class Thin/young ice")


def test_labels_of_masks_may_be_any_sum():
    masks = ClassScheme.model_validate(
        {
            "name": "m",
            "kind": "masks",
            "classes": [
                {"code": n, "name": f"m{n}", "title": f"m{n}", "color": (n, 0, 9)} for n in range(2)
            ],
        }
    )
    good = tile(0, make("label[:] = 3; label[0] = 255"))
    bad = tile(0, make("label[5, 5] = 4"))
    told = facts(classes=masks)
    assert unknown_labels.measure(good, told) == ""
    assert unknown_labels.measure(bad, told) == "1 pixels have labels that are no class (4)"


@pytest.mark.parametrize(
    ("band", "role"),
    [
        ("nir", "image"), ("B08", "image"), ("elevation", "elevation"), ("asterDEM", "image"),
        ("dem", "elevation"), ("cloud_mask", "mask"), ("QA", "mask"),
    ],
)  # fmt: skip
def test_roles_of_bands_follow_from_their_names(band, role):
    assert role_of(band) == role


def test_names_of_findings_differ_and_suit_a_command_line():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)

"""Near-duplicates: found in spite of shift, brightness and cloud; water is like nothing."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.shards.alike import coast, land, pictures, water
from polynya.splits.duplicates import (
    Described,
    describe_orientations,
    find_duplicates,
    gradients,
    joined,
)


def _groups(tiles: list[np.ndarray]) -> np.ndarray:
    found = np.stack([gradients(tile, np.isfinite(tile)) for tile in tiles])
    return find_duplicates(describe_orientations(found, len(tiles[0])))


def _pairs(groups: np.ndarray) -> np.ndarray:
    return (groups[:, None] == groups)[np.triu_indices(len(groups), 1)]


@pytest.mark.parametrize(("seed", "edge"), [(0, 350), (1, 350), (2, 256)])
def test_pictures_of_one_place_are_found_and_no_others(seed: int, edge: int) -> None:
    rng = np.random.default_rng(seed)
    tiles, truth = [], []
    for number, place in enumerate([land, coast] * 20 + [water] * 15):
        count = 1 if place is water else int(rng.integers(1, 4))
        tiles += pictures(rng, place, count, edge)
        truth += [number] * count
    for number in range(10):  # Water under clouds; each picture counts as a place of its own.
        tiles.append(pictures(rng, water, 2, edge)[1])
        truth.append(1000 + number)
    found, wanted = _pairs(_groups(tiles)), _pairs(np.array(truth))
    assert (found & wanted).sum() / found.sum() >= 0.95
    assert (found & wanted).sum() / wanted.sum() >= 0.95


def test_tiles_without_contrast_are_like_no_other() -> None:
    rng = np.random.default_rng(0)
    flat = [np.full((256, 256), 150.0)] * 4
    island = np.full((256, 256), 0.0)
    island[100:110, 100:110] = 50
    slope = [water(rng, 256) for _ in range(4)]
    textured = pictures(rng, land, 2, 256)
    groups = _groups([*flat, island, island + 1, *slope, *textured])
    assert groups.tolist() == [*range(10), 10, 10]


def test_tiles_with_too_few_cells_are_like_no_other() -> None:
    tile = pictures(np.random.default_rng(0), land, 1, 27)[0]
    assert _groups([tile] * 3).tolist() == [0, 1, 2]


def test_water_alone_is_not_one_group() -> None:
    rng = np.random.default_rng(0)
    assert len(set(_groups([pictures(rng, water, 1, 256)[0] for _ in range(40)]).tolist())) == 40
    assert _groups([np.zeros((64, 64))] * 5).tolist() == [0, 1, 2, 3, 4]


def test_waves_and_stripes_of_different_tiles_are_not_alike() -> None:
    rng = np.random.default_rng(6)
    rows, cols = np.mgrid[:256, :256]
    tiles = []
    for _ in range(60):
        angle, phase = rng.uniform(0.6, 0.9), rng.uniform(0, 6)
        way = (cols * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / 20
        tiles.append(100 + 20 * np.sin(way + phase) + rng.normal(0, 5, (256, 256)))
    for _ in range(60):
        tiles.append(100 + 40 * rng.normal(size=16)[cols // 16] + rng.normal(0, 5, (256, 256)))
    tiles += pictures(rng, land, 2, 256)
    groups = _groups(tiles)
    assert groups[-1] == groups[-2]
    assert np.bincount(groups).max() <= 2
    assert len(set(groups.tolist())) >= 0.97 * len(tiles)


def test_missing_values_count_for_nothing() -> None:
    rng = np.random.default_rng(3)
    (first, second), (other,) = pictures(rng, land, 2, 350), pictures(rng, land, 1, 350)
    first, other = first.copy(), other.copy()
    first[:, :80], other[:, :80] = np.nan, np.nan
    assert _groups([first, other, second]).tolist() == [0, 1, 0]


def test_brightness_and_units_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    tiles = [picture for _ in range(5) for picture in pictures(rng, land, 2, 256)]
    assert (_groups(tiles) == _groups([tile * 1e-4 + 3 for tile in tiles])).all()


def test_groups_reach_across_blocks_and_through_other_tiles() -> None:
    vectors = np.eye(900, dtype=np.float32)
    vectors[899] = vectors[300]
    # Tiles 0 to 7 are alike as neighbours only: each is turned by 6 degrees against the last one.
    turned = np.radians(6 * np.arange(8))
    vectors[:8] = 0
    vectors[:8, 0], vectors[:8, 1] = np.cos(turned), np.sin(turned)
    groups = find_duplicates(Described(vectors, threshold=0.99))
    assert groups.tolist() == [0] * 8 + list(range(1, 892)) + [293]


def test_groupings_are_joined() -> None:
    assert joined([["a", "b", "c", "d"], ["x", "y", "y", "z"]]) == ["a", "b", "b", "d"]
    assert joined([["a", "a", "c"], ["x", "y", "y"]]) == ["a", "a", "a"]
    assert joined([["b", "a"]]) == ["b", "a"]


def test_a_pattern_that_all_tiles_share_makes_no_duplicates() -> None:
    rng = np.random.default_rng(6)
    at = np.linspace(0, 5, 350, endpoint=False)
    low, share = at.astype(int), at % 1

    def hills() -> np.ndarray:
        """Heights with seams at the same places in each tile, and flat water."""
        heights = rng.normal(size=(6, 6))
        rows = heights[low] * (1 - share)[:, None] + heights[low + 1] * share[:, None]
        found = rows[:, low] * (1 - share) + rows[:, low + 1] * share
        return np.trunc(np.maximum(40 * (found - np.quantile(found, rng.uniform(0.3, 0.7))), 0))

    tiles = [hills() for _ in range(35)]
    assert len(set(_groups(tiles).tolist())) == 35
    tiles.append(tiles[3])
    groups = _groups(tiles)
    assert groups[35] == groups[3]
    assert len(set(groups.tolist())) == 35


def test_a_set_that_shows_one_place_only_is_one_group() -> None:
    rng = np.random.default_rng(7)
    groups = _groups(pictures(rng, coast, 20, 350))
    assert np.count_nonzero(groups == 0) >= 17  # Clouds hide some.

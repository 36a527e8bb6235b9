"""Blocks on the ground, and the buffer between the sides."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from polynya.errors import ShardError
from polynya.splits.blocks import (
    by_block,
    by_pixel_block,
    ground_outlines,
    near_folds,
    pixel_outlines,
)
from polynya.splits.tiles import TileTable

POLAR = "EPSG:3031"


def _table(
    corners: list[tuple[float, float]],
    crs: str | list[str | None] | None = POLAR,
    scale: float = 10.0,
    scenes: list[str] | None = None,
) -> TileTable:
    """Tiles of 100 x 100 pixels with these upper left corners on the ground."""
    count = len(corners)
    return TileTable(
        tuple(scenes or ["scene"] * count),
        np.array([[0, 100 * number, 100, 100] for number in range(count)]),
        tuple(crs) if isinstance(crs, list) else (crs,) * count,
        np.array([[scale, 0, x, 0, -scale, y] for x, y in corners]),
        np.ones((count, 3), np.int64),
    )


def test_outlines_are_in_metres() -> None:
    first, second = ground_outlines(_table([(0, 0), (5000, -2000)]))
    assert first.bounds == (0, -1000, 1000, 0)
    assert second.bounds == (5000, -3000, 6000, -2000)


def test_blocks_hold_the_centres_of_tiles() -> None:
    outlines = ground_outlines(_table([(0, 0), (400, 0), (600, 0), (-100, 1000)]))
    assert by_block(outlines, 1000.0) == ["block 0 -1", "block 0 -1", "block 1 -1", "block 0 0"]


def test_degrees_become_metres_also_at_the_antimeridian() -> None:
    corners = [(179.99, -70.0), (-179.99, -70.0)]
    outlines = ground_outlines(_table(corners, "EPSG:4326", scale=1e-6))
    # 0.02 degrees of longitude at 70 degrees south, less the width of a tile.
    wanted = np.radians(0.02 - 1e-4) * 6378137 * np.cos(np.radians(70)) / 0.99706
    assert shapely.distance(*outlines) == pytest.approx(wanted, rel=2e-3)


def test_zones_become_one_plane() -> None:
    place = (6.0, 60.0)  # Where zones 31 and 32 meet.
    corners = [
        Transformer.from_crs("EPSG:4326", zone, always_xy=True).transform(*place)
        for zone in ("EPSG:32631", "EPSG:32632")
    ]
    first, second = ground_outlines(_table(corners, ["EPSG:32631", "EPSG:32632"]))
    assert shapely.area(first) == pytest.approx(1e6, rel=2e-3)
    assert first.intersection(second).area > 0.8e6


def test_scenes_without_a_place_have_blocks_of_pixels() -> None:
    tiles = _table([(0, 0)] * 4, None, scenes=["a", "a", "b", "b"])
    with pytest.raises(ShardError, match=r"scene a doesn't say where it is.*--block 1024px"):
        ground_outlines(tiles)
    outlines = pixel_outlines(tiles)
    assert outlines[1].bounds == (100, 0, 200, 100)
    assert by_pixel_block(tiles, 300.0) == [
        "a block 0 0",
        "a block 0 0",
        "b block 0 0",
        "b block 1 0",
    ]
    assert near_folds(outlines, np.array([0, 1, 2, 2]), 1e6)[2:] == [(), ()]


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(ShardError, match="system EPSG:999999 of the tiles is unknown"):
        ground_outlines(_table([(0, 0)], "EPSG:999999"))


def test_tiles_that_touch_need_a_buffer_and_tiles_that_overlap_do_not() -> None:
    outlines = ground_outlines(_table([(0, 0), (1000, 0), (1990, 0), (9000, 0)]))
    folds = np.array([0, 1, -1, 2])
    assert near_folds(outlines, folds, 0.0) == [(), (), (1,), ()]
    assert near_folds(outlines, folds, 1.0) == [(1,), (0,), (1,), ()]
    assert near_folds(outlines, folds, 7001.0) == [(1,), (0, 2), (0, 1, 2), (1,)]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=40),
    st.integers(1, 6),
    st.integers(0, 3000),
)
def test_training_tiles_keep_their_distance(
    places: list[tuple[int, int]], edge: int, buffer: int
) -> None:
    outlines = ground_outlines(_table([(700.0 * x, 700.0 * y) for x, y in places]))
    blocks = by_block(outlines, 1000.0 * edge)
    folds = np.unique(blocks, return_inverse=True)[1] % 3
    near = near_folds(outlines, folds, float(buffer))
    for tile, (own, left_out) in enumerate(zip(folds, near, strict=True)):
        for fold in set(folds.tolist()) - {int(own)}:
            others = outlines[folds == fold]
            least = shapely.distance(outlines[tile], others).min()
            overlaps = shapely.area(shapely.intersection(outlines[tile], others)).max() > 0
            assert (fold in left_out) == bool(least < buffer or overlaps)

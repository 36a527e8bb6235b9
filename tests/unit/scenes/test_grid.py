"""The tile grid."""

import numpy as np
import pytest

from polynya.grid import Tile, tile_grid


@pytest.mark.parametrize(
    ("height", "width", "size", "tiles"),
    [
        (512, 512, 256, 4),
        (513, 512, 256, 6),
        (1, 1, 256, 1),
        (1, 700, 256, 3),
        (300, 200, 64, 20),
    ],
)
def test_every_pixel_is_in_exactly_one_tile(height, width, size, tiles):
    cover = np.zeros((height, width), int)
    grid = tile_grid(height, width, size)
    for tile in grid:
        assert tile.height <= size
        assert tile.width <= size
        cover[tile.slices] += 1
    assert (cover == 1).all()
    assert len(grid) == tiles
    assert grid == sorted(grid)


def test_edge_tiles_are_smaller():
    assert tile_grid(300, 256, 256)[-1] == Tile(256, 0, 44, 256)

"""Pixels of a map at the places of another grid, by the nearest neighbour.

GDAL's warper isn't used, because it knows longitudes of one turn only: a map across the
antimeridian, from 170 to 190 degrees, would lose its half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Numbers, horizontal_crs, map_unit
from inference.maps.grids import Grid, extent_of, to_crs
from polynya.grid import Tile
from polynya.scenes.scene import Scene

Read = Callable[[Tile], NDArray[np.uint8]]
"""Function that reads a part of a map: uint8 (h, w)."""

_STEP = 16
"""Pixels between the places that are transformed exactly; the others lie between them."""
_EXACT = 0.01
"""Greatest error in pixels of what lies between; larger ones are transformed one by one."""
_MOST = 2**24
"""Greatest number of pixels that are read of a map at once."""
_ROUND_TRIP = 0.5
"""Greatest shift in pixels on the way to the map and back; further away, a projection has lost the
place."""


class Sampler:
    """Finds the pixels of one map that lie under the pixels of a grid."""

    def __init__(self, scene: Scene, grid: Grid) -> None:
        """Take a map with a place, and a grid.

        Raises:
            SceneError: The map has no place on the grid.
        """
        assert scene.transform is not None
        self._scene, self._grid = scene, grid
        a, b, c, d, e, f = scene.transform
        self._inverse = np.linalg.inv(np.array([[a, b, c], [d, e, f], [0, 0, 1]], np.float64))
        own, target = horizontal_crs(scene.crs or ""), horizontal_crs(grid.crs)
        self._to_map = None if scene.crs == grid.crs else to_crs(grid.crs, scene.crs or "")
        self._turn = 0.0
        if own.is_geographic:
            self._turn = 360 / round(math.degrees(map_unit(own)), 12)
            self._west = min(c, c + a * scene.width, c + b * scene.height)
        self._is_checked = not target.is_geographic
        self._columns, self._rows = self._reach(target.is_geographic)

    def meets(self, tile: Tile) -> bool:
        """Whether the map may lie in a part of the grid."""
        (left, right), (top, bottom) = self._columns, self._rows
        of_width = tile.col < right and tile.col + tile.width > left
        return of_width and tile.row < bottom and tile.row + tile.height > top

    def positions(self, tile: Tile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find rows and columns of the map, int64 (h, w); both are -1 beside the map."""
        rows = tile.row + 0.5 + np.arange(tile.height, dtype=np.float64)
        columns = tile.col + 0.5 + np.arange(tile.width, dtype=np.float64)
        found = self._between(rows, columns)
        if found is None:
            found = self._exactly(rows, columns)
        with np.errstate(invalid="ignore"):
            floors = np.floor(found)
            size = np.array([self._scene.height, self._scene.width])[:, None, None]
            inside = ((floors >= 0) & (floors < size)).all(axis=0)
        row, column = np.where(inside, floors, -1).astype(np.int64)
        return row, column

    def take(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], read: Read, fill: int
    ) -> NDArray[np.uint8]:
        """Read the pixels at some positions.

        Args:
            rows: int64 (h, w), from `positions`.
            columns: int64 (h, w).
            read: Reads a part of the map.
            fill: Value beside the map.

        Returns:
            uint8 (h, w).
        """
        taken = np.full(rows.shape, fill, np.uint8)
        inside = rows >= 0
        if not inside.any():
            return taken
        top, left = int(rows[inside].min()), int(columns[inside].min())
        height = int(rows[inside].max()) + 1 - top
        width = int(columns[inside].max()) + 1 - left
        if height * width > _MOST and rows.size > 1:
            # The grid is much coarser than the map, or the part holds two ends of the map.
            middle = [-(-side // 2) for side in rows.shape]
            for part in (
                (slice(None, middle[0]), slice(None, middle[1])),
                (slice(None, middle[0]), slice(middle[1], None)),
                (slice(middle[0], None), slice(None, middle[1])),
                (slice(middle[0], None), slice(middle[1], None)),
            ):
                taken[part] = self.take(rows[part], columns[part], read, fill)
            return taken
        pixels = read(Tile(top, left, height, width))
        taken[inside] = pixels[rows[inside] - top, columns[inside] - left]
        return taken

    def _between(self, rows: Numbers, columns: Numbers) -> Numbers | None:
        """Interpolate positions between exact ones, (2, h, w); None where that is too wrong."""
        down, across = (max(2, len(one) // _STEP + 1) for one in (rows, columns))
        if self._to_map is None or len(rows) < _STEP or len(columns) < _STEP:
            return None
        nodes = [
            np.linspace(one[0], one[-1], count) for one, count in ((rows, down), (columns, across))
        ]
        at = self._exactly(*nodes)
        middles = [(one[1:] + one[:-1]) / 2 for one in nodes]
        guess = (at[:, 1:, 1:] + at[:, 1:, :-1] + at[:, :-1, 1:] + at[:, :-1, :-1]) / 4
        with np.errstate(invalid="ignore"):
            if not (np.abs(self._exactly(*middles) - guess) < _EXACT).all():
                return None
        return _weights(rows, nodes[0]) @ at @ _weights(columns, nodes[1]).T

    def _exactly(self, rows: Numbers, columns: Numbers) -> Numbers:
        """Transform the places of rows and columns of the grid: (2, h, w), NaN if off the map."""
        grid = self._grid
        x, y = np.meshgrid(
            grid.left + columns * grid.width_of_pixel, grid.top - rows * grid.height_of_pixel
        )
        if self._to_map is not None:
            from_x, from_y = x, y
            x, y = self._to_map.transform(from_x, from_y)
            if self._is_checked:
                back = self._to_map.transform(x, y, direction="INVERSE")
                with np.errstate(invalid="ignore"):
                    away = np.hypot(
                        (back[0] - from_x) / grid.width_of_pixel,
                        (back[1] - from_y) / grid.height_of_pixel,
                    )
                    x = np.where(away < _ROUND_TRIP, x, np.nan)
        if self._turn:
            with np.errstate(invalid="ignore"):
                x = self._west + (x - self._west) % self._turn
        (a, b, c), (d, e, f), _ = self._inverse
        found = np.array([d * x + e * y + f, a * x + b * y + c])
        return np.where(np.isfinite(found), found, np.nan)

    def _reach(self, is_geographic: bool) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last column and row of the grid under the map, with a margin."""
        grid = self._grid
        left, bottom, right, top = extent_of(self._scene, grid.crs)
        columns = (
            (left - grid.left) / grid.width_of_pixel,
            (right - grid.left) / grid.width_of_pixel,
        )
        rows = (grid.top - top) / grid.height_of_pixel, (grid.top - bottom) / grid.height_of_pixel
        if is_geographic:
            columns = (-math.inf, math.inf)  # In whole turns it may lie elsewhere.
        return (columns[0] - 1, columns[1] + 1), (rows[0] - 1, rows[1] + 1)


def _weights(places: Numbers, nodes: Numbers) -> Numbers:
    """Weights of equally spaced nodes at places between them: (places, nodes)."""
    at = (places - nodes[0]) / (nodes[1] - nodes[0])
    cell = np.clip(at.astype(np.int64), 0, len(nodes) - 2)
    weights = np.zeros((len(places), len(nodes)))
    index = np.arange(len(places))
    weights[index, cell] = 1 - (at - cell)
    weights[index, cell + 1] = at - cell
    return weights


def reader_of(source: Any, read: Callable[[Any, Any], NDArray[np.uint8]]) -> Read:
    """Make a function that reads a tile of an open raster; `read` gets raster and window."""
    from rasterio.windows import Window

    return lambda tile: read(source, Window(tile.col, tile.row, tile.width, tile.height))

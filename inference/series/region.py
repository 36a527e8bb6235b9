"""The region of a time series: shapes of a file or a box, as a mask over parts of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import horizontal_crs
from inference.maps.grids import Extent, Grid, choose_crs, common_grid, extent_of, to_crs
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.acquire import Box
from polynya.scenes.beside.shapes import read_all_shapes, shapes_in
from polynya.scenes.scene import Scene
from polynya.sources.items.region import region_parts

_DENSE = 0.05
"""Greatest distance in degrees of points on the edge of a box, before it is brought to the grid."""


class Region:
    """A region on a grid that holds it."""

    def __init__(self, shapes: Sequence[Any], grid: Grid) -> None:
        """Take shapely polygons in the coordinate system of the grid."""
        self._shapes, self._grid = shapes, grid

    def mask(self, tile: Tile) -> NDArray[np.bool_]:
        """Find the pixels whose centre is in the region: bool (h, w)."""
        from rasterio.features import rasterize
        from rasterio.transform import Affine

        transform = Affine(*(self._grid.scene("").tile_transform(tile) or ()))
        near = shapes_in(self._shapes, transform, tile.height, tile.width)
        shapes = [(shape, 1) for shape, is_near in zip(self._shapes, near, strict=True) if is_near]
        size = tile.height, tile.width
        if not shapes:
            return np.zeros(size, np.bool_)
        return np.asarray(rasterize(shapes, size, transform=transform, dtype="uint8") == 1)


def region_grid(
    scenes: Sequence[Scene],
    crs: str | None,
    resolution: float | None,
    file: Path | None,
    box: Box | None,
) -> tuple[Grid, Region | None]:
    """Find the grid of a series: that of the region, else of all maps.

    Args:
        scenes: The maps.
        crs: See `common_grid`.
        resolution: See `common_grid`.
        file: File of the region; None without one.
        box: West, south, east, north of the region in degrees; None without one.

    Raises:
        SceneError: The file can't be read, or the region has no place in the coordinate system.
    """
    import shapely

    if file is None and box is None:
        return common_grid(scenes, crs, resolution), None
    crs = crs or choose_crs(scenes)
    shapes = _polygons(_shapes_of_file(file, crs) if file else _shapes_of_box(box, crs))
    if not shapes:
        raise SceneError(
            f"The region has no area in {crs}; give polygons on the same side of the Earth as the"
            " maps."
        )
    if horizontal_crs(crs).is_geographic:
        shapes = _beside(shapes, extent_of(scenes[0], crs))
    extent: Any = tuple(shapely.total_bounds(shapes))
    grid = common_grid(scenes, crs, resolution, extent)
    return grid, Region(shapes, grid)


def _shapes_of_file(path: Path, crs: str) -> list[Any]:
    if not path.is_file():
        raise SceneError(f"There is no file {printable(path)}; check --region.")
    return read_all_shapes(str(path), f"The region {printable(path)}", crs)


def _shapes_of_box(box: Box | None, crs: str) -> list[Any]:
    import shapely

    assert box is not None
    move = to_crs("EPSG:4326", crs)
    shapes = []
    for part in region_parts(box):
        dense = shapely.segmentize(part, _DENSE)
        moved = shapely.transform(
            dense, lambda points: np.column_stack(move.transform(points[:, 0], points[:, 1]))
        )
        if np.isfinite(shapely.get_coordinates(moved)).all():
            shapes.append(shapely.make_valid(moved))
    return shapes


def _beside(shapes: Sequence[Any], extent: Extent) -> list[Any]:
    """Move shapes by whole turns next to the maps, whose longitudes may go on beyond 180."""
    from shapely.affinity import translate

    middle = (extent[0] + extent[2]) / 2
    turns = [360 * round((middle - shape.centroid.x) / 360) for shape in shapes]
    return [translate(shape, turn) for shape, turn in zip(shapes, turns, strict=True)]


def _polygons(shapes: Sequence[Any]) -> list[Any]:
    """Parts of shapes that have an area; `make_valid` may leave lines beside them."""
    return [part for shape in shapes for part in getattr(shape, "geoms", [shape]) if part.area > 0]

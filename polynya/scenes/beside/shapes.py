"""Shapes of a vector file near a scene, brought to the scene's coordinate system.

Shapes are clipped to the neighbourhood of the scene, then their long edges are divided, then they
are transformed: a straight edge in the file may be an arc in the scene.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.transform import Affine

from polynya.errors import SceneError
from polynya.names import printable
from polynya.native import import_apart
from polynya.rasters.references import is_network
from polynya.rasters.relay import proxy_settings
from polynya.scenes.scene import Scene
from polynya.storage.stores import gdal_options, gdal_path

_MARGIN = 0.1
"""Margin around the scene, as a share of its extent."""
_EDGES = 400
"""Number of edge lengths in the extent; longer edges are divided."""

Shapes = list[tuple[Any, Any]]
"""Shapely geometries, each with the value of a column, or None."""


def read_shapes(path: str, called: str, scene: Scene, column: str | None = None) -> Shapes:
    """Read the shapes of a file that are near a scene.

    Args:
        path: GeoPackage, GeoJSON or Shapefile, with any coordinate system; a path or URI.
        called: Beginning of error messages, such as "The map of land coast.gpkg".
        scene: A scene with a place on the ground.
        column: Attribute that is read with each shape.

    Returns:
        Geometries in the scene's coordinate system, in the order of the file, each with its value.

    Raises:
        SceneError: The file can't be read, or has no coordinate system or no such attribute.
    """
    status = os.stat(path) if os.path.exists(path) else None
    return _read(
        path, called, status.st_mtime_ns if status else 0, scene.crs or "", scene.transform or (),
        scene.height, scene.width, column,
    )  # fmt: skip


def read_all_shapes(path: str, called: str, crs: str) -> list[Any]:
    """Read all shapes of a file in a coordinate system, wherever they are.

    Args:
        path: As for `read_shapes`.
        called: Beginning of error messages.
        crs: 'EPSG:n' or WKT.

    Returns:
        Geometries in the order of the file.

    Raises:
        SceneError: The file can't be read, or has no coordinate system.
    """
    status = os.stat(path) if os.path.exists(path) else None
    changed = status.st_mtime_ns if status else 0
    return [shape for shape, _ in _read(path, called, changed, crs, (), 0, 0, None)]


def shapes_in(
    shapes: Sequence[Any], transform: Affine, height: int, width: int
) -> NDArray[np.bool_]:
    """Find the shapes whose bounds touch a rectangle of pixels: bool (N,).

    Args:
        shapes: Shapely geometries in the coordinate system of the transform.
        transform: Transform of the rectangle.
        height: Rows of the rectangle.
        width: Columns of the rectangle.
    """
    import shapely

    area = shapely.box(*extent(transform, height, width))
    return np.array([area.intersects(shapely.box(*shape.bounds)) for shape in shapes], np.bool_)


def extent(transform: Affine, height: int, width: int) -> tuple[float, float, float, float]:
    """Least x, least y, greatest x and greatest y of a rectangle of pixels."""
    a, b, c, d, e, f = tuple(transform)[:6]
    xs = [a * col + b * row + c for col in (0, width) for row in (0, height)]
    ys = [d * col + e * row + f for col in (0, width) for row in (0, height)]
    return min(xs), min(ys), max(xs), max(ys)


@lru_cache(maxsize=8)
def _read(
    path: str, called: str, changed: int, crs: str, transform: tuple[float, ...], height: int,
    width: int, column: str | None,
) -> Shapes:  # fmt: skip
    import shapely

    pyogrio = import_apart("pyogrio")
    name = gdal_path(path)
    if is_network(name):
        # pyogrio has its own GDAL, which needs the same settings for servers.
        pyogrio.set_gdal_config_options(gdal_options() | proxy_settings())
    try:
        info = pyogrio.read_info(name)
        own = CRS.from_user_input(info["crs"]) if info["crs"] else None
        if own is None:
            raise SceneError(f"{called} has no coordinate system; give it one (ogr2ogr -a_srs).")
        if column is not None and column not in info["fields"]:
            known = ", ".join(map(printable, info["fields"])) or "none"
            raise SceneError(
                f"{called} has no attribute '{printable(column)}' (it has {known}); fix the recipe."
            )
        box = None
        if transform:
            box = _neighbourhood(own, CRS.from_user_input(crs), transform, height, width)
        _, numbers, geometries, columns = pyogrio.raw.read(
            name, columns=[] if column is None else [column], bbox=box, return_fids=True
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ProjError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise SceneError(
            f"{called} can't be used ({reason}); give polygons as GeoPackage, GeoJSON or Shapefile."
        ) from None
    shapes = shapely.make_valid(shapely.from_wkb(geometries))
    if box is None:
        box = tuple(shapely.total_bounds(shapes))
    else:
        shapes = shapely.intersection(shapes, shapely.box(*box))
    longest = max(box[2] - box[0], box[3] - box[1]) / _EDGES
    to_scene = Transformer.from_crs(own, crs, always_xy=True)

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_scene.transform(points[:, 0], points[:, 1]))

    values = [None] * len(shapes) if column is None else columns[0].tolist()
    found = []
    # A spatial index may change the order of the file.
    for place in np.argsort(numbers, kind="stable"):
        if shapely.is_empty(shapes[place]):
            continue
        shape = shapely.transform(shapely.segmentize(shapes[place], longest), move)
        if np.isfinite(shapely.get_coordinates(shape)).all():
            found.append((shape, values[place]))
    return found


def _neighbourhood(
    own: CRS, of_scene: CRS, transform: tuple[float, ...], height: int, width: int
) -> tuple[float, float, float, float]:
    """West, south, east and north of a scene with margin, in the coordinate system of the file."""
    left, bottom, right, top = extent(Affine(*transform), height, width)
    more_x, more_y = _MARGIN * (right - left), _MARGIN * (top - bottom)
    west, south, east, north = Transformer.from_crs(of_scene, own, always_xy=True).transform_bounds(
        left - more_x, bottom - more_y, right + more_x, top + more_y, densify_pts=101
    )
    if not np.isfinite([west, south, east, north]).all():
        raise ProjError("it can't be brought to the place of the scene")
    # Across the antimeridian, west is greater than east.
    return (-180.0, south, 180.0, north) if west > east else (west, south, east, north)

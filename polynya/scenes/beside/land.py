"""Land: pixels of a scene that are nodata because a map of land covers them.

The map has polygons or is a raster, on any grid and in any coordinate system. Polygons are clipped
to the neighbourhood of the scene, then their long edges are divided, then they are transformed to
the scene's coordinate system: a straight edge in the map may be an arc in the scene. A pixel is
land if its centre is on land.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.native import import_apart
from polynya.rasters.opening import EXTENSIONS, check_size, opened_raster, tile_window
from polynya.rasters.references import is_network
from polynya.rasters.relay import proxy_settings
from polynya.recipe.base import STEM
from polynya.recipe.scene import SceneOptions
from polynya.scenes.beside.layers import beside
from polynya.scenes.scene import LandSource, Scene
from polynya.storage.stores import gdal_options, gdal_path

_MARGIN = 0.1
"""Margin around the scene, as a share of its extent."""
_EDGES = 400
"""Number of edge lengths in the extent; longer edges of polygons are divided."""


def find_land(source: Any, uri: str, has_place: bool, options: SceneOptions) -> LandSource | None:
    """Find the land that a recipe asks for.

    Args:
        source: The scene, open in rasterio.
        uri: Path or URI of the scene.
        has_place: Whether the scene has a coordinate system and a geotransform.
        options: Section `scene` of the recipe.

    Returns:
        Place of the map of land; None if the recipe asks for none.

    Raises:
        SceneError: The file is missing, or its place relative to the scene is unknown.
    """
    if options.land is None:
        return None
    goes_with_scene = STEM in options.land or "://" in options.land
    path = beside(uri, options.land) if goes_with_scene else os.path.abspath(options.land)
    if not os.path.exists(path) and "://" not in path and not path.startswith("/vsi"):
        raise SceneError(
            f"{printable(uri)} has no map of land {printable(path)}; put it there or fix scene.land"
            " in the recipe."
        )
    is_raster = path.lower().endswith(EXTENSIONS)
    on_grid = False
    if is_raster:
        with opened_raster(path, options.references) as land:
            check_size(land, path)
            same = land.shape == source.shape
            without = land.crs is None and land.transform.is_identity
            on_grid = same and (
                not has_place
                or without
                or (land.crs == source.crs and land.transform.almost_equals(source.transform, 1e-6))
            )
            if not on_grid and land.crs is None:
                raise SceneError(
                    f"The map of land {printable(path)} has no coordinate system and not the size"
                    f" of {printable(uri)}; give it one (gdal_edit.py -a_srs)."
                )
    if not on_grid and not has_place:
        raise SceneError(
            f"{printable(uri)} has no place on the ground to which the map of land"
            f" {printable(path)} could be brought; give it one, or leave scene.land out of the"
            " recipe."
        )
    return LandSource(path, is_raster, on_grid, options.land_values)


def read_land(scene: Scene, tile: Tile | None) -> NDArray[np.bool_]:
    """Read the land in a scene, or in a part of it.

    Args:
        scene: A scene with `land`.
        tile: Rectangle of the scene; None: the whole scene.

    Returns:
        bool (H, W), True for land.

    Raises:
        SceneError: The map can't be read.
    """
    if scene.land is None:
        raise ValueError("the scene has no land")
    window = tile or Tile(0, 0, scene.height, scene.width)
    if scene.land.is_raster:
        return _from_raster(scene, scene.land, window)
    return _from_polygons(scene, scene.land, window)


def _from_raster(scene: Scene, land: LandSource, window: Tile) -> NDArray[np.bool_]:
    with opened_raster(land.path, scene.references) as source:
        if land.on_grid:
            return _is_land(source, land, window)
        # Pixels outside the map are no land, whatever value they get.
        marked = source.nodata is not None or ColorInterp.alpha in source.colorinterp
        with WarpedVRT(
            source, crs=scene.crs, transform=Affine(*(scene.transform or ())),
            height=scene.height, width=scene.width, resampling=Resampling.nearest,
            add_alpha=not marked,
        ) as warped:  # fmt: skip
            return _is_land(warped, land, window)


def _is_land(source: Any, land: LandSource, window: Tile) -> NDArray[np.bool_]:
    values = source.read(1, window=tile_window(window))
    known = source.dataset_mask(window=tile_window(window)) != 0
    found = values != 0 if land.values is None else np.isin(values, land.values)
    return np.asarray(found & known, np.bool_)


def _from_polygons(scene: Scene, land: LandSource, window: Tile) -> NDArray[np.bool_]:
    import shapely

    shape = (window.height, window.width)
    status = os.stat(land.path) if os.path.exists(land.path) else None
    polygons = _polygons(
        land.path, status.st_mtime_ns if status else 0, scene.crs or "",
        scene.transform or (), scene.height, scene.width,
    )  # fmt: skip
    transform = Affine(*(scene.tile_transform(window) or ()))
    area = shapely.box(*_extent(transform, window.height, window.width))
    here = [polygon for polygon in polygons if area.intersects(shapely.box(*polygon.bounds))]
    if not here:
        return np.zeros(shape, np.bool_)
    return np.asarray(rasterize(here, shape, transform=transform, dtype="uint8"), np.bool_)


@lru_cache(maxsize=8)
def _polygons(
    path: str, changed: int, crs: str, transform: tuple[float, ...], height: int, width: int
) -> list[Any]:
    """Polygons of a file near a scene, in the scene's coordinate system."""
    import shapely

    pyogrio = import_apart("pyogrio")
    name = gdal_path(path)
    if is_network(name):
        # pyogrio has its own GDAL, which needs the same settings for servers.
        pyogrio.set_gdal_config_options(gdal_options() | proxy_settings())
    try:
        info = pyogrio.read_info(name)
        of_land = CRS.from_user_input(info["crs"]) if info["crs"] else None
        if of_land is None:
            raise SceneError(
                f"The map of land {printable(path)} has no coordinate system; give it one (ogr2ogr"
                " -a_srs)."
            )
        box = _neighbourhood(of_land, CRS.from_user_input(crs), transform, height, width)
        _, _, geometries, _ = pyogrio.raw.read(name, columns=[], bbox=box)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ProjError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise SceneError(
            f"The map of land {printable(path)} can't be used ({reason}); give polygons as"
            " GeoPackage, GeoJSON or Shapefile."
        ) from None
    shapes = shapely.make_valid(shapely.from_wkb(geometries))
    shapes = shapely.intersection(shapes, shapely.box(*box))
    shapes = shapes[shapely.area(shapes) > 0]
    longest = max(box[2] - box[0], box[3] - box[1]) / _EDGES
    to_scene = Transformer.from_crs(of_land, crs, always_xy=True)

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_scene.transform(points[:, 0], points[:, 1]))

    moved = [shapely.transform(shape, move) for shape in shapely.segmentize(shapes, longest)]
    return [shape for shape in moved if np.isfinite(shapely.get_coordinates(shape)).all()]


def _neighbourhood(
    of_land: CRS, of_scene: CRS, transform: tuple[float, ...], height: int, width: int
) -> tuple[float, float, float, float]:
    """West, south, east and north of a scene with margin, in the coordinate system of the map."""
    left, bottom, right, top = _extent(Affine(*transform), height, width)
    more_x, more_y = _MARGIN * (right - left), _MARGIN * (top - bottom)
    west, south, east, north = Transformer.from_crs(
        of_scene, of_land, always_xy=True
    ).transform_bounds(
        left - more_x, bottom - more_y, right + more_x, top + more_y, densify_pts=101
    )
    if not np.isfinite([west, south, east, north]).all():
        raise ProjError("it can't be brought to the place of the scene")
    # Across the antimeridian, west is greater than east.
    return (-180.0, south, 180.0, north) if west > east else (west, south, east, north)


def _extent(transform: Affine, height: int, width: int) -> tuple[float, float, float, float]:
    """Least x, least y, greatest x and greatest y of a rectangle of pixels."""
    a, b, c, d, e, f = tuple(transform)[:6]
    xs = [a * col + b * row + c for col in (0, width) for row in (0, height)]
    ys = [d * col + e * row + f for col in (0, width) for row in (0, height)]
    return min(xs), min(ys), max(xs), max(ys)

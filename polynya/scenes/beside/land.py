"""Land: pixels of a scene that are nodata because a map of land covers them.

The map has polygons (`polynya.scenes.beside.shapes`) or is a raster, on any grid and in any
coordinate system. A pixel is land if its centre is on land.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import EXTENSIONS, check_size, opened_raster, tile_window
from polynya.recipe.base import STEM
from polynya.recipe.scene import SceneOptions
from polynya.scenes.beside.layers import beside
from polynya.scenes.beside.shapes import read_shapes, shapes_in
from polynya.scenes.scene import LandSource, Scene


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
    called = f"The map of land {printable(land.path)}"
    shapes = [shape for shape, _ in read_shapes(land.path, called, scene) if shape.area > 0]
    shape = (window.height, window.width)
    transform = Affine(*(scene.tile_transform(window) or ()))
    here = [s for s, near in zip(shapes, shapes_in(shapes, transform, *shape), strict=True) if near]
    if not here:
        return np.zeros(shape, np.bool_)
    return np.asarray(rasterize(here, shape, transform=transform, dtype="uint8"), np.bool_)

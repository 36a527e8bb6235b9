"""Layers of a scene beside its colours: infrared, cirrus, the product's clouds, the sun.

Infrared and cirrus bands are found by their names, unless the recipe says something else under
`scene.layers`. Layers are found when the scene is opened, so a layer that the recipe names and that
is missing is an error before any pixel is read. They are read by rectangle, like the colours.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # What rasterio.warp lets through.
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.rasters.opening import band_number, check_size, opened_raster, tile_window
from polynya.rasters.references import Decision, is_local_file
from polynya.recipe.base import STEM
from polynya.recipe.scene import AUTO, SceneOptions
from polynya.scenes.band_names import LAYERS, find_layer
from polynya.scenes.beside.sun import towards_sun
from polynya.scenes.scene import LayerSources, Scene, SceneLayers
from polynya.scenes.validity import find_validity, read_valid
from polynya.scenes.zeros import nodata_zeros
from polynya.storage.stores import gdal_path

_AZIMUTH_TAGS = (
    "SUN_AZIMUTH",
    "SOLAR_AZIMUTH",
    "SUN_AZIMUTH_ANGLE",
    "SOLAR_AZIMUTH_ANGLE",
    "MEAN_SUN_AZIMUTH",
    "MEAN_SOLAR_AZIMUTH",
    "MEAN_SUN_AZIMUTH_ANGLE",
    "MEAN_SOLAR_AZIMUTH_ANGLE",
    "VIEW_SUN_AZIMUTH",
)
_ELEVATION_TAGS = tuple(name.replace("AZIMUTH", "ELEVATION") for name in _AZIMUTH_TAGS)
_ZENITH_TAGS = tuple(name.replace("AZIMUTH", "ZENITH") for name in _AZIMUTH_TAGS)

_Numbers = NDArray[np.float64]

_BORDER_POINTS = 21
_TOLERANCE = 0.5
"""Number of its pixels by which the cloud layer may be smaller than the scene."""


def find_layers(
    source: Any, uri: str, colors: tuple[int, ...], scene: SceneOptions
) -> LayerSources | None:
    """Find the layers of a scene; None if the recipe wants none.

    Args:
        source: The scene, open in rasterio.
        uri: Path or URI of the scene.
        colors: 1-based bands of the colours.
        scene: Section `scene` of the recipe.

    Raises:
        SceneError: A band or file that the recipe names is missing, such a band has another data
            type than the colours, or the cloud layer doesn't cover the scene.
    """
    options = scene.layers
    if options is None:
        return None
    bands = {
        key: find_layer(source, uri, key, _usable(source, colors, scene))
        if getattr(options, key) == AUTO
        else _named_band(source, uri, colors, key, getattr(options, key))
        for key in LAYERS
    }
    clouds_uri, clouds_band, clouds_on_grid = _find_clouds(
        source, uri, options.clouds, scene.references
    )
    azimuth, elevation = options.sun_azimuth, options.sun_elevation
    if azimuth is None:
        azimuth = _sun_tag(source, _AZIMUTH_TAGS)
    if elevation is None:
        elevation = _sun_tag(source, _ELEVATION_TAGS)
    if elevation is None:
        zenith = _sun_tag(source, _ZENITH_TAGS)
        elevation = None if zenith is None else 90.0 - zenith
    return LayerSources(
        nir=bands["nir"],
        swir=bands["swir"],
        cirrus=bands["cirrus"],
        clouds_uri=clouds_uri,
        clouds_band=clouds_band,
        clouds_on_grid=clouds_on_grid,
        cloud_values=options.cloud_values,
        # Some products count from -180 to 180.
        sun_azimuth=None if azimuth is None else azimuth % 360.0,
        sun_elevation=elevation,
    )


def read_layers(scene: Scene, window: Tile | None = None) -> SceneLayers | None:
    """Read the layers of a scene, or of a part of it.

    Bands get the scale and offset of the colours. A cloud layer on another grid is resampled to the
    scene's grid by nearest neighbour.

    Args:
        scene: From `polynya.scenes.reading.open_scene`.
        window: Rectangle to read; default: the whole scene.

    Returns:
        The layers; None if the recipe wants none.

    Raises:
        SceneError: The pixels can't be read, or the cloud layer doesn't fit the scene.
    """
    layers = scene.layers
    if layers is None:
        return None
    bands = (layers.nir, layers.swir, layers.cirrus)
    nir, swir, cirrus = None, None, None
    if bands != (None, None, None):
        with opened_raster(scene.uri, scene.references) as source:
            nir, swir, cirrus = (_read_reflectance(source, scene, one, window) for one in bands)
    return SceneLayers(
        nir=nir,
        swir=swir,
        cirrus=cirrus,
        opaque_cloud=_read_clouds(scene, layers, window),
        sun_azimuth=layers.sun_azimuth,
        sun_elevation=layers.sun_elevation,
        sun=towards_sun(scene, layers.sun_azimuth),
    )


def _usable(source: Any, colors: tuple[int, ...], scene: SceneOptions) -> list[int]:
    """1-based bands that can be a layer: their numbers have the type and scale of the colours."""

    def kind(index: int) -> tuple[Any, ...]:
        dtype = source.dtypes[index - 1]
        if dtype == "uint8":
            return (dtype,)
        scale = source.scales[index - 1] if scene.scale is None else scene.scale
        offset = source.offsets[index - 1] if scene.offset is None else scene.offset
        return dtype, scale, offset

    # Bands that the recipe doesn't name as colours are red, green and blue by their own names.
    taken = colors if scene.bands is None else ()
    bands = range(1, source.count + 1)
    return [one for one in bands if one not in taken and kind(one) == kind(colors[0])]


def _named_band(
    source: Any, uri: str, colors: tuple[int, ...], key: str, band: int | str | None
) -> int | None:
    if band is None:
        return None
    number, dtype = (
        band_number(source, uri, band, f"scene.layers.{key}"),
        source.dtypes[colors[0] - 1],
    )
    if source.dtypes[number - 1] != dtype:
        raise SceneError(
            f"{uri} has {source.dtypes[number - 1]} pixels in band {number} and {dtype} in its"
            f" colours, so they have no common scale; give scene.layers.{key} in the recipe another"
            " band."
        )
    return number


def _find_clouds(
    source: Any, uri: str, clouds: int | str | None, references: Decision
) -> tuple[str | None, int, bool]:
    if clouds is None:
        return None, 1, True
    if isinstance(clouds, int) or STEM not in clouds:
        return uri, band_number(source, uri, clouds, "scene.layers.clouds"), True
    path = beside(uri, clouds)
    if is_local_file(path) and not os.path.isfile(path):
        raise SceneError(
            f"{uri} has no cloud layer {path}; put it there or fix scene.layers.clouds in the"
            " recipe."
        )
    with opened_raster(path, references) as layer:
        check_size(layer, path)
        on_grid = _has_pixels_of(layer, source)
        if not on_grid:
            _check_cover(layer, source, path, uri)
    return path, 1, on_grid


def beside(uri: str, pattern: str) -> str:
    """Path of a file beside a scene, from a pattern with '{stem}' for the scene's name.

    Args:
        uri: Path or URI of the scene.
        pattern: Path relative to the scene's folder, or a URI.
    """
    folder, name = os.path.split(gdal_path(uri) if uri.startswith("file://") else uri)
    found = pattern.replace(STEM, Path(name).stem)
    return found if "://" in found else os.path.join(folder, found)


def _has_pixels_of(layer: Any, scene: Any) -> bool:
    """Whether two rasters have the same grid; if one has no georeference, the size decides."""
    if layer.shape != scene.shape:
        return False
    if _without_place(layer) or _without_place(scene):
        return True
    return layer.crs == scene.crs and layer.transform.almost_equals(scene.transform, 1e-6)


def _without_place(raster: Any) -> bool:
    return raster.crs is None and bool(raster.transform.is_identity)


def _check_cover(layer: Any, scene: Any, path: str, uri: str) -> None:
    """Raise SceneError unless a layer covers the points on the border of a scene."""
    if layer.crs is None or scene.crs is None:
        missing = path if layer.crs is None else uri
        raise SceneError(
            f"{path} has another grid than {uri} and {missing} has no coordinate system, so they"
            " can't be related; give the cloud layer the scene's size, or give both a coordinate"
            " system (gdal_edit.py -a_srs)."
        )
    share = np.linspace(0.0, 1.0, _BORDER_POINTS)
    zeros, ones = np.zeros_like(share), np.ones_like(share)
    cols = np.concatenate([share, share, zeros, ones]) * scene.width
    rows = np.concatenate([zeros, ones, share, share]) * scene.height
    xs, ys = _apply(scene.transform, cols, rows)
    try:
        moved = np.array(transform_points(scene.crs, layer.crs, xs.tolist(), ys.tolist()))
    except (RasterioError, CPLE_BaseError):
        moved = np.full((2, 1), np.nan)
    if not np.isfinite(moved).all():
        raise SceneError(
            f"The coordinate systems of {path} and {uri} can't be related; bring the cloud layer to"
            " the scene's (gdalwarp -t_srs)."
        )
    layer_cols, layer_rows = _apply(~layer.transform, moved[0], moved[1])
    for numbers, size in ((layer_cols, layer.width), (layer_rows, layer.height)):
        if numbers.min() < -_TOLERANCE or numbers.max() > size + _TOLERANCE:
            raise SceneError(
                f"The cloud layer {path} does not cover all of {uri}; give one that does or leave"
                " scene.layers.clouds out of the recipe."
            )


def _apply(transform: Affine, xs: _Numbers, ys: _Numbers) -> tuple[_Numbers, _Numbers]:
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * xs + b * ys + c, d * xs + e * ys + f


def _sun_tag(source: Any, names: tuple[str, ...]) -> float | None:
    """Degrees in one of some tags; None if there is no such tag, or no number in it."""
    tags = {**source.tags(ns="IMAGERY"), **source.tags()}
    # GDAL ends a name at its first colon. So the tag view:sun_azimuth with the value 1 becomes the
    # tag view with the value sun_azimuth=1 (as text).
    pairs = [f"{name}={text}".rpartition("=") for name, text in tags.items()]
    known = {re.sub(r"[^A-Z0-9]", "_", name.upper()): text for name, _, text in pairs}
    for name in names:
        if name in known:
            try:
                degrees = float(known[name])
            except ValueError:
                continue
            if np.isfinite(degrees):
                return degrees
    return None


def _read_reflectance(
    source: Any, scene: Scene, band: int | None, window: Tile | None
) -> NDArray[np.float32] | None:
    if band is None:
        return None
    numbers = source.read(band, window=tile_window(window))
    # Not GDAL's own mask of the band: a band that GDAL takes for alpha may be infrared.
    validity = find_validity(source, (band,))
    invalid = ~read_valid(source, validity, numbers[..., None], tile_window(window))
    if numbers.dtype.kind == "f":
        invalid |= ~np.isfinite(numbers)
    scale, offset = (1 / 255, 0.0) if scene.dtype == "uint8" else (scene.scale, scene.offset)
    # Without an offset, zeros have the reflectance 0 whether they are data or not.
    if scene.zero_is_nodata and offset != 0.0:
        zero = numbers == 0
        if scene.zero_is_nodata == "edge" and zero.any():
            zero &= _nodata_of_colors(source, scene, window)
        invalid |= zero
    reflectance = np.asarray(numbers, np.float32) * np.float32(scale) + np.float32(offset)
    reflectance[invalid] = 0.0
    return reflectance


def _nodata_of_colors(source: Any, scene: Scene, window: Tile | None) -> NDArray[np.bool_]:
    """Black pixels of a scene that are nodata: deep water may be 0 in the infrared alone."""
    colors = source.read(list(scene.band_indexes), window=tile_window(window))
    return nodata_zeros(scene, source, scene.band_indexes, window, (colors == 0).all(axis=0))


def _read_clouds(
    scene: Scene, layers: LayerSources, window: Tile | None
) -> NDArray[np.bool_] | None:
    if layers.clouds_uri is None:
        return None
    with opened_raster(layers.clouds_uri, scene.references) as source:
        if layers.clouds_on_grid or scene.transform is None:
            values = source.read(layers.clouds_band, window=tile_window(window))
        else:
            grid = {
                "crs": scene.crs,
                "transform": Affine(*scene.transform),
                "height": scene.height,
                "width": scene.width,
                "resampling": Resampling.nearest,
            }
            with WarpedVRT(source, **grid) as warped:
                values = warped.read(layers.clouds_band, window=tile_window(window))
    return np.isin(values, layers.cloud_values)

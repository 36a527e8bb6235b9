"""Users' own labels: rasters of class codes or of masks, one beside each scene.

Exclusive classes are in one band of codes. Masks are in one band each, with values 0 and 1, in the
order of the classes. A pixel is unknown if any band has the file's nodata value, the scheme's
nodata code or no finite number, or if the file's mask or alpha band says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import check_size, opened_raster, tile_window
from polynya.rasters.references import is_local_file
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import beside
from polynya.scenes.scene import LabelSource, Scene
from polynya.scenes.validity import Validity, find_validity, nodata_value, read_valid

_MASK_CODES = (0, 1)
_SUM_TOLERANCE = 0.02
"""Greatest difference of a sum of shares from 1; rounding to two digits can cause it."""


def with_labels(scene: Scene, recipe: Recipe) -> Scene:
    """Add the place of the labels, from the recipe's key `label.raster`, to a scene.

    Args:
        scene: From `polynya.scenes.reading.open_scene`.
        recipe: Recipe with the names of the rasters and the classes.

    Returns:
        The scene with `labels`; the unchanged scene if the recipe doesn't set the key.

    Raises:
        SceneError: The raster is missing, or can't be read or brought to the scene's grid.
    """
    if recipe.label.raster is None:
        return scene
    path = beside(scene.uri, recipe.label.raster)
    if is_local_file(path) and not os.path.isfile(path):
        raise SceneError(
            f"{printable(scene.uri)} has no labels {printable(path)}; put them there or fix"
            " label.raster in the recipe."
        )
    with opened_raster(path, scene.references) as source:
        check_size(source, path)
        called = f"The raster of labels {printable(path)}"
        bands = _find_bands(source, called, recipe.classes, recipe.label.soft)
        _check_nodata(source, called, bands, recipe.classes, recipe.label.soft)
        on_grid = _has_grid_of(source, scene)
        if not on_grid:
            _check_place(source, called, find_validity(source, bands), scene)
    return replace(scene, labels=LabelSource(path, on_grid))


def read_labels(
    scene: Scene, classes: ClassScheme, window: Tile | None = None
) -> NDArray[np.uint8]:
    """Read the labels of a scene, or of a part of it.

    Labels on another grid are resampled to the scene's grid: each pixel gets the label at its
    centre. Outside the raster, labels are unknown.

    Args:
        scene: From `with_labels`.
        classes: Class scheme of the codes.
        window: Rectangle to read; default: the whole scene.

    Returns:
        uint8 (H, W), labels of `ClassScheme`; the scheme's nodata for unknown labels.

    Raises:
        SceneError: The raster can't be read.
        LabelError: The raster has a code that is no class.
    """
    if scene.labels is None:
        raise ValueError("the scene has no labels")
    called = f"The raster of labels {printable(scene.labels.path)}"
    with opened_raster(scene.labels.path, scene.references) as source:
        if scene.labels.on_grid:
            return labels_in(source, called, classes, window)
        bands = _find_bands(source, called, classes)
        numbers = _on_grid_of(scene, source, bands, window)
    return _labels(numbers, np.ones(numbers.shape[1:], np.bool_), (), called, classes)


def read_shares(
    scene: Scene, classes: ClassScheme, window: Tile | None = None
) -> NDArray[np.float32]:
    """Read the soft labels of a scene, or of a part of it: one band per class.

    Args:
        scene: From `with_labels`.
        classes: Class scheme of the bands.
        window: Rectangle to read; default: the whole scene.

    Returns:
        float32 (H, W, C), 0..1; NaN for unknown labels.

    Raises:
        SceneError: The raster can't be read.
        LabelError: A number is no share, or shares of exclusive classes don't add up to 1.
    """
    if scene.labels is None:
        raise ValueError("the scene has no labels")
    called = f"The raster of labels {printable(scene.labels.path)}"
    with opened_raster(scene.labels.path, scene.references) as source:
        bands = _find_bands(source, called, classes, soft=True)
        if scene.labels.on_grid:
            at = tile_window(window)
            numbers = source.read(list(bands), window=at)
            known = read_valid(source, find_validity(source, bands), _last(numbers), at)
            numbers = np.where(known, numbers, np.nan).astype(np.float32)
        else:
            numbers = _on_grid_of(scene, source, bands, window)
    shares = _last(numbers)
    shares[~np.isfinite(shares).all(axis=-1)] = np.nan
    wrong = shares[(shares < 0) | (shares > 1)]
    if wrong.size:
        raise LabelError(f"{called} has the number {wrong[0]:g}, which is no share; use 0 to 1.")
    sums = shares.sum(axis=-1)
    wrong = sums[np.abs(sums - 1) > _SUM_TOLERANCE]
    if wrong.size and not classes.has_masks:
        raise LabelError(
            f"{called} has shares that add up to {wrong[0]:g}, where classes exclude each other;"
            " divide them by their sum, or set the recipe's key 'classes.kind' to masks."
        )
    return shares


def _last(bands: NDArray[Any]) -> NDArray[Any]:
    """Change the order of axes from (bands, H, W) to (H, W, bands)."""
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1))


def labels_in(
    source: Any, called: str, classes: ClassScheme, window: Tile | None = None
) -> NDArray[np.uint8]:
    """Read labels of an open raster, on the raster's grid.

    Args:
        source: The raster, open in rasterio.
        called: Beginning of error messages, such as "The truth a_truth.tif".
        classes: Class scheme of the codes.
        window: Rectangle to read; default: the whole raster.

    Returns:
        uint8 (H, W), labels of `ClassScheme`; the scheme's nodata for unknown labels.

    Raises:
        LabelError: The raster has a wrong number of bands, or a code that is no class.
    """
    bands = _find_bands(source, called, classes)
    numbers = source.read(list(bands), window=tile_window(window))
    values = tuple(nodata_value(source, band) for band in bands)
    whole = find_validity(source, bands).without_values()
    if whole.alpha is not None and classes.has_masks:
        _check_alpha(source.read(whole.alpha, window=tile_window(window)), called, classes)
    known = read_valid(source, whole, np.moveaxis(numbers, 0, -1), tile_window(window))
    return _labels(numbers, known, values, called, classes)


def _labels(
    numbers: NDArray[Any],
    known: NDArray[np.bool_],
    nodata: Sequence[float | None],
    called: str,
    classes: ClassScheme,
) -> NDArray[np.uint8]:
    """Convert numbers (bands, H, W) of a raster to labels; `nodata` has a value for each band."""
    codes = _MASK_CODES if classes.has_masks else classes.codes
    for place, band in enumerate(numbers):
        known &= band != classes.nodata
        if place < len(nodata) and nodata[place] is not None and nodata[place] not in codes:
            known &= band != nodata[place]
        if band.dtype.kind == "f":
            known &= np.isfinite(band)
    for band in numbers:
        wrong = known & ~np.isin(band, codes)
        if wrong.any():
            raise LabelError(f"{called} has the code {band[wrong][0]:g}, {_no_code(classes)}")
    if classes.has_masks:
        return classes.labels_of([band == 1 for band in numbers], known)
    return np.where(known, numbers[0], classes.nodata).astype(np.uint8)


def _no_code(classes: ClassScheme) -> str:
    """End of the error message about an unknown code."""
    if classes.has_masks:
        return (
            f"which is neither 1, under the mask, nor 0; use these and {classes.nodata} for"
            " unknown."
        )
    return (
        f"which is no class of '{classes.name}'; use {', '.join(map(str, classes.codes))} and"
        f" {classes.nodata} for unknown."
    )


def _find_bands(
    source: Any, called: str, classes: ClassScheme, soft: bool = False
) -> tuple[int, ...]:
    """1-based bands of the labels; an alpha band may follow them."""
    wanted = classes.n_classes if classes.has_masks or soft else 1
    bands = tuple(range(1, wanted + 1))
    has_alpha = source.count == wanted + 1 and find_validity(source, bands).alpha == wanted + 1
    if source.count == wanted or has_alpha:
        return bands
    meant = ""
    if soft or classes.has_masks:
        kind = "masks" if classes.has_masks else "classes"
        meant = f"a band for each of the {kind} {', '.join(classes.names)}"
    raise LabelError(
        f"{called} has {source.count} band{'s' * (source.count > 1)} and needs {wanted},"
        f" {meant or 'that of the class codes'}; put these, and no others, into it"
        " (gdal_translate -b)."
    )


def _check_alpha(alpha: NDArray[Any], called: str, classes: ClassScheme) -> None:
    """Raise LabelError for a last band that holds a mask: GDAL calls each fourth band alpha."""
    if np.isin(alpha, _MASK_CODES).all() and alpha.any():
        raise LabelError(
            f"{called} has a band more than the {classes.n_classes} masks of '{classes.name}', of"
            " 0 and 1; add the mask to 'classes' in the recipe, or take the band out of the raster"
            " (gdal_translate -b). An alpha band holds 0 and 255."
        )


def _check_nodata(
    source: Any, called: str, bands: Sequence[int], classes: ClassScheme, soft: bool
) -> None:
    """Refuse a nodata value that is also a label, because the meaning of a pixel is ambiguous."""
    codes = _MASK_CODES if classes.has_masks else classes.codes
    for band in bands:
        value = nodata_value(source, band)
        is_share = soft and value is not None and 0 <= value <= 1
        if is_share if soft else value in codes:
            raise LabelError(
                f"{called} says that {value:g} means no data in band {band}, where it is also a"
                " label; take the nodata value out of it (gdal_edit.py -unsetnodata), or give it"
                f" another, such as {'nan' if soft else classes.nodata}."
            )


def _has_grid_of(source: Any, scene: Scene) -> bool:
    """Whether a raster has a scene's grid; if one of them has no georeference, the size decides."""
    if source.shape != (scene.height, scene.width):
        return False
    if not scene.has_place or (source.crs is None and source.transform.is_identity):
        return True
    transform = Affine(*(scene.transform or ()))
    same_crs = source.crs == CRS.from_user_input(scene.crs)
    return bool(same_crs and source.transform.almost_equals(transform, 1e-6))


def _check_place(source: Any, called: str, validity: Validity, scene: Scene) -> None:
    """Raise LabelError unless a raster can be resampled to the scene's grid."""
    if source.crs is None or not scene.has_place:
        without = "the raster" if source.crs is None else "the scene"
        raise LabelError(
            f"{called} has {source.height} x {source.width} pixels and its scene"
            f" {printable(scene.uri)} {scene.height} x {scene.width}, and {without} has no"
            " georeference; add one (gdal_edit.py -a_srs -a_ullr), or give the raster the same"
            " size and grid as the scene."
        )
    if validity.masks or validity.alpha is not None:
        raise LabelError(
            f"{called} has another grid than {printable(scene.uri)}, and a mask that can't be"
            " brought along; write its unknown pixels as a nodata value (gdalwarp -dstnodata 255)."
        )


def _on_grid_of(
    scene: Scene, source: Any, bands: Sequence[int], window: Tile | None
) -> NDArray[np.float32]:
    """Numbers (bands, H, W) of a raster at the centres of a scene's pixels; NaN if unknown."""
    tile = window or Tile(0, 0, scene.height, scene.width)
    numbers = np.full((len(bands), tile.height, tile.width), np.nan, np.float32)
    for band, into in zip(bands, numbers, strict=True):
        # Band by band, because GDAL takes a fourth 8-bit band for alpha. Without tolerance, so that
        # a part of a scene gets the same labels as the whole scene.
        reproject(
            rasterio.band(source, band),
            into,
            dst_transform=Affine(*(scene.tile_transform(tile) or ())),
            dst_crs=scene.crs,
            dst_nodata=np.nan,
            resampling=Resampling.nearest,
            tolerance=0,
        )
    return numbers

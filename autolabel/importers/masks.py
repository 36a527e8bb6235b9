"""Masks as raster files: numbers, colours or a band for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from autolabel.importers.coding import (
    Table,
    code_table,
    from_one_hot,
    hot_labels,
    label_of,
    look_up,
)
from autolabel.importers.importer import Sample
from polynya.errors import LabelError
from polynya.grid import Tile
from polynya.names import printable
from polynya.rasters.opening import check_size, check_whole, opened_raster, tile_window
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import CodeOptions, Coding, Color, MaskOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import Scene
from polynya.scenes.validity import find_validity, nodata_value, read_valid

_RGB = (1, 2, 3)


def read_mask(
    path: str,
    scene: Scene,
    recipe: Recipe,
    window: Tile | None,
    coding: Coding = "codes",
    table: Table | None = None,
    nearest: bool = False,
) -> NDArray[np.uint8]:
    """Read a mask that has the size of its image.

    A pixel is unknown where the file's alpha band or mask is 0, and where it has the file's nodata
    value, unless the recipe gives this number a class.

    Args:
        path: File of the mask.
        scene: The image.
        recipe: Classes and section `imports`.
        window: Rectangle to read; None: all.
        coding: What the bands hold.
        table: Labels of numbers or colours, if they are others than `imports.codes` says.
        nearest: Whether other numbers take the nearest label, even if the recipe doesn't say so.

    Returns:
        uint8 (H, W), labels of the recipe's classes.

    Raises:
        SceneError: The file can't be read.
        LabelError: It has another size, the wrong bands, or numbers that stand for no class.
    """
    options, called = recipe.imports, f"The mask {printable(path)}"
    with opened_raster(path, scene.references) as source:
        check_whole(path)
        check_size(source, path)
        _check_shape(source, called, scene)
        bands, palette = _find_bands(source, called, recipe.classes, coding)
        numbers = np.moveaxis(source.read(list(bands), window=tile_window(window)), 0, -1)
        whole = find_validity(source, bands).without_values()
        known = read_valid(source, whole, numbers, tile_window(window))
        nodata = nodata_value(source, 1)
    if numbers.dtype.kind == "f":
        known &= np.isfinite(numbers).all(axis=-1)
    if coding == "one-hot":
        labels = hot_labels(len(bands), recipe, called)
        return from_one_hot(numbers != 0, known, labels, recipe, called)
    if palette is not None:
        numbers = palette[numbers[..., 0]]
    table = table or code_table(recipe)
    if coding == "codes" and nodata is not None and not _has_class(nodata, table, recipe, called):
        known &= numbers[..., 0] != nodata
    nearest |= isinstance(options, MaskOptions) and options.nearest
    return look_up(numbers, known, table, recipe.classes.nodata, called, nearest)


def _has_class(nodata: float, table: Table, recipe: Recipe, called: str) -> bool:
    """Whether a file's nodata value has a class, because the recipe gives it one.

    Raises:
        LabelError: It would have one by default, so the meaning of a pixel is ambiguous.
    """
    key = (int(nodata),) if float(nodata).is_integer() else ()
    label = table.get(key, recipe.classes.nodata)
    if label == recipe.classes.nodata:
        return False
    if isinstance(recipe.imports, CodeOptions) and recipe.imports.codes is not None:
        return True
    raise LabelError(
        f"{called} says that {nodata:g} means no data, where it is also a label; say what it is in"
        " the recipe's key 'imports.codes', null for nodata."
    )


def read_code_mask(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    """Read the mask of a sample, its last file, which holds numbers; see `read_mask`."""
    return read_mask(sample.labels[-1], scene, recipe, window)


def color_table(
    recipe: Recipe, colors: dict[str, Color] | None, unknown: Color | None
) -> dict[tuple[int, ...], int]:
    """Labels of the colours in masks.

    Args:
        recipe: Classes; they have colours of their own.
        colors: Other colours, by the names of their classes.
        unknown: Colour that means no label.
    """
    classes = recipe.classes
    known = {c.name: c.color for c in classes.classes} if colors is None else colors
    table: dict[tuple[int, ...], int] = {
        color: label_of(name, classes) for name, color in known.items()
    }
    return table if unknown is None else table | {unknown: classes.nodata}


def _check_shape(source: Any, called: str, scene: Scene) -> None:
    if source.shape != (scene.height, scene.width):
        raise LabelError(
            f"{called} has {source.height} x {source.width} pixels and its image"
            f" {printable(scene.uri)} {scene.height} x {scene.width}; give it the same size, or let"
            " 'polynya label' bring it to the image by its place ('label.raster')."
        )


def _find_bands(
    source: Any, called: str, classes: ClassScheme, coding: Coding
) -> tuple[tuple[int, ...], NDArray[np.uint8] | None]:
    """1-based bands to read, and the colours (256, 3) of a palette, if they count."""
    alpha = find_validity(source, (1,)).alpha
    bands = tuple(band for band in range(1, source.count + 1) if band != alpha)
    if coding == "one-hot":
        # GDAL may take the band of the fourth class for alpha.
        every = tuple(range(1, source.count + 1))
        return (every if len(every) == classes.n_classes else bands), None
    if coding == "codes" and len(bands) == 1:
        return bands, None
    if coding == "colors" and len(bands) == len(_RGB):
        return bands, None
    if coding == "colors" and len(bands) == 1 and source.colorinterp[0] == ColorInterp.palette:
        palette = np.zeros((256, 3), np.uint8)
        for number, color in source.colormap(1).items():
            palette[number] = color[:3]
        return bands, palette
    needs = "one band of numbers" if coding == "codes" else "red, green and blue, or a palette"
    other = "colors or one-hot" if coding == "codes" else "codes or one-hot"
    raise LabelError(
        f"{called} has {len(bands)} bands and needs {needs}; set the recipe's key 'imports.coding'"
        f" to {other} if that is what it has (kind 'folder'), or write it anew (gdal_translate -b)."
    )

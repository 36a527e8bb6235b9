"""Regions with the name of a class, which become labels: names, overlaps, polygons in pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize

from autolabel.importers.coding import background, label_of
from polynya.errors import LabelError, SceneError, reason_of
from polynya.names import printable
from polynya.recipe.imports import NamedOptions
from polynya.recipe.recipe import Recipe

Region = tuple[NDArray[np.bool_], int]
"""Mask (H, W) of a region, and its label."""

_OUTSIDE = 1.0
"""Pixels by which a corner may lie outside of its image; programs round differently."""


def label_of_value(value: object, recipe: Recipe, called: str, where: str) -> int:
    """Label of a region's name: by `imports.values`, or a name, title or code of a class.

    Args:
        value: The name.
        recipe: Classes, and section `imports` with the key `values`.
        called: Beginning of the error message.
        where: Where the name was found, for the error message.

    Raises:
        LabelError: It is no class.
    """
    options, classes = recipe.imports, recipe.classes
    assert isinstance(options, NamedOptions)
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if options.values is not None and text in options.values:
        return label_of(options.values[text], classes)
    for one in classes.classes:
        if text.lower() in (one.name, one.title.lower(), str(one.code)):
            return label_of(one.name, classes)
    raise LabelError(
        f"{called} has '{printable(text)}' {where}, which is no class of '{classes.name}'"
        f" ({', '.join(classes.names)}); name its class in the recipe's key 'imports.values', null"
        " for nodata."
    )


def join_regions(
    regions: Sequence[Region], shape: tuple[int, int], recipe: Recipe, called: str
) -> NDArray[np.uint8]:
    """Labels of an image, uint8 (H, W): of its regions, and `imports.background` elsewhere.

    Where classes are masks, all regions count, and nodata more than masks. Where they exclude each
    other, `imports.overlap` decides.

    Raises:
        LabelError: Regions of different exclusive classes overlap, and `overlap` is refuse.
    """
    options, nodata = recipe.imports, recipe.classes.nodata
    assert isinstance(options, NamedOptions)
    labels, covered = np.full(shape, background(recipe), np.uint8), np.zeros(shape, np.bool_)
    ordered = list(regions)
    if recipe.classes.has_masks:
        ordered.sort(key=lambda region: region[1] == nodata)
    elif options.overlap == "first":
        ordered.reverse()
    elif options.overlap == "smallest":
        ordered.sort(key=lambda region: -int(region[0].sum()))
    for mask, label in ordered:
        if recipe.classes.has_masks and label != nodata:
            labels[mask] |= label
            continue
        twice = mask & covered & (labels != label)
        if options.overlap == "refuse" and not recipe.classes.has_masks and twice.any():
            row, col = np.argwhere(twice)[0]
            raise LabelError(
                f"{called} has regions of different classes at row {row}, column {col} (0-based);"
                " say which one counts in the recipe's key 'imports.overlap': last, first or"
                " smallest."
            )
        labels[mask], covered = label, covered | mask
    return labels


def polygon_mask(corners: Any, shape: tuple[int, int], called: str, what: str) -> NDArray[np.bool_]:
    """Pixels whose centres a polygon covers.

    Args:
        corners: Numbers (N, 2), x and y from the upper left corner of the image, in pixels.
        shape: Rows and columns of the image.
        called: Beginning of the error message.
        what: Name of the polygon, for the error message.

    Returns:
        bool (H, W).

    Raises:
        LabelError: It has less than three corners, what is no number, or leaves the image.
    """
    try:
        points = np.asarray(corners, np.float64).reshape(-1, 2)
    except (ValueError, TypeError):
        points = np.empty((0, 2))
    if len(points) < 3 or not np.isfinite(points).all():
        raise LabelError(f"{called} has {what} without three corners; fix or remove it.")
    height, width = shape
    if (points < -_OUTSIDE).any() or (points > np.array([width, height]) + _OUTSIDE).any():
        raise LabelError(
            f"{called} has {what} that leaves the image of {height} x {width} pixels; fix or remove"
            " it."
        )
    polygon = {"type": "Polygon", "coordinates": [[*points.tolist(), points[0].tolist()]]}
    burnt: NDArray[np.uint8] = rasterize([polygon], shape, dtype="uint8")
    return burnt == 1


def read_json(source: str, program: str) -> Any:
    """Content of a JSON file.

    Args:
        source: Path of the file.
        program: Who writes such files, for error messages.

    Raises:
        SceneError: It isn't there, or is no whole JSON.
    """
    if os.path.isdir(source) or not os.path.exists(source):
        what = "is a folder" if os.path.isdir(source) else "does not exist"
        raise SceneError(f"{printable(source)} {what}; give the JSON file of {program}.")
    try:
        with open(source, encoding="utf-8-sig") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise SceneError(
            f"{printable(source)} can't be read as JSON ({reason_of(error)}); export it again."
        ) from None


def inside(name: str) -> bool:
    """Whether a relative path stays in its folder."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and not os.path.isabs(name) and ".." not in parts and "\0" not in name

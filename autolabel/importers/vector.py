"""The kind `vector`: scenes, and shapes in a GeoPackage, GeoJSON or Shapefile burnt onto them.

Polygons label the pixels whose centres they cover; lines and points label the pixels that they
touch, for sparse labels. Pixels outside of all shapes are `imports.background`, by default unknown.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from autolabel.importers.coding import background
from autolabel.importers.importer import Importer, Sample
from autolabel.importers.rasters import describe_raster
from autolabel.importers.regions import label_of_value
from polynya.errors import LabelError, SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.recipe.base import STEM
from polynya.recipe.imports import VectorOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import beside
from polynya.scenes.beside.shapes import read_shapes, shapes_in
from polynya.scenes.finding import find_scenes
from polynya.scenes.scene import Scene


def _find(source: str, recipe: Recipe) -> list[Sample]:
    options = recipe.imports
    assert isinstance(options, VectorOptions)
    samples = []
    for ref in find_scenes([source], recipe.companions):
        labels = os.path.abspath(options.labels)
        if STEM in options.labels:
            labels = beside(ref.uri, options.labels)
        problem = ""
        # A scene that isn't there says so when it is opened.
        if os.path.isfile(ref.uri) and not os.path.isfile(labels):
            problem = (
                f"{printable(ref.uri)} has no labels {printable(labels)}; put them there or fix"
                " imports.labels in the recipe."
            )
        samples.append(Sample(ref.id, ref.uri, (labels,), problem=problem))
    return samples


def _describe(sample: Sample, recipe: Recipe) -> Scene:
    scene = describe_raster(sample, recipe)
    if not scene.has_place:
        raise SceneError(
            f"{printable(sample.uri)} has no place on the ground to which the shapes in"
            f" {printable(sample.labels[0])} could be brought; add one (gdal_edit.py -a_srs"
            " -a_ullr)."
        )
    return scene


def _read_labels(
    sample: Sample, scene: Scene, recipe: Recipe, window: Tile | None
) -> NDArray[np.uint8]:
    options = recipe.imports
    assert isinstance(options, VectorOptions)
    called = f"The labels {printable(sample.labels[0])}"
    found = read_shapes(sample.labels[0], called, scene, options.column)
    tile = window or Tile(0, 0, scene.height, scene.width)
    transform = Affine(*(scene.tile_transform(tile) or ()))
    shape = (tile.height, tile.width)
    near = shapes_in([one for one, _ in found], transform, *shape)
    here = [pair for pair, is_near in zip(found, near, strict=True) if is_near]
    what = f"in the attribute '{options.column}'"
    labelled = [(one, label_of_value(value, recipe, called, what)) for one, value in here]
    if recipe.classes.has_masks:
        return _masks(labelled, shape, transform, recipe)
    if options.overlap == "refuse":
        _check_overlaps(labelled, shape, transform, called, tile)
    elif options.overlap == "first":
        labelled.reverse()
    elif options.overlap == "smallest":
        labelled.sort(key=lambda pair: -pair[0].area)
    return _burn(labelled, shape, transform, background(recipe))


def _burn(
    shapes: Sequence[tuple[Any, int]], size: tuple[int, int], transform: Affine, fill: int
) -> NDArray[np.uint8]:
    """Labels (H, W) of shapes; a later shape covers an earlier one."""
    if not shapes:
        return np.full(size, fill, np.uint8)
    burnt: NDArray[np.uint8] = rasterize(
        shapes, size, fill=fill, transform=transform, dtype="uint8"
    )
    return burnt


def _masks(
    shapes: Sequence[tuple[Any, int]], size: tuple[int, int], transform: Affine, recipe: Recipe
) -> NDArray[np.uint8]:
    """Labels (H, W) in which all shapes count; nodata counts more than masks."""
    labels, nodata = np.full(size, background(recipe), np.uint8), recipe.classes.nodata
    for label in sorted({label for _, label in shapes}, key=lambda label: label == nodata):
        covered = _burn([(s, 1) for s, own in shapes if own == label], size, transform, 0) == 1
        labels[covered] = nodata if label == nodata else labels[covered] | label
    return labels


def _check_overlaps(
    shapes: Sequence[tuple[Any, int]],
    size: tuple[int, int],
    transform: Affine,
    called: str,
    tile: Tile,
) -> None:
    """Raise LabelError if shapes of different classes cover one pixel."""
    covering = np.zeros(size, np.uint8)
    for label in {label for _, label in shapes}:
        covering += _burn([(s, 1) for s, own in shapes if own == label], size, transform, 0)
    if (covering > 1).any():
        row, col = np.argwhere(covering > 1)[0]
        raise LabelError(
            f"{called} has shapes of different classes at row {row + tile.row}, column"
            f" {col + tile.col} (0-based); say which one counts in the recipe's key"
            " 'imports.overlap': last, first or smallest."
        )


IMPORTER = Importer(
    name="vector",
    about="shapes in a GeoPackage, GeoJSON or Shapefile, burnt onto scenes",
    find=_find,
    read_labels=_read_labels,
    describe=_describe,
)

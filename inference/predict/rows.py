"""Reads the rows of a scene, from top to bottom, as a model saw them in training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autolabel.filters.registry import find_filter, light_steps, needs_whole, uses_layers
from autolabel.scene_tiles import filter_scene
from inference.predict.windows import Image, Mask, ReadRows
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import COLORS
from polynya.scenes.band_set import read_inputs
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import BandSet, Scene

_ROWS_PER_READ = 1024
"""Rows per read. Files have blocks of up to about this many rows; shorter reads would decode the
same block repeatedly."""


def row_reader(scene: Scene, recipe: Recipe, first: int = 0) -> ReadRows:
    """Make a reader of the rows of a scene.

    It filters the rows if the model learnt from filtered images or if the recipe names a filter.

    Colours are uint8, 0 where nodata; bands that the recipe names are float32 values, NaN where
    missing.

    Memory depends on the scene's width, except for the published filter of whole scenes, which
    needs all pixels at once. The illumination filter first reads the whole scene once. Its rows are
    equal, to the last bit, to the rows of a scene that is filtered as a whole.

    Args:
        scene: Scene from `polynya.scenes.reading.open_scene`.
        recipe: Recipe of the model.
        first: First row to read.
    """
    recipe = _with_filter(recipe)
    step = _block_rows(recipe)
    start = 0 if sees_whole(recipe) else max(first, 0) // step * step
    return _Rows(scene, _blocks(scene, recipe, start), start)


def _with_filter(recipe: Recipe) -> Recipe:
    """Change the recipe as if the model had learnt from images of the filter in use."""
    if recipe.inference.filter == "as-trained":
        return recipe
    changes = {
        "images": "filtered",
        "method": recipe.inference.filter,
        "scope": "scene",
        "raster": None,
    }
    return recipe.model_copy(update={"label": recipe.label.model_copy(update=changes)})


class _Rows:
    """Rows in order, cut from larger blocks."""

    def __init__(self, scene: Scene, blocks: Iterator[tuple[Image, Mask]], start: int) -> None:
        self._blocks = blocks
        self._start = start
        self._image = _no_rows(scene)
        self._valid = np.zeros((0, scene.width), np.bool_)

    def __call__(self, start: int, stop: int) -> tuple[Image, Mask]:
        self._drop(start - self._start)
        while self._start + len(self._valid) < stop:
            image, valid = next(self._blocks)
            self._image = np.concatenate([self._image, image])
            self._valid = np.concatenate([self._valid, valid])
            self._drop(start - self._start)
        rows = self._image[: stop - start], self._valid[: stop - start]
        self._drop(stop - start)
        return rows

    def _drop(self, count: int) -> None:
        count = min(count, len(self._valid))
        self._image, self._valid = self._image[count:], self._valid[count:]
        self._start += count


def _no_rows(scene: Scene) -> Image:
    """Array (0, W, bands) of the type in which rows are read."""
    if scene.inputs is None:
        return np.zeros((0, scene.width, len(COLORS)), np.uint8)
    return np.zeros((0, scene.width, len(scene.inputs.bands)), np.float32)


def sees_whole(recipe: Recipe) -> bool:
    """Whether a model needs a filter that works on all pixels of a scene at once."""
    return recipe.label.images == "filtered" and needs_whole(recipe.label)


def _block_rows(recipe: Recipe) -> int:
    """Rows per read: whole tiles, for filters that work on each tile alone."""
    return -(-_ROWS_PER_READ // recipe.tiles.size) * recipe.tiles.size


def _blocks(scene: Scene, recipe: Recipe, start: int) -> Iterator[tuple[Image, Mask]]:
    """Read a scene from a row on, in blocks."""
    if scene.inputs is not None:
        yield from _band_blocks(scene, scene.inputs, _block_rows(recipe), start)
        return
    label = recipe.label
    filtered = label.images == "filtered" and find_filter(label.method).changes_images
    steps = light_steps(label) if filtered else None
    whole_sky = None if steps is None else steps.find(scene, recipe)
    step = scene.height if sees_whole(recipe) else _block_rows(recipe)
    for row in range(start, scene.height, step):
        window = Tile(row, 0, min(step, scene.height - row), scene.width)
        image, valid = read_scene(scene, window)
        if filtered:
            layers = read_layers(scene, window) if uses_layers(label) else None
            sky = None
            if steps is not None:
                sky = steps.over_rows(whole_sky, row, image, layers, recipe.scene.stretch)
            image = filter_scene(image, valid, recipe, layers, sky)
        yield image, valid


def _band_blocks(
    scene: Scene, band_set: BandSet, step: int, start: int
) -> Iterator[tuple[Image, Mask]]:
    """Read values of named bands, NaN where missing; a pixel is valid if any band has a value."""
    for row in range(start, scene.height, step):
        window = Tile(row, 0, min(step, scene.height - row), scene.width)
        pixels = read_inputs(scene, window)
        yield band_set.values(pixels.numbers, pixels.valid), pixels.seen

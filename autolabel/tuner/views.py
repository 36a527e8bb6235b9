"""What the page shows of a scene: its pixels, filtered pixels, shadow gain and haze opacity."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Light
from autolabel.filters.registry import find_filter
from autolabel.thresholds.profiles import get_profile
from autolabel.tuner.pyramid import Pixels, Pyramid, every
from polynya.grid import Tile
from polynya.rasters.opening import opened_raster
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import read_scene
from polynya.scenes.scene import Scene, SceneLayers

ORIGINAL, FILTERED, GAIN, HAZE = "original", "filtered", "gain", "haze"
"""Names of views."""

_STRIP_ROWS = 256
_STRIPS = 12
"""Rows of a filtered strip, and how many strips are kept; one of a Sentinel-2 tile has 17 MB."""
_SMALL = 2**22
"""Pixels of a scene that is read whole in a moment."""


def original_view(scene: Scene) -> Pyramid:
    """Return the pixels of a scene as thresholds see them without a filter.

    Raises:
        SceneError: The scene can't be opened.
    """

    def read(part: Tile, step: int) -> Pixels:
        image, valid = read_scene(scene, part, step=step)
        return _with_valid(image, valid)

    is_small = scene.height * scene.width <= _SMALL
    return Pyramid(scene.height, scene.width, read, is_fast=is_small or _has_overviews(scene))


def _has_overviews(scene: Scene) -> bool:
    """Whether the file has overviews down to about a thousand pixels."""
    with opened_raster(scene.uri, scene.references) as source:
        factors = source.overviews(scene.band_indexes[0])
    return bool(factors) and max(scene.height, scene.width) / max(factors) <= 2048


class FilteredViews:
    """A scene after its filter, and what the filter has found over it."""

    def __init__(self, scene: Scene, recipe: Recipe) -> None:
        """Filter a scene; of a large scene this takes a while.

        Args:
            scene: The scene.
            recipe: Filter (`label.method`), thresholds that the filter starts from, and classes.

        Raises:
            RecipeError: The filter can't use the thresholds.
            SceneError: The scene can't be read.
        """
        self._scene, self._recipe = scene, recipe
        self._filter = find_filter(recipe.label.method)
        self._profile = get_profile(recipe.label.profile)
        self._filter.check_profile(self._profile, recipe.classes)
        self._strips: OrderedDict[int, dict[str, Pixels]] = OrderedDict()
        self._lock = Lock()
        self._light: Light | None = None
        self._whole: Pixels | None = None
        if self._filter.light is not None:
            self._light = self._filter.light.find(scene, recipe)
        elif self._filter.needs_whole:
            self._whole = self._clear(Tile(0, 0, scene.height, scene.width))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the views that there are."""
        return (FILTERED,) if self._light is None else (FILTERED, GAIN, HAZE)

    def pyramid(self, name: str) -> Pyramid:
        """Return one of the views."""

        def read(part: Tile, step: int) -> Pixels:
            if self._whole is not None:
                return every(self._whole[part.slices], step)
            stop, strips = part.row + part.height, []
            for first in range(part.row - part.row % _STRIP_ROWS, stop, _STRIP_ROWS):
                strip = self._strip(first)[name]
                rows = slice(max(part.row - first, 0), min(stop - first, len(strip)))
                strips.append(strip[rows, part.col : part.col + part.width])
            return every(np.concatenate(strips), step)

        is_small = self._scene.height * self._scene.width <= _SMALL
        return Pyramid(self._scene.height, self._scene.width, read, is_fast=is_small)

    def _strip(self, first: int) -> dict[str, Pixels]:
        with self._lock:
            if first in self._strips:
                self._strips.move_to_end(first)
                return self._strips[first]
            rows = min(_STRIP_ROWS, self._scene.height - first)
            found = self._filtered(Tile(first, 0, rows, self._scene.width))
            self._strips[first] = found
            while len(self._strips) > _STRIPS:
                self._strips.popitem(last=False)
            return found

    def _filtered(self, part: Tile) -> dict[str, Pixels]:
        steps = self._filter.light
        if steps is None or self._light is None:
            return {FILTERED: self._clear(part)}
        stretch = self._recipe.scene.stretch
        image, valid = read_scene(self._scene, part)
        layers = self._layers(part)
        light = steps.over_rows(self._light, part.row, image, layers, stretch)
        labelled = steps.label(
            image, valid, self._profile, self._recipe.classes, layers, stretch, True, light
        )
        assert labelled.filtered is not None  # It was asked for.
        return {
            FILTERED: _with_valid(labelled.filtered, valid),
            GAIN: _as_grey(light.gain(), valid),
            HAZE: _as_grey(light.haze(), valid),
        }

    def _clear(self, part: Tile) -> Pixels:
        image, valid = read_scene(self._scene, part)
        stretch = self._recipe.scene.stretch
        return _with_valid(self._filter.clear(image, valid, self._layers(part), stretch), valid)

    def _layers(self, part: Tile) -> SceneLayers | None:
        return read_layers(self._scene, part) if self._filter.layers else None


def _with_valid(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Pixels:
    pixels = np.empty((*valid.shape, 4), np.uint8)
    pixels[..., :3] = image
    pixels[..., 3] = np.where(valid, 255, 0)
    return pixels


def _as_grey(field: NDArray[Any], valid: NDArray[np.bool_]) -> Pixels:
    """Show a field, 0..1, as grey 0..255."""
    grey = np.rint(255.0 * field).astype(np.uint8)
    return _with_valid(np.repeat(grey[..., None], 3, axis=2), valid)

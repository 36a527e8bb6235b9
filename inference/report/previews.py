"""Small versions of scenes and their maps, for the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.predict.opening import open_for_model
from inference.products.class_map import read_map
from inference.products.overview import read_preview, reduced
from polynya.errors import SceneError, TruthError
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.scenes.finding import SceneRef
from polynya.scenes.scene import Scene
from polynya.scenes.truth import read_truth, truth_path

RIGHT, WRONG, UNKNOWN = 0, 1, 255
"""Codes of the layer of errors."""
_THUMB = 132
"""Longest side of a thumbnail in pixels."""


@dataclass(frozen=True)
class MapSource:
    """A map, and what is known of its scene."""

    name: str
    map: Path
    scene: str
    """File or URI of the scene; empty if the item doesn't name it."""
    classes: ClassScheme
    recipe: Recipe | None
    """Recipe of the model; None if the run doesn't have it."""


@dataclass(frozen=True)
class Preview:
    """Layers of a scene at a low resolution, all of one size."""

    name: str
    image: NDArray[np.uint8] | None
    """(h, w, 3); None if the scene can't be read."""
    layers: list[tuple[str, NDArray[np.uint8]]] = field(default_factory=list)
    """Title and codes (h, w) of each layer of classes."""
    errors: tuple[str, NDArray[np.uint8]] | None = None
    """What the prediction was compared with, and (h, w) of `RIGHT`, `WRONG` and `UNKNOWN`."""
    notes: list[str] = field(default_factory=list)
    """What is missing, in sentences."""


def read_layers(source: MapSource) -> Preview:
    """Read a map with its scene, the labels by thresholds, the truth and the errors.

    A scene or a truth that can't be read is left out with a note.

    Raises:
        SceneError: The map can't be read.
    """
    codes, nodata = read_map(source.map), source.classes.nodata
    notes: list[str] = []
    image, labels, truth = None, None, None
    try:
        scene = _opened(source)
        if (scene.height, scene.width) != codes.shape:
            raise SceneError(f"{printable(scene.uri)} has another size than its map")
        preview = read_preview(scene, _recipe(source))
        image = preview.image
        # Thresholds of no recipe would be a guess.
        labels = preview.labels if source.recipe is not None else None
        truth = _truth(scene, source.classes, notes)
    except SceneError as error:
        notes.append(f"Without its image: {str(error).rstrip('.')}.")
    layers = [("Prediction", reduced(codes, nodata))]
    if labels is not None:
        layers.insert(0, ("Label by thresholds", labels))
    errors = None
    if truth is not None:
        layers.append(("Truth", reduced(truth, nodata)))
        errors = ("the truth", _errors(codes, truth, nodata))
    elif labels is not None:
        small = layers[-1][1]
        errors = ("the label by thresholds", _errors(small, labels, nodata))
    return Preview(source.name, image, layers, errors, notes)


def _recipe(source: MapSource) -> Recipe:
    # A copy isn't checked: the default loss and thresholds need not fit the classes of a map.
    return source.recipe or Recipe().model_copy(update={"classes": source.classes})


def _opened(source: MapSource) -> Scene:
    if not source.scene:
        raise SceneError("its STAC item names no scene")
    if "://" not in source.scene and not Path(source.scene).is_file():
        raise SceneError(f"{printable(source.scene)} isn't there any more")
    return open_for_model(SceneRef(source.name, source.scene), _recipe(source))


def _truth(scene: Scene, classes: ClassScheme, notes: list[str]) -> NDArray[np.uint8] | None:
    path = truth_path(scene.uri)
    if not path.is_file():
        return None
    try:
        return read_truth(path, scene, classes)
    except TruthError as error:
        notes.append(f"Without its truth: {error}")
        return None


def _errors(codes: NDArray[np.uint8], other: NDArray[np.uint8], nodata: int) -> NDArray[np.uint8]:
    """Most frequent of right, wrong and unknown in each block of pixels."""
    wrong = np.where(codes == other, np.uint8(RIGHT), np.uint8(WRONG))
    wrong[(codes == nodata) | (other == nodata)] = UNKNOWN
    return reduced(wrong, UNKNOWN)


def thumbnail(preview: Preview) -> NDArray[np.uint8] | None:
    """Image of a scene in the size of a thumbnail, uint8 (h, w, 3); None without image."""
    if preview.image is None:
        return None
    height, width = preview.image.shape[:2]
    scale = min(1.0, _THUMB / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(preview.image, size, interpolation=cv2.INTER_AREA), np.uint8)

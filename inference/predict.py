"""A model over a whole scene: the image it was trained on, window by window, to class codes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autolabel.scene_tiles import filter_scene
from inference.windows import Band, Forward, Image, Mask, ReadRows, Windows, blend_bands
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.progress import track
from polynya.recipe import Recipe
from polynya.scenes import Scene, read_layers, read_scene

if TYPE_CHECKING:  # Keras takes seconds to load and isn't needed to look at windows or maps.
    from training.model_folder import TrainedModel

_ROWS_PER_READ = 1024
"""Files come in blocks of up to about this many rows; with fewer, blocks are decoded repeatedly."""


@dataclass(frozen=True)
class Prediction:
    """Classes of a whole scene."""

    codes: NDArray[np.uint8]
    """uint8 (H, W), class codes; the scheme's nodata (255) exactly where the scene has none."""
    probabilities: NDArray[np.float32] | None = None
    """float32 (H, W, C), if asked for."""


def open_model(folder: str | Path) -> TrainedModel:
    """Open a model folder; ModelError if it holds none. Loads Keras, which takes some seconds."""
    # TensorFlow reads it when it is imported, and otherwise talks about CPU features.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.model_folder import load_model

    return load_model(folder)


def predict_scene(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    with_probabilities: bool = False,
    show_progress: bool = False,
) -> Prediction:
    """Classify a scene of any size.

    Args:
        model: From `training.model_folder.load_model`.
        scene: From `polynya.scenes.open_scene`, with the scene options of the model's recipe.

        batch_size: Windows per call of the model; default from the model's recipe.
        overlap: Share that neighbouring windows have in common; default from the recipe.

        with_probabilities: Keep the blended probabilities too (4 bytes a pixel and class).
        show_progress: Show how many rows of windows are done.

    Raises:
        SceneError: The scene can't be read, or has no valid pixel.
    """
    nodata = model.recipe.classes.nodata
    codes, probabilities = [], []
    for band in predict_bands(
        model, scene, batch_size=batch_size, overlap=overlap, show_progress=show_progress
    ):
        codes.append(band.codes(nodata))
        if with_probabilities:
            probabilities.append(band.probabilities)
    prediction = Prediction(
        np.concatenate(codes), np.concatenate(probabilities) if with_probabilities else None
    )
    if (prediction.codes == nodata).all():
        raise SceneError(f"{scene.uri} has no valid pixel, all of it is nodata; leave it out.")
    return prediction


def predict_bands(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    show_progress: bool = False,
) -> Iterator[Band]:
    """Classify a scene band by band, from the top; arguments as for `predict_scene`.

    Memory depends on the width of the scene only, except where the model wants filtered images: the
    filter looks at the whole scene.
    """
    recipe = model.recipe
    windows = scene_windows(model, batch_size, overlap)
    return iter(
        track(
            blend_bands(
                _row_reader(scene, recipe),
                _forward(model),
                height=scene.height,
                width=scene.width,
                n_classes=recipe.classes.n_classes,
                windows=windows,
            ),
            f"Predicting {scene.id}",
            total=len(windows.starts(scene.height)),
            enabled=show_progress,
        )
    )


def scene_windows(
    model: TrainedModel, batch_size: int | None = None, overlap: float | None = None
) -> Windows:
    """The recipe's windows; None takes its value."""
    options = model.recipe.inference
    return Windows(
        size=options.window or model.recipe.tiles.size,
        overlap=options.overlap if overlap is None else overlap,
        batch_size=options.batch_size if batch_size is None else batch_size,
    )


def _forward(model: TrainedModel) -> Forward:
    keras_model = model.keras_model
    # XLA compiles for every shape of batch anew and, on CPU, gives slower convolutions.
    keras_model.jit_compile = False

    def forward(images: Image) -> NDArray[np.float32]:
        return np.asarray(keras_model.predict_on_batch(images), np.float32)

    return forward


def _row_reader(scene: Scene, recipe: Recipe) -> ReadRows:
    if recipe.label.images == "original" or recipe.label.method == "none":
        return _RowsOfFile(scene)
    image, valid = read_scene(scene)
    filtered = filter_scene(image, valid, recipe, read_layers(scene))
    return lambda start, stop: (filtered[start:stop], valid[start:stop])


class _RowsOfFile:
    """Rows of a scene in order, read from its file in larger pieces."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._next = 0
        self._image = np.zeros((0, scene.width, 3), np.uint8)
        self._valid = np.zeros((0, scene.width), np.bool_)

    def __call__(self, start: int, stop: int) -> tuple[Image, Mask]:
        while self._next < stop:
            height = min(_ROWS_PER_READ, self._scene.height - self._next)
            image, valid = read_scene(self._scene, Tile(self._next, 0, height, self._scene.width))
            self._image = np.concatenate([self._image, image])
            self._valid = np.concatenate([self._valid, valid])
            self._next += height
        count = stop - start
        rows = self._image[:count], self._valid[:count]
        self._image, self._valid = self._image[count:], self._valid[count:]
        return rows

"""Runs a model on a whole scene, window by window, to get class codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.predict.backends import open_forward
from inference.predict.decision import Decision, decided, read_decision, tidy_labels
from inference.predict.otsu import OtsuLabels
from inference.predict.prefetch import ahead
from inference.predict.resize import Size, in_scene_size, in_size, read_resized
from inference.predict.rows import row_reader
from inference.predict.windows import (
    BAND_ROWS,
    Axis,
    Band,
    Forward,
    Image,
    Probabilities,
    Windows,
    blend_bands,
    fitted,
)
from polynya.progress import track
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene
from polynya.scenes.xarrays import to_xarray

if TYPE_CHECKING:  # Keras takes seconds to load, and windows and maps don't need it.
    import xarray

    from training.model_folder.folder import TrainedModel


@dataclass(frozen=True)
class Prediction:
    """Classes of a whole scene."""

    codes: NDArray[np.uint8]
    """uint8 (H, W), class codes, or one bit per mask (`ClassScheme`); the scheme's nodata (255)
    exactly where the scene has no data."""
    scene: Scene
    """The classified scene."""
    classes: ClassScheme
    """Scheme of the codes."""
    probabilities: NDArray[np.float32] | None = None
    """float32 (H, W, C), if asked for."""
    thresholds: tuple[float, ...] = ()
    """By Otsu's method, of each of `inference.predict.otsu.thresholded`, if they decided."""

    def to_xarray(self) -> xarray.DataArray:
        """Convert to class codes or masks with coordinates, CRS and names; see `to_xarray`."""
        return to_xarray(self.codes, self.scene, classes=self.classes)


def open_model(folder: str | Path) -> TrainedModel:
    """Open a model folder; ModelError if it holds no model. Loads Keras, which takes seconds."""
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.model_folder.folder import load_model

    return load_model(folder)


def predict_scene(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    decision: Decision | None = None,
    with_probabilities: bool = False,
    show_progress: bool = False,
    on_band: Callable[[Band], None] | None = None,
    bands: Iterable[Band] | None = None,
) -> Prediction:
    """Classify a scene of any size.

    Args:
        model: Model from `training.model_folder.folder.load_model`.
        scene: Scene from `polynya.scenes.reading.open_scene`, with the scene options of the model's
            recipe.

        batch_size: Windows per call of the model; default from the model's recipe.
        overlap: Overlap of neighbouring windows, as a share; default from the recipe.

        decision: Steps from probabilities to labels; default from the model's folder.
        with_probabilities: Also keep the blended probabilities (4 bytes per pixel and class).
        show_progress: Show the number of finished strips.
        on_band: Function that receives every finished strip, from the top.
        bands: Strips that other workers have predicted; by default, predict them now.

    Raises:
        SceneError: The scene can't be read.
        ModelError: The decision doesn't fit the classes of the model.
    """
    classes = model.recipe.classes
    decision = decision or read_decision(model.folder, model.recipe)
    decision.check_classes(classes, "The decision")
    codes = np.full((scene.height, scene.width), classes.nodata, np.uint8)
    probabilities = []
    if bands is None:
        bands = predict_bands(
            model,
            scene,
            batch_size=batch_size,
            overlap=overlap,
            decision=decision,
            show_progress=show_progress,
        )
    otsu = OtsuLabels(classes) if decision.threshold == "otsu" else None
    for band in bands:
        if otsu is not None:
            otsu.add(band)
        else:
            codes[band.row : band.row + len(band.valid)] = decision.labels(band, classes)
        if on_band is not None:
            on_band(band)
        if with_probabilities:
            probabilities.append(band.probabilities)
    thresholds: tuple[float, ...] = ()
    if otsu is not None:
        thresholds = otsu.thresholds()
        for row, labels in otsu.labels(thresholds):
            codes[row : row + len(labels)] = labels
    return Prediction(
        tidy_labels(codes, decision, classes),
        scene,
        classes,
        np.concatenate(probabilities) if with_probabilities else None,
        thresholds,
    )


def predict_bands(
    model: TrainedModel,
    scene: Scene,
    *,
    batch_size: int | None = None,
    overlap: float | None = None,
    decision: Decision | None = None,
    part: range | None = None,
    show_progress: bool = False,
) -> Iterator[Band]:
    """Classify a scene in strips of rows, from the top.

    Memory depends only on the width of the scene, unless the model needs images that the published
    filter makes from whole scenes, or scenes of one size (`inference.size`).
    Reading, the model and the caller's work on the strips run in parallel.

    Args:
        model: See `predict_scene`.
        scene: See `predict_scene`.
        batch_size: See `predict_scene`.
        overlap: See `predict_scene`.
        decision: Decision with test-time augmentation and smoothing.
        part: Numbers of the strips to predict, in `scene_windows(...).spans()`; default all. Scenes
            that the model sees in one size have no parts.
        show_progress: Show the number of finished strips.
    """
    recipe = model.recipe
    decision = decision or read_decision(model.folder, recipe)
    windows = scene_windows(model, scene, batch_size, overlap)
    spans = windows.spans()
    wanted = part if part is not None else range(len(spans))
    count = sum(-(-(end - start) // BAND_ROWS) for start, end in spans[wanted.start : wanted.stop])
    size, resized = recipe.inference.size, None
    if size is None:
        read_rows = row_reader(scene, recipe, spans[wanted.start][0] - windows.rows.size)
    else:
        resized = read_resized(row_reader(scene, recipe), scene.height, size)
        read_rows, part, count = resized.rows, None, -(-scene.height // BAND_ROWS)
    bands = blend_bands(
        read_rows,
        open_decided(model, decision),
        windows,
        n_classes=recipe.classes.n_classes,
        part=part,
    )
    if resized is not None:
        bands = in_scene_size(bands, resized.valid)
    title = f"Predicting {scene.id}"
    return iter(track(ahead(bands), title, total=count, enabled=show_progress))


def scene_windows(
    model: TrainedModel,
    scene: Scene,
    batch_size: int | None = None,
    overlap: float | None = None,
) -> Windows:
    """Find the windows of a scene: as large as the recipe says, or slightly smaller to fit better.

    They are windows of the resized scene if the recipe has `inference.size`. If it has
    `inference.slice`, they are pieces of exactly this edge, which are resized for the model.

    Args:
        model: Model; its recipe has the defaults. A model with a fixed size decides the size.
        scene: Scene to cut into windows.
        batch_size: Windows per call of the model.
        overlap: Overlap of neighbouring windows, as a share.
    """
    recipe, options = model.recipe, model.recipe.inference
    multiple = recipe.model.multiple
    largest = largest_window(model)
    height, width = options.size or (scene.height, scene.width)
    batch = options.batch_size if batch_size is None else batch_size
    share = options.overlap if overlap is None else overlap
    if options.slice:
        rows, columns = (Axis(n, options.slice, share, options.blend) for n in (height, width))
        return Windows(rows, columns, batch)

    def axis(length: int, fixed: int | None) -> Axis:
        if fixed:
            return Axis(length, fixed, share, options.blend)
        return fitted(Axis(length, largest, share, options.blend), multiple)

    _, fixed_height, fixed_width, _ = model.predictor.input_shape
    return Windows(axis(height, fixed_height), axis(width, fixed_width), batch)


def largest_window(model: TrainedModel) -> int:
    """Edge of the largest windows that a model of any size sees: whole cells of its coarsest level.

    Pieces that are resized (`inference.slice`) have exactly the recipe's window; others are at
    least as large as the tiles of the training.
    """
    recipe, options = model.recipe, model.recipe.inference
    edge = options.window if options.slice else max(options.window, recipe.tiles.size)
    return recipe.model.multiple * max(1, round(edge / recipe.model.multiple))


def seen_slice(model: TrainedModel) -> Size | None:
    """Find the size to which pieces of a scene are resized for a model; None if they aren't."""
    options = model.recipe.inference
    if not options.slice:
        return None
    _, height, width, _ = model.predictor.input_shape
    edge = largest_window(model)
    return height or edge, width or edge


def open_decided(model: TrainedModel, decision: Decision) -> Forward:
    """Prepare a model for windows of `scene_windows`, with all that comes before labels."""
    options, has_masks = model.recipe.inference, model.classes.has_masks
    forward = open_forward(model.predictor, options, has_masks)
    size = seen_slice(model)
    return decided(forward if size is None else in_size(forward, size), decision, has_masks)


def open_for_tiles(model: TrainedModel, decision: Decision) -> Forward:
    """Prepare a model for whole tiles (B, H, W, bands): in one piece, or in resized pieces."""
    forward, options = open_decided(model, decision), model.recipe.inference
    edge = options.slice
    if edge is None:
        return forward

    def one(image: Image) -> Probabilities:
        there = image != 0 if image.dtype == np.uint8 else np.isfinite(image)
        valid = np.asarray(there.any(axis=-1))
        rows, columns = (Axis(n, edge, options.overlap, options.blend) for n in valid.shape)
        bands = blend_bands(
            lambda start, stop: (image[start:stop], valid[start:stop]),
            forward,
            Windows(rows, columns, options.batch_size),
            n_classes=model.classes.n_classes,
        )
        return np.concatenate([band.probabilities for band in bands])

    return lambda images: np.stack([one(image) for image in images])

"""Opening a Keras file that may come from anywhere, or have been damaged since it was written.

A file that opens isn't yet a model that can be used: one weight that is no number makes every pixel
class 0, without an error anywhere. So what a model is and what it answers is looked at once, here.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polynya.errors import ModelError
from polynya.recipe.recipe import Recipe
from training.ranks.devices import import_tensorflow

if TYPE_CHECKING:
    import keras

WEIGHTS_MEMBER = "model.weights.h5"

_MOST_EXPANSION = 8
"""Bytes that come out of a file for each byte in it. Keras stores weights as they are; more than
this is a file made to fill a memory."""
_SMALL_BYTES = 2**26
"""Of which any file may become as many as it likes."""
_TRIED_EDGE = 64
"""Pixels at least of the image that a model is tried on."""
_SUM_TOLERANCE = 0.01
"""Of the probabilities of a pixel, from 1."""

_LONGEST_REASON = 300

_PYTHON_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


def open_keras_file(path: Path, recipe: Recipe) -> keras.Model:
    """Open a file in safe mode and make sure that it is a model of this recipe.

    Args:
        path: Of a .keras file.
        recipe: Its classes, and the multiple of pixels that the model needs.

    Returns:
        From images (B, H, W, 3), values 0..255, to probabilities (B, H, W, classes).

    Raises:
        ModelError: Keras can't open it, it has other bands or classes, a weight is not a finite
            number, or what it answers are no probabilities.
    """
    import_tensorflow()
    import keras

    try:
        _check_sizes(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except _errors() as error:
        raise ModelError(
            f"{path} can't be opened as a Keras model ({_reason(error)}); train it again, or"
            " put a copy that is whole in its place."
        ) from None
    _check_shapes(model, path, recipe)
    check_weights(model, str(path))
    _check_answer(model, path, recipe)
    return model


def check_weights(model: keras.Model, source: str) -> None:
    """Raise ModelError unless every weight is a finite number; `source` names the model."""
    for weight in model.weights:
        values = np.asarray(weight.value)
        # bfloat16 and its like are no kinds of NumPy's own.
        if not np.isfinite(values.astype(np.float32, copy=False)).all():
            raise ModelError(
                f"The weight '{weight.path}' in {source} has values that are no finite numbers, so"
                " all that it says would be wrong; train the model again, or put a good copy in"
                " its place."
            )


def _check_sizes(path: Path) -> None:
    """Raise ValueError if much more would come out of a file than is in it."""
    import h5py

    allowed = _SMALL_BYTES + _MOST_EXPANSION * path.stat().st_size
    declared: list[int] = []
    with zipfile.ZipFile(path) as archive:
        declared += [member.file_size for member in archive.infolist()]
        if sum(declared) <= allowed and WEIGHTS_MEMBER in archive.namelist():
            # Arrays in it may be compressed once more.
            with archive.open(WEIGHTS_MEMBER) as file, h5py.File(file) as weights:
                weights.visititems(lambda _, item: declared.append(getattr(item, "nbytes", 0)))
    if sum(declared) > allowed:
        raise ValueError(
            f"{path.stat().st_size} bytes would become {sum(declared)}, as in files made to fill a"
            " memory"
        )


def _check_shapes(model: Any, path: Path, recipe: Recipe) -> None:
    inputs, outputs = getattr(model, "inputs", None) or (), getattr(model, "outputs", None) or ()
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    if len(inputs) != 1 or len(outputs) != 1 or any(len(shape) != 4 for shape in shapes):
        raise ModelError(
            f"The model in {path} isn't one from images to classes of pixels (its inputs and"
            f" outputs are {', '.join(map(str, shapes)) or 'unknown'}); give a model that 'polynya"
            " train' wrote."
        )
    (_, height, width, bands), (*_, channels) = shapes
    names = recipe.scene.seen_bands
    if bands != len(names):
        raise ModelError(
            f"The model in {path} wants images of {bands} bands, but by its recipe scenes are read"
            f" as {len(names)} ({', '.join(names)}); give a model that 'polynya train' wrote."
        )
    if channels != recipe.classes.n_classes:
        raise ModelError(
            f"The model in {path.parent} has {channels} output channels but its recipe"
            f" {recipe.classes.n_classes} classes; restore the recipe.yaml it was trained with."
        )
    if (height is None) != (width is None):
        raise ModelError(
            f"The model in {path} fixes only one side of its images ({height} x {width}); give a"
            " model for images of any size, or of one size."
        )


def _check_answer(model: keras.Model, path: Path, recipe: Recipe) -> None:
    """Ask a model for the classes of one small image that has all grey levels."""
    _, height, width, bands = model.inputs[0].shape
    edge = -(-_TRIED_EDGE // recipe.model.multiple) * recipe.model.multiple
    shape = (1, height or edge, width or edge, bands)
    image = (np.arange(np.prod(shape)) % 256).reshape(shape).astype(np.float32)
    if not recipe.scene.sees_colors:
        image[:, 0] = np.nan  # A model of bands fills what is missing.
    try:
        answer = np.asarray(model(image, training=False), np.float32)
    except _errors() as error:
        raise ModelError(
            f"The model in {path} can't be run on an image of {shape[1]} x {shape[2]} pixels"
            f" ({_reason(error)}); restore the recipe.yaml it was trained with, or train it"
            " again."
        ) from None
    wanted = (*shape[:3], recipe.classes.n_classes)
    if answer.shape != wanted:
        raise ModelError(
            f"The model in {path} makes {answer.shape} of an image of {shape}, but maps need"
            f" {wanted}; give a model that 'polynya train' wrote."
        )
    sums = answer.sum(axis=-1)
    if recipe.classes.has_masks:
        if not (
            np.isfinite(sums).all() and answer.min() >= 0 and answer.max() <= 1 + _SUM_TOLERANCE
        ):
            raise ModelError(
                f"The model in {path} answers with numbers from {answer.min():g} to"
                f" {answer.max():g}, not with probabilities; give a model whose last layer is a"
                " sigmoid with a channel for each mask."
            )
    elif not (np.isfinite(sums).all() and answer.min() >= 0 and _near_one(sums)):
        raise ModelError(
            f"The model in {path} answers with numbers from {answer.min():g} to {answer.max():g}"
            f" whose sums per pixel are {sums.min():g} to {sums.max():g}, not with probabilities;"
            " give a model whose last layer is a softmax over the classes."
        )


def _near_one(sums: Any) -> bool:
    return bool((np.abs(sums - 1.0) <= _SUM_TOLERANCE).all())


def _reason(error: BaseException) -> str:
    """The first line of what Keras or TensorFlow says; more of it is about their own code."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()).rstrip(".")[:_LONGEST_REASON] if lines else repr(error)


def _errors() -> tuple[type[Exception], ...]:
    """What opening and running a damaged file raises; ValueError also for code in a file."""
    import tensorflow as tf

    return (*_PYTHON_ERRORS, tf.errors.OpError)

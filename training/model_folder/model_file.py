"""Opening a Keras file that may come from an unknown source or may be damaged.

A file that opens may still be useless: one weight that is NaN makes every pixel class 0, without
any error. So this module checks the shapes, the weights and one result of a model.
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
"""Greatest ratio of unpacked bytes to bytes of the file. Keras stores weights uncompressed, so a
greater ratio means a file that was made to exhaust memory."""
_SMALL_BYTES = 2**26
"""Unpacked bytes that are always allowed."""
_TRIED_EDGE = 64
"""Least edge in pixels of the image on which a model is tried."""
_SUM_TOLERANCE = 0.01
"""Greatest difference between 1 and the sum of a pixel's probabilities."""

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
        path: Path of a .keras file.
        recipe: Recipe with the classes, and the multiple of pixels that the model needs.

    Returns:
        Model from images (B, H, W, bands) to probabilities (B, H, W, classes).

    Raises:
        ModelError: Keras can't open the file, the model has other bands or classes, a weight is not
            a finite number, or the model's results are not probabilities.
    """
    model = _load(path, "train it again, or put a copy that is whole in its place")
    _check_shapes(model, path, recipe)
    check_weights(model, str(path))
    _check_answer(model, path, recipe)
    return model


def open_keras_network(path: Path) -> keras.Model:
    """Open a network for any use, in safe mode.

    Args:
        path: Path of a .keras file.

    Returns:
        Network from one batch of pictures (B, H, W, channels) to one output (B, ...).

    Raises:
        ModelError: Keras can't open the file, the network has other inputs or outputs, or a weight
            is not a finite number.
    """
    network = _load(path, "save the network again with its method save()")
    inputs: Any = getattr(network, "inputs", None) or ()
    outputs: Any = getattr(network, "outputs", None) or ()
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
        raise ModelError(
            f"The network in {path} doesn't turn one picture into one output; give another."
        )
    check_weights(network, str(path))
    return network


def _load(path: Path, remedy: str) -> Any:
    import_tensorflow()
    import keras

    try:
        check_sizes(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except _errors() as error:
        raise ModelError(
            f"{path} can't be opened as a Keras model ({_reason(error)}); {remedy}."
        ) from None


def check_weights(model: keras.Model, source: str) -> None:
    """Raise ModelError unless every weight is a finite number; `source` names the model."""
    for weight in model.weights:
        values = np.asarray(weight.value)
        # NumPy has no bfloat16 and similar types of its own.
        if not np.isfinite(values.astype(np.float32, copy=False)).all():
            raise ModelError(
                f"The weight '{weight.path}' in {source} has values that are not finite numbers, so"
                " all results would be wrong; train the model again, or put a good copy in its"
                " place."
            )


def check_sizes(path: Path) -> None:
    """Raise ValueError if a Keras file or HDF5 file would expand to far more bytes than it has."""
    import h5py

    allowed = _SMALL_BYTES + _MOST_EXPANSION * path.stat().st_size
    declared: list[int] = []

    def add(_: str, item: Any) -> None:
        declared.append(getattr(item, "nbytes", 0))

    if not zipfile.is_zipfile(path) and h5py.is_hdf5(path):
        with h5py.File(path) as weights:
            weights.visititems(add)
    else:
        with zipfile.ZipFile(path) as archive:
            declared += [member.file_size for member in archive.infolist()]
            if sum(declared) <= allowed and WEIGHTS_MEMBER in archive.namelist():
                # Arrays in the HDF5 file may be compressed again.
                with archive.open(WEIGHTS_MEMBER) as file, h5py.File(file) as weights:
                    weights.visititems(add)
    if sum(declared) > allowed:
        raise ValueError(
            f"{path.stat().st_size} bytes would expand to {sum(declared)} bytes, as in files made"
            " to exhaust memory"
        )


def _check_shapes(model: Any, path: Path, recipe: Recipe) -> None:
    inputs, outputs = getattr(model, "inputs", None) or (), getattr(model, "outputs", None) or ()
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    if len(inputs) != 1 or len(outputs) != 1 or any(len(shape) != 4 for shape in shapes):
        raise ModelError(
            f"The model in {path} doesn't turn images into classes of pixels (its inputs and"
            f" outputs are {', '.join(map(str, shapes)) or 'unknown'}); give a model that 'polynya"
            " train' wrote."
        )
    (_, height, width, bands), (*_, channels) = shapes
    names = recipe.scene.seen_bands
    if bands != len(names):
        raise ModelError(
            f"The model in {path} needs images of {bands} bands, but its recipe reads scenes as"
            f" {len(names)} bands ({', '.join(names)}); give a model that 'polynya train' wrote."
        )
    if channels != recipe.classes.n_classes:
        raise ModelError(
            f"The model in {path.parent} has {channels} output channels but its recipe has"
            f" {recipe.classes.n_classes} classes; restore the recipe.yaml it was trained with."
        )
    if (height is None) != (width is None):
        raise ModelError(
            f"The model in {path} fixes only one side of its images ({height} x {width}); give a"
            " model for images of any size, or of one size."
        )


def _check_answer(model: keras.Model, path: Path, recipe: Recipe) -> None:
    """Try a model on one small image with all grey levels, and check the result."""
    _, height, width, bands = model.inputs[0].shape
    edge = -(-_TRIED_EDGE // recipe.model.multiple) * recipe.model.multiple
    shape = (1, height or edge, width or edge, bands)
    image = (np.arange(np.prod(shape)) % 256).reshape(shape).astype(np.float32)
    if not recipe.scene.sees_colors:
        image[:, 0] = np.nan  # A model of bands must fill missing values.
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
            f"The model in {path} returns an array of {answer.shape} for an image of {shape}, but"
            f" maps need {wanted}; give a model that 'polynya train' wrote."
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
    """First line of an error of Keras or TensorFlow; later lines are about their own code."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()).rstrip(".")[:_LONGEST_REASON] if lines else repr(error)


def _errors() -> tuple[type[Exception], ...]:
    """Errors of opening and running a damaged file; a file with code raises ValueError."""
    import tensorflow as tf

    return (*_PYTHON_ERRORS, tf.errors.OpError)

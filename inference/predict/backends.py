"""Back ends that run a model on windows: Keras, OpenVINO on the CPU, XGBoost for trees."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Forward, Image
from polynya.environment import install_command
from polynya.errors import MissingDependencyError, ModelError
from polynya.recipe.inference import InferenceOptions, Precision
from training.trees.booster import library_version
from training.trees.pixel_model import PixelModel

if TYPE_CHECKING:
    import keras

_FORWARDS: WeakKeyDictionary[Any, dict[tuple[str, str, bool], Forward]] = WeakKeyDictionary()
"""Prepared functions of each Keras model. Preparing takes seconds, and a run may have thousands of
scenes."""

_TOLERANCE = 1e-3
"""Greatest distance of probabilities from 0..1 that rounding may cause."""


def open_forward(
    model: keras.Model | PixelModel, options: InferenceOptions, has_masks: bool = False
) -> Forward:
    """Prepare a model with the back end `options.backend`.

    Args:
        model: Model from images (B, H, W, bands) to probabilities (B, H, W, C).
        options: Back end and precision.
        has_masks: Whether the probabilities are for masks, each in 0..1.

    Returns:
        Function from images to probabilities. It raises ModelError if results are not finite, or,
        for masks, if results are not in 0..1.

    Raises:
        MissingDependencyError: The back end isn't installed.
        ModelError: The back end can't run this kind of model.
    """
    check_backend(options, model)
    made = _FORWARDS.setdefault(model, {})
    key = (options.backend, options.precision, has_masks)
    if key not in made:
        if isinstance(model, PixelModel):
            forward: Forward = model.predict_on_batch
        else:
            open_one = _openvino if options.backend == "openvino" else _keras
            forward = open_one(model, options.precision)
        made[key] = _checked(forward, options, has_masks)
    return made[key]


def _checked(forward: Forward, options: InferenceOptions, has_masks: bool) -> Forward:
    """Add checks of the results: otherwise NaN would silently become class 0 in a map.

    For classes, the largest number decides, so only NaN and infinity are wrong. For masks, a
    threshold decides, so numbers must be probabilities.
    """

    def checked(images: Image) -> NDArray[np.float32]:
        found = forward(images)
        if not np.isfinite(found).all():
            raise ModelError(
                "The model's probabilities are not finite numbers for a window of this scene, with"
                f" the arithmetic {options.precision} of {options.backend}; take float32 as the"
                " recipe's key 'inference.precision', or train the model again."
            )
        if has_masks and not (found.min() >= -_TOLERANCE and found.max() <= 1 + _TOLERANCE):
            raise ModelError(
                f"The model's probabilities of masks are {found.min():g} to {found.max():g} for a"
                f" window of this scene, with the arithmetic {options.precision} of"
                f" {options.backend}, and not 0 to 1; give a model whose last layer is a sigmoid."
            )
        return found

    return checked


def check_backend(options: InferenceOptions, model: keras.Model | PixelModel) -> None:
    """Make sure that a back end is there and runs a model.

    Raises:
        MissingDependencyError: The back end isn't installed.
        ModelError: It can't run this kind of model.
    """
    has_trees = isinstance(model, PixelModel)
    if has_trees != (options.backend == "xgboost") or (
        has_trees and options.precision != "float32"
    ):
        kind, others = ("decision trees", "xgboost") if has_trees else ("a network", "keras")
        raise ModelError(
            f"The model is {'of ' if has_trees else ''}{kind}, which the back end"
            f" {options.backend} with {options.precision} can't run; take '{others}' as --backend"
            " or the recipe's key 'inference.backend', and float32 as 'inference.precision'."
        )
    if options.backend == "openvino" and find_spec("openvino") is None:
        raise MissingDependencyError(
            "OpenVINO is not installed; take 'keras' as --backend or the recipe's key"
            f" 'inference.backend', or install it with: {install_command('openvino')}"
        )


def framework_version(model: keras.Model | PixelModel) -> str:
    """Version of the library that trains and opens this kind of model."""
    if isinstance(model, PixelModel):
        return library_version()
    import keras

    return str(keras.__version__)


def _keras(model: keras.Model, precision: str) -> Forward:
    if precision == "bfloat16":
        model = in_precision(model, "bfloat16")
    # XLA compiles again for every shape of batch and, on CPUs, makes slower convolutions.
    model.jit_compile = False

    def forward(images: Image) -> NDArray[np.float32]:
        return np.asarray(model.predict_on_batch(images), np.float32)

    return forward


def in_precision(model: keras.Model, precision: Precision) -> keras.Model:
    """Copy a model with other arithmetic in all layers except the last; weights stay float32.

    Of an ensemble, the members are copied so, and their weights and sum stay float32.
    """
    policy = {"bfloat16": "mixed_bfloat16", "float32": "float32"}[precision]
    import keras

    last = model.layers[-1].name
    has_members = any(isinstance(layer, keras.Model) for layer in model.layers)

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return in_precision(layer, precision)
        config = layer.get_config()
        # The dtype of an operation, such as of a cast, is a type and no policy.
        is_changed = isinstance(layer, keras.layers.Layer) and not has_members
        if is_changed and layer.name != last and "dtype" in config:
            config["dtype"] = policy
        return type(layer).from_config(config)

    converted = keras.models.clone_model(model, clone_function=convert)
    converted.set_weights(model.get_weights())
    return converted


def _openvino(model: keras.Model, precision: str) -> Forward:
    # OpenVINO's converter would report its use over the network. Without this module it can't.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    import tensorflow as tf

    # OpenVINO would trace the model with inputs in a tuple, and Keras would print a warning.
    image = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(image)
    threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    compiled = openvino.Core().compile_model(
        openvino.convert_model(traced),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
        },
    )

    def forward(images: Image) -> NDArray[np.float32]:
        # A copy, because the next call overwrites the memory of the result.
        return np.array(compiled(images.astype(np.float32))[0], np.float32)

    return forward

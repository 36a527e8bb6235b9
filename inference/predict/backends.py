"""What runs a model over windows: Keras itself, or OpenVINO on the processor."""

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
from polynya.recipe.inference import InferenceOptions

if TYPE_CHECKING:
    import keras

_FORWARDS: WeakKeyDictionary[Any, dict[tuple[str, str, bool], Forward]] = WeakKeyDictionary()
"""Of each Keras model what was made of it: that takes seconds, and scenes come by the thousand."""

_TOLERANCE = 1e-3
"""By how much arithmetic may leave 0..1."""


def open_forward(model: keras.Model, options: InferenceOptions, has_masks: bool = False) -> Forward:
    """What `options.backend` makes of a model.

    Args:
        model: From images (B, H, W, 3), values 0..255, to probabilities (B, H, W, C).
        options: Back end and precision.
        has_masks: Whether the probabilities are those of masks, each in 0..1.

    Raises:
        MissingDependencyError: The back end isn't installed. What is returned raises ModelError
            where the model answers with something else than finite numbers, or of masks with
            something else than probabilities.
    """
    check_backend(options)
    made = _FORWARDS.setdefault(model, {})
    key = (options.backend, options.precision, has_masks)
    if key not in made:
        open_one = _openvino if options.backend == "openvino" else _keras
        made[key] = _checked(open_one(model, options.precision), options, has_masks)
    return made[key]


def _checked(forward: Forward, options: InferenceOptions, has_masks: bool) -> Forward:
    """A model whose answers are numbers: NaN would be class 0 in a map, and nobody would see it.

    The largest of any numbers decides on a class, but a threshold on a mask needs probabilities.
    """

    def checked(images: Image) -> NDArray[np.float32]:
        found = forward(images)
        if not np.isfinite(found).all():
            raise ModelError(
                "The model's probabilities are no finite numbers for a window of this scene, with"
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


def check_backend(options: InferenceOptions) -> None:
    """Raise MissingDependencyError if a back end isn't installed."""
    if options.backend == "openvino" and find_spec("openvino") is None:
        raise MissingDependencyError(
            "OpenVINO is not installed; take 'keras' as --backend or the recipe's key"
            f" 'inference.backend', or install it with: {install_command('openvino')}"
        )


def _keras(model: keras.Model, precision: str) -> Forward:
    if precision == "bfloat16":
        model = in_bfloat16(model)
    # XLA compiles for every shape of batch again and, on CPU, gives slower convolutions.
    model.jit_compile = False

    def forward(images: Image) -> NDArray[np.float32]:
        return np.asarray(model.predict_on_batch(images), np.float32)

    return forward


def in_bfloat16(model: keras.Model) -> keras.Model:
    """The same model with bfloat16 arithmetic in all layers but the last; weights stay float32."""
    import keras

    last = model.layers[-1].name

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer.name != last and "dtype" in config:
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    converted = keras.models.clone_model(model, clone_function=convert)
    converted.set_weights(model.get_weights())
    return converted


def _openvino(model: keras.Model, precision: str) -> Forward:
    # Its converter would report its use over the network; without that module it has a stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    import tensorflow as tf

    # OpenVINO would trace it with its inputs in a tuple, of which Keras warns.
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
        # A copy: the result's memory is used again by the next call.
        return np.array(compiled(images.astype(np.float32))[0], np.float32)

    return forward

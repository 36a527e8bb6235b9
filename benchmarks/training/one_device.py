"""A training step of a Keras model on one device, for each back end of Keras."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Step = Callable[[], Any]
"""Function that starts a step and returns its loss, which may still be computing."""


def crossentropy(model: keras.Model, labels: Any, probabilities: Any) -> Any:
    """Mean cross-entropy over pixels, in float32."""
    chosen = ops.one_hot(labels, int(model.output.shape[-1]))
    of_label = ops.sum(chosen * ops.cast(probabilities, "float32"), axis=-1)
    return -ops.mean(ops.log(ops.maximum(of_label, 1e-7)))


def training_step(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Step:
    """Make a compiled step (forward, backward, Adam) on a batch in the device's memory."""
    steps = {"jax": _jax_step, "tensorflow": _tensorflow_step, "torch": _torch_step}
    return steps[keras.backend.backend()](model, images, labels)


def _jax_step(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Step:
    import jax

    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    fixed = [v.value for v in model.non_trainable_variables]
    x, y = jax.device_put(images), jax.device_put(labels)

    def loss_of(trained: Any, x: Any, y: Any) -> Any:
        probabilities, _ = model.stateless_call(trained, fixed, ops.cast(x, "float32"))
        return crossentropy(model, y, probabilities)

    # Donate the old weights, so that the new weights can take their memory.
    @partial(jax.jit, donate_argnums=(0, 1))
    def update(trained: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(trained, x, y)
        trained, state = optimizer.stateless_apply(state, gradients, trained)
        return loss, trained, state

    trained = [jax.numpy.copy(v.value) for v in model.trainable_variables]
    state = [jax.numpy.copy(v.value) for v in optimizer.variables]

    def step() -> Any:
        nonlocal trained, state
        loss, trained, state = update(trained, state, x, y)
        return loss

    return step


def _tensorflow_step(
    model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> Step:
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    x, y = tf.constant(images), tf.constant(labels)

    @tf.function(jit_compile=bool(tf.config.list_physical_devices("GPU")))
    def step() -> Any:
        with tf.GradientTape() as tape:
            probabilities = model(tf.cast(x, tf.float32), training=True)
            loss = crossentropy(model, y, probabilities)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def _torch_step(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Step:
    import torch

    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    x, y = ops.convert_to_tensor(images), ops.convert_to_tensor(labels)

    def step() -> Any:
        model.zero_grad()
        loss = crossentropy(model, y, model(ops.cast(x, "float32"), training=True))
        loss.backward()
        with torch.no_grad():
            gradients = [v.value.grad for v in model.trainable_weights]
            optimizer.apply(gradients, model.trainable_weights)
        return loss

    return step


def device_name() -> str:
    """Return the back end's name for the device that it uses."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))

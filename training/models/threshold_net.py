"""A network that finds where, under cloud and shadow, the colour thresholds have gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_WATER, _THICK = 30.5 / 255.0, 204.5 / 255.0
STEEPNESS = 60.0

def threshold_net(
    *,
    input_shape=(None, None, 3),
    n_classes=3,
    filters=(32, 48, 64, 96, 128),
    blocks=(1, 1, 2, 2, 2),
    stem=4,
    brightness_filters=16,
    refine=0,
    dtype=None,
    name="threshold_net",
):
    f32 = "float32"

    def block(x, n, prefix):
        y = keras.layers.Conv2D(n, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{prefix}_conv1", dtype=dtype)(x)
        y = keras.layers.Conv2D(n, 3, padding="same", kernel_initializer=keras.initializers.VarianceScaling(0.1), name=f"{prefix}_conv2", dtype=dtype)(y)
        y = keras.layers.Add(name=f"{prefix}_add", dtype=dtype)([x, y])
        return keras.layers.ReLU(name=f"{prefix}_relu", dtype=dtype)(y)

    inputs = keras.Input(shape=input_shape, name="image")
    v = keras.layers.Rescaling(1.0 / 255.0, name="rescale", dtype=f32)(inputs)
    v = ops.max(v, axis=-1, keepdims=True)
    hats = keras.layers.Conv2D(brightness_filters + 1, 1, name="levels", dtype=f32, trainable=False)
    x = ops.relu(1.0 - ops.abs(hats(v)))
    n = brightness_filters
    kernel = np.full(n + 1, n - 1.0)
    kernel[-1] = 255.0
    bias = -np.arange(n + 1.0)
    bias[-1] = 0.0
    hats.set_weights([kernel.reshape(1, 1, 1, -1).astype("float32"), bias.astype("float32")])

    x = keras.layers.Conv2D(filters[0], stem, strides=stem, activation="relu", kernel_initializer="he_normal", name="stem", dtype=dtype)(x)
    skips = []
    for level, n in enumerate(filters):
        if level:
            x = keras.layers.Conv2D(n, 2, strides=2, activation="relu", kernel_initializer="he_normal", name=f"down{level}", dtype=dtype)(x)
        for i in range(blocks[level]):
            x = block(x, n, f"enc{level}_{i}")
        skips.append(x)
    for level in reversed(range(len(filters) - 1)):
        n = filters[level]
        x = keras.layers.Conv2DTranspose(n, 2, strides=2, name=f"up{level}", dtype=dtype)(x)
        x = keras.layers.Add(name=f"skip{level}", dtype=dtype)([x, skips[level]])
        x = block(x, n, f"dec{level}")

    lights = keras.layers.Conv2D(4, 1, kernel_initializer="zeros", name="light", dtype=f32)
    fields = lights(x)
    fields = keras.layers.UpSampling2D(stem, interpolation="bilinear", name="fields", dtype=f32)(fields)
    lights.set_weights([lights.get_weights()[0], np.array([_WATER, 0, np.log(STEEPNESS), np.log(STEEPNESS)], "float32")])
    t1 = fields[..., 0:1]
    t2 = t1 + (_THICK - _WATER) * ops.exp(fields[..., 1:2])
    water = ops.exp(fields[..., 2:3]) * (t1 - v)
    thick = ops.exp(fields[..., 3:4]) * (v - t2)
    logits = ops.concatenate([water, ops.zeros_like(v), thick], axis=-1)
    if refine:
        y = keras.layers.Conv2DTranspose(refine, stem, strides=stem, name="refine_up", dtype=dtype)(x)
        y = keras.layers.Concatenate(name="refine_concat", dtype=dtype)([y, ops.tanh(water / 4), ops.tanh(thick / 4)])
        y = keras.layers.Conv2D(refine, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="refine_conv", dtype=dtype)(y)
        y = keras.layers.Conv2D(3, 1, kernel_initializer="zeros", name="refine_logits", dtype=f32)(y)
        logits = keras.layers.Add(name="logits", dtype=f32)([logits, y])
    outputs = keras.layers.Softmax(name="probabilities", dtype=f32)(logits)
    return keras.Model(inputs, outputs, name=name)

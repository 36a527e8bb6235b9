"""The four U-Nets of the Faster UNet study: one shape, with other widths and depths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from training.models.features import Features
from training.models.parts import Shape, check_arguments, normalised, probabilities, scaled_pixels

_AS_IN_PYTORCH = {"momentum": 0.9, "epsilon": 1e-5}
"""Batch normalisation with PyTorch's defaults, since the study's networks are written in it; its
momentum of 0.1 is 0.9 in Keras' sense."""


def faster_unet(
    *,
    name: str,
    input_shape: Shape,
    n_classes: int,
    filters: Sequence[int],
    convolutions: Sequence[int],
    dropout: float,
    batch_norm: str,
    activation: str = "softmax",
    features: Features | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build a U-Net of padded 3x3 convolutions, each followed by batch normalisation and ReLU.

    2x2 max-pooling leads down, 2x2 transposed convolutions of stride 2 lead up and take the width
    of the level that they reach. The study's figures don't say that convolutions before batch
    normalisation have a bias; its numbers of parameters do.

    Args:
        name: Name of the model.
        input_shape: Height, width and bands; height and width may be None, else they must be
            multiples of 2 ** (levels - 1).
        n_classes: Channels of the output.
        filters: Filters of each level, the bottleneck last.
        convolutions: Number of convolutions of each level, the same in encoder and decoder.
        dropout: Dropout rate before the last layer (the head), with which the study experimented.
        batch_norm: "none", "local", or "synchronised" for the moments of the batches of all ranks.
        activation: "softmax" or "sigmoid".
        features: Function before the first layer; None to scale 0..255 to 0..1.
        dtype: Keras dtype policy of the layers; None for Keras' default.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.
    """
    if len(convolutions) != len(filters):
        raise ValueError(
            "`convolutions` must have as many values as `filters`. "
            f"Received: convolutions={convolutions}, filters={filters}"
        )
    levels = len(filters)
    check_arguments(input_shape, n_classes, activation, 2 ** (levels - 1))
    # PyTorch's initial weights: uniform within 1 / sqrt(inputs of an output).
    initial = keras.initializers.VarianceScaling

    def convolve(x: Any, level: int, prefix: str) -> Any:
        for number in range(1, convolutions[level] + 1):
            x = keras.layers.Conv2D(
                filters[level],
                3,
                padding="same",
                kernel_initializer=initial(1 / 3, "fan_in", "uniform"),
                name=f"{prefix}_conv{number}",
                dtype=dtype,
            )(x)
            if batch_norm != "none":
                x = normalised(x, batch_norm, f"{prefix}_norm{number}", dtype, **_AS_IN_PYTORCH)
            x = keras.layers.ReLU(name=f"{prefix}_relu{number}", dtype=dtype)(x)
        return x

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    x = scaled_pixels(inputs, features, dtype)
    skips = []
    for level in range(levels - 1):
        x = convolve(x, level, f"down{level}")
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"down{level}_pool", dtype=dtype)(x)
    x = convolve(x, levels - 1, "bottom")
    for level in reversed(range(levels - 1)):
        x = keras.layers.Conv2DTranspose(
            filters[level],
            2,
            strides=2,
            kernel_initializer=initial(1 / 3, "fan_in", "uniform"),
            name=f"up{level}_transpose",
            dtype=dtype,
        )(x)
        x = keras.layers.Concatenate(name=f"up{level}_concat", dtype=dtype)([x, skips[level]])
        x = convolve(x, level, f"up{level}")
    if dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout", dtype=dtype)(x)
    return keras.Model(inputs, probabilities(x, n_classes, activation), name=name)

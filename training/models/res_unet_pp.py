"""ResUNet++: residual units with squeeze and excitation, dilated convolutions and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from training.models.blocks import Layers, check_network
from training.models.features import Features
from training.models.parts import Shape

_SQUEEZE = 8


def res_unet_pp(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    filters: Sequence[int] = (16, 32, 64, 128, 256),
    rates: Sequence[int] = (6, 12, 18),
    dropout: float = 0.0,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "res_unet_pp",
) -> keras.Model:
    """Build a ResUNet++.

    The encoder has a stem at full resolution and three residual units of stride 2, each with
    squeeze and excitation. Dilated convolutions are the bridge. In the decoder, attention weighs
    the pixels of each level by what the encoder found, before they are enlarged, joined with the
    encoder's layer and passed through a residual unit. The default filters are those of the
    authors' code.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 8.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        filters: Filters of the four levels and of the bridge.
        rates: Dilation of the convolutions of the bridge and of the last layers.
        dropout: Dropout rate before the last convolution.
        batch_norm: "local" or "synchronised"; with the latter, the trainer uses the moments of all
            ranks.
        features: Function before the first layer (`training.models.features`); None to scale
            0..255 to 0..1.
        dtype: Keras dtype policy of the layers; None for Keras' default.
        name: Name of the model.

    Returns:
        A Keras model of standard layers from images (B, H, W, bands) to probabilities, float32
        (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: D. Jha et al., "ResUNet++: An advanced architecture for medical image segmentation",
    2019.
    """
    check_network(input_shape, n_classes, activation, batch_norm, 8)
    layers = Layers(batch_norm == "synchronised", dtype)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    x = _stem(layers, layers.first(inputs, features), filters[0])
    skips = [x]
    for level in (1, 2, 3):
        x = _unit(layers, x, filters[level], f"encoder_level{level}", strides=2)
        x = layers.squeeze_excite(x, _SQUEEZE, f"encoder_level{level}")
        skips.append(x)
    x = _bridge(layers, x, filters[4], rates, "bridge")
    for level in (2, 1, 0):
        prefix = f"decoder{3 - level}"
        x = _attention(layers, skips[level], x, prefix)
        x = layers.repeat(x, 2, f"{prefix}_up")
        x = layers.concat([x, skips[level]], f"{prefix}_concat")
        x = _unit(layers, x, filters[level + 1], prefix)
    x = _bridge(layers, x, filters[0], rates, "last")
    outputs = layers.head(x, n_classes, 1, activation, dropout=dropout)
    return keras.Model(inputs, outputs, name=name)


def _ready(layers: Layers, x: Any, prefix: str, number: int | str) -> Any:
    """Normalise, ReLU: what comes before a convolution here."""
    return layers.relu(layers.norm(x, f"{prefix}_norm{number}"), f"{prefix}_relu{number}")


def _stem(layers: Layers, x: Any, filters: int) -> Any:
    shortcut = layers.conv(x, filters, 1, "encoder_level0_shortcut_conv", bias=True)
    shortcut = layers.norm(shortcut, "encoder_level0_shortcut_norm")
    x = layers.conv(x, filters, 3, "encoder_level0_conv1", bias=True)
    x = _ready(layers, x, "encoder_level0", 1)
    x = layers.conv(x, filters, 3, "encoder_level0_conv2", bias=True)
    x = layers.add([x, shortcut], "encoder_level0_block")
    return layers.squeeze_excite(x, _SQUEEZE, "encoder_level0")


def _unit(layers: Layers, x: Any, filters: int, prefix: str, strides: int = 1) -> Any:
    """Add a residual unit that normalises before it convolves."""
    shortcut = layers.conv(x, filters, 1, f"{prefix}_shortcut_conv", strides=strides, bias=True)
    shortcut = layers.norm(shortcut, f"{prefix}_shortcut_norm")
    x = _ready(layers, x, prefix, 1)
    x = layers.conv(x, filters, 3, f"{prefix}_conv1", strides=strides, bias=True)
    x = _ready(layers, x, prefix, 2)
    x = layers.conv(x, filters, 3, f"{prefix}_conv2", bias=True)
    return layers.add([x, shortcut], f"{prefix}_block")


def _bridge(layers: Layers, x: Any, filters: int, rates: Sequence[int], prefix: str) -> Any:
    """Add dilated convolutions side by side, their sum and a 1x1 convolution."""
    branches = []
    for number, rate in enumerate((*rates, 1), start=1):
        branch = layers.conv(x, filters, 3, f"{prefix}_conv{number}", dilation=rate, bias=True)
        branches.append(layers.norm(branch, f"{prefix}_norm{number}"))
    x = layers.add(branches, f"{prefix}_add")
    return layers.conv(x, filters, 1, f"{prefix}_join_conv", bias=True)


def _attention(layers: Layers, skip: Any, x: Any, prefix: str) -> Any:
    """Weigh the pixels of the decoder by what the encoder found at twice the resolution."""
    filters = x.shape[-1]
    prefix = f"{prefix}_attention"
    seen = layers.conv(_ready(layers, skip, prefix, 1), filters, 3, f"{prefix}_conv1", bias=True)
    seen = keras.layers.MaxPooling2D(2, name=f"{prefix}_pool", dtype=layers.dtype)(seen)
    own = layers.conv(_ready(layers, x, prefix, 2), filters, 3, f"{prefix}_conv2", bias=True)
    weights = layers.add([seen, own], f"{prefix}_add")
    weights = _ready(layers, weights, prefix, 3)
    weights = layers.conv(weights, filters, 3, f"{prefix}_conv3", bias=True)
    return keras.layers.Multiply(name=f"{prefix}_block", dtype=layers.dtype)([weights, x])

"""LinkNet on an encoder: a light decoder that adds the encoder's layers."""

from __future__ import annotations

from typing import Any

import keras

from training.models.blocks import Layers, check_network
from training.models.encoders import encode
from training.models.features import Features
from training.models.parts import Shape


def linknet(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    encoder: str = "resnet34",
    encoder_width: float = 1.0,
    squeeze_excite: bool = False,
    last_filters: int = 32,
    dropout: float = 0.0,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "linknet",
) -> keras.Model:
    """Build a LinkNet on an encoder.

    Each level of the decoder narrows by 1x1, enlarges by a transposed 4x4 convolution, widens by
    1x1 to the channels of the encoder's layer of that resolution, and adds this layer. Where the
    encoder has no such layer, the number of channels stays as it is.
    Structure and filters are those of segmentation_models.pytorch.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 32.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        encoder: Name of the encoder.
        encoder_width: Factor on the filters of a ResNet or MobileNet.
        squeeze_excite: Weigh the channels of each block of a ResNet.
        last_filters: Filters of the last level.
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

    Source: A. Chaurasia and E. Culurciello, "LinkNet: Exploiting encoder representations for
    efficient semantic segmentation", 2017.
    """
    check_network(input_shape, n_classes, activation, batch_norm, 32)
    layers = Layers(batch_norm == "synchronised", dtype)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    pyramid = encode(
        layers.first(inputs, features),
        layers,
        encoder,
        width=encoder_width,
        squeeze_excite=squeeze_excite,
    )
    x = pyramid[32]
    for level in range(1, 6):
        skip = pyramid.get(2 ** (5 - level))
        filters = last_filters if level == 5 else (x if skip is None else skip).shape[-1]
        x = _level(layers, x, filters, f"decoder{level}")
        if skip is not None:
            x = layers.add([x, skip], f"decoder{level}_add")
    outputs = layers.head(x, n_classes, 1, activation, dropout=dropout)
    return keras.Model(inputs, outputs, name=name)


def _level(layers: Layers, x: Any, filters: int, prefix: str) -> Any:
    """Add one level of the decoder, without its link."""
    narrow = max(x.shape[-1] // 4, 1)
    x = layers.convolve(x, narrow, 1, prefix, 1)
    x = keras.layers.Conv2DTranspose(
        narrow,
        4,
        strides=2,
        padding="same",
        kernel_initializer="he_normal",
        name=f"{prefix}_transpose_conv",
        dtype=layers.dtype,
    )(x)
    x = layers.relu(layers.norm(x, f"{prefix}_transpose_norm"), f"{prefix}_transpose_relu")
    return layers.convolve(x, filters, 1, prefix, 2, last=f"{prefix}_block")

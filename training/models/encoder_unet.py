"""U-Net on an encoder: a decoder of convolutions with links from its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from training.models.blocks import Layers, check_network
from training.models.encoders import encode
from training.models.features import Features
from training.models.parts import Shape


def encoder_unet(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    encoder: str = "resnet34",
    encoder_width: float = 1.0,
    squeeze_excite: bool = False,
    decoder: Sequence[int] = (256, 128, 64, 32, 16),
    dropout: float = 0.0,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "encoder_unet",
) -> keras.Model:
    """Build a U-Net on an encoder.

    Each level of the decoder repeats the pixels below it, joins them with the encoder's layer of
    the same resolution, if there is one, and convolves twice by 3x3. Structure and filters are
    those of segmentation_models.pytorch: ResNet34, 3 bands and 4 masks have 24,436,804 parameters
    that training changes.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 32.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        encoder: Name of the encoder.
        encoder_width: Factor on the filters of a ResNet or MobileNet.
        squeeze_excite: Weigh the channels of each block of a ResNet.
        decoder: Filters of each level of the decoder, the coarsest first.
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

    Source: O. Ronneberger et al., "U-Net: Convolutional networks for biomedical image
    segmentation", MICCAI 2015.
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
    for level, filters in enumerate(decoder, start=1):
        skip = pyramid.get(2 ** (5 - level))
        x = unet_level(layers, x, [] if skip is None else [skip], filters, f"decoder{level}")
    outputs = layers.head(x, n_classes, 3, activation, dropout=dropout)
    return keras.Model(inputs, outputs, name=name)


def unet_level(layers: Layers, x: Any, skips: list[Any], filters: int, prefix: str) -> Any:
    """Add one level of the decoder of a U-Net or UNet++."""
    x = layers.repeat(x, 2, f"{prefix}_up")
    if skips:
        x = layers.concat([x, *skips], f"{prefix}_concat")
    x = layers.convolve(x, filters, 3, prefix, 1)
    return layers.convolve(x, filters, 3, prefix, 2, last=f"{prefix}_block")

"""UNet++ on an encoder: a U-Net with nested, dense links."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from training.models.blocks import Layers, check_network
from training.models.encoder_unet import unet_level
from training.models.encoders import encode
from training.models.features import Features
from training.models.parts import Shape


def unet_pp(
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
    name: str = "unet_pp",
) -> keras.Model:
    """Build a UNet++ on an encoder.

    The link of a level passes through a row of nodes. A node repeats the pixels of the node below
    it, joins them with all nodes before it in its row, and convolves twice by 3x3. Structure and
    filters are those of segmentation_models.pytorch: ResNet34, 3 bands and 5 classes have
    26,079,189 parameters that training changes.

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

    Source: Z. Zhou et al., "UNet++: A nested U-Net architecture for medical image segmentation",
    DLMIA 2018.
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
    # Rows by resolution, each with its nodes from left to right; the first is the encoder's layer.
    rows = [[pyramid[stride]] for stride in (32, 16, 8, 4, 2) if stride in pyramid]
    for column in range(1, len(rows)):
        for row in range(column, len(rows)):
            is_last = row == column
            filters = decoder[row - 1] if is_last else rows[row][0].shape[-1]
            below = rows[row - 1][column - 1]
            node = unet_level(layers, below, rows[row][::-1], filters, f"decoder{row}_{column}")
            rows[row].append(node)
    x = rows[-1][-1]
    for level in range(len(rows), 6):
        x = unet_level(layers, x, [], decoder[level - 1], f"decoder{level}")
    outputs = layers.head(x, n_classes, 3, activation, dropout=dropout)
    return keras.Model(inputs, outputs, name=name)

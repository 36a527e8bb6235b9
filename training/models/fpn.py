"""Feature pyramid network on an encoder."""

from __future__ import annotations

from typing import Any

import keras

from training.models.blocks import Layers, check_network
from training.models.encoders import encode
from training.models.features import Features
from training.models.parts import Shape


def fpn(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    encoder: str = "resnet34",
    encoder_width: float = 1.0,
    squeeze_excite: bool = False,
    pyramid_filters: int = 256,
    filters: int = 128,
    groups: int = 32,
    dropout: float = 0.2,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "fpn",
) -> keras.Model:
    """Build a feature pyramid network on an encoder.

    A path from coarse to fine adds 1x1 convolutions of the encoder's layers from a 32nd to a
    quarter of the resolution. Branches of 3x3 convolutions, group normalisation and bilinear
    enlargement bring all levels to a quarter, where they are added. Structure and filters are
    those of segmentation_models.pytorch.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 32.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        encoder: Name of the encoder.
        encoder_width: Factor on the filters of a ResNet or MobileNet.
        squeeze_excite: Weigh the channels of each block of a ResNet.
        pyramid_filters: Filters of each level of the pyramid.
        filters: Filters of the branches; a multiple of `groups`.
        groups: Groups of the normalisation of the branches.
        dropout: Rate at which whole channels are dropped before the last convolution.
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

    Source: T.-Y. Lin et al., "Feature pyramid networks for object detection", 2017; branches
    after A. Kirillov et al., "Panoptic feature pyramid networks", 2019.
    """
    check_network(input_shape, n_classes, activation, batch_norm, 32)
    layers = Layers(batch_norm == "synchronised", dtype)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    encoded = encode(
        layers.first(inputs, features),
        layers,
        encoder,
        width=encoder_width,
        squeeze_excite=squeeze_excite,
    )
    x, branches = None, []
    for level, stride in enumerate((32, 16, 8, 4)):
        link = layers.conv(encoded[stride], pyramid_filters, 1, f"pyramid{level}_conv", bias=True)
        x = (
            link
            if x is None
            else layers.add(
                [layers.repeat(x, 2, f"pyramid{level}_up"), link], f"pyramid{level}_block"
            )
        )
        branches.append(_branch(layers, x, filters, groups, 3 - level, f"branch{level}"))
    x = layers.add(branches, "branches_add")
    outputs = layers.head(x, n_classes, 1, activation, dropout=dropout, spatial=True, factor=4)
    return keras.Model(inputs, outputs, name=name)


def _branch(layers: Layers, x: Any, filters: int, groups: int, doublings: int, prefix: str) -> Any:
    """Bring one level of the pyramid to a quarter of the resolution."""
    for number in range(1, max(doublings, 1) + 1):
        x = layers.conv(x, filters, 3, f"{prefix}_conv{number}")
        x = keras.layers.GroupNormalization(
            groups, epsilon=1e-5, name=f"{prefix}_norm{number}", dtype=layers.dtype
        )(x)
        x = layers.relu(x, f"{prefix}_relu{number}")
        if doublings:
            x = layers.enlarge(x, 2, f"{prefix}_up{number}")
    return x

"""DeepLabV3: dilated convolutions on an encoder that keeps an eighth of the resolution."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from training.models.blocks import Layers, check_network
from training.models.encoders import encode
from training.models.features import Features
from training.models.parts import Shape


def deeplab_v3(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    encoder: str = "resnet34",
    encoder_width: float = 1.0,
    squeeze_excite: bool = False,
    filters: int = 256,
    rates: Sequence[int] = (12, 24, 36),
    dropout: float = 0.5,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "deeplab_v3",
) -> keras.Model:
    """Build a DeepLabV3 on an encoder.

    The last two stages of the encoder are dilated instead of strided. Branches with several
    dilations and the mean over the image follow, a 3x3 convolution, and bilinear enlargement by 8.
    Structure and filters are those of segmentation_models.pytorch.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 8.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        encoder: Name of the encoder.
        encoder_width: Factor on the filters of a ResNet or MobileNet.
        squeeze_excite: Weigh the channels of each block of a ResNet.
        filters: Filters of each branch.
        rates: Dilation of the branches, in cells of 8 pixels.
        dropout: Dropout rate after the joined branches.
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

    Source: L.-C. Chen et al., "Rethinking atrous convolution for semantic image segmentation",
    2017.
    """
    check_network(input_shape, n_classes, activation, batch_norm, 8)
    layers = Layers(batch_norm == "synchronised", dtype)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    pyramid = encode(
        layers.first(inputs, features),
        layers,
        encoder,
        width=encoder_width,
        squeeze_excite=squeeze_excite,
        output_stride=8,
    )
    x = layers.pyramid_pooling(pyramid[8], filters, rates, separable=False, dropout=dropout)
    x = layers.convolve(x, filters, 3, "decoder", last="decoder_block")
    outputs = layers.head(x, n_classes, 1, activation, factor=8)
    return keras.Model(inputs, outputs, name=name)

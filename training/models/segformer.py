"""SegFormer: a Mix Transformer and a decoder of 1x1 convolutions."""

from __future__ import annotations

import keras

from training.models.blocks import Layers, check_network
from training.models.encoders.mix_transformer import SIZES, mix_transformer
from training.models.features import Features
from training.models.parts import Shape

_DECODER = {"b0": 256, "b1": 256}
_LARGE_DECODER = 768


def segformer(
    *,
    input_shape: Shape,
    n_classes: int,
    activation: str = "softmax",
    size: str = "b0",
    decoder_filters: int | None = None,
    dropout: float = 0.1,
    drop_path: float = 0.1,
    batch_norm: str = "local",
    features: Features | None = None,
    dtype: str | None = None,
    name: str = "segformer",
) -> keras.Model:
    """Build a SegFormer.

    The decoder brings each stage to as many channels by a 1x1 convolution and to a quarter of the
    resolution bilinearly, joins them, and ends with a 1x1 convolution, batch normalisation and
    ReLU.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of 32.
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        size: "b0" to "b5".
        decoder_filters: Filters of the decoder; None for 256 (b0, b1) or 768.
        dropout: Dropout rate before the last convolution.
        drop_path: See `training.models.encoders.mix_transformer`.
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

    Source: E. Xie et al., "SegFormer: Simple and efficient design for semantic segmentation with
    transformers", 2021.
    """
    check_network(input_shape, n_classes, activation, batch_norm, 32)
    if size not in SIZES:
        raise ValueError(f"`size` must be one of {', '.join(SIZES)}. Received: size={size}")
    layers = Layers(batch_norm == "synchronised", dtype)
    filters = decoder_filters or _DECODER.get(size, _LARGE_DECODER)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    pyramid = mix_transformer(layers.first(inputs, features), layers, size, drop_path=drop_path)
    levels = []
    for stride, x in pyramid.items():
        x = layers.conv(x, filters, 1, f"decoder_stride{stride}_conv", bias=True)
        levels.append(layers.enlarge(x, stride // 4, f"decoder_stride{stride}_up"))
    x = layers.concat(levels[::-1], "decoder_concat")
    x = layers.convolve(x, filters, 1, "decoder", last="decoder_block")
    outputs = layers.head(x, n_classes, 1, activation, dropout=dropout, factor=4)
    return keras.Model(inputs, outputs, name=name)

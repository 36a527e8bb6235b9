"""The U-Net of the cloud-structure study."""

from __future__ import annotations

from typing import Any

import keras

from training.models.features import Features
from training.models.parts import Shape, check_arguments, normalised, probabilities, scaled_pixels

_LEVELS = 5


def cloud_unet(
    *,
    input_shape: Shape,
    n_classes: int,
    filters: int,
    dropout: float,
    upsampling: str,
    batch_norm: str,
    activation: str = "softmax",
    features: Features | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the small U-Net that finds cloud structures.

    Five levels of two 3x3 convolutions, each followed by batch normalisation and ReLU, with
    he_normal initial weights; the width doubles downwards. Dropout follows each 2x2 max-pooling and
    each concatenation. With three bands, four masks and 8 filters it has 488,788 parameters,
    487,316 of them trained.

    The study's text says unpadded convolutions. Its printed summary of layers, which this network
    repeats, keeps the size of images, and has neither normalisation nor activation after the 2x2
    convolution that halves the width. Its masks overlap, so its last layer has a sigmoid; a recipe
    with masks sets that.

    Args:
        input_shape: Height, width and bands; height and width may be None, else they must be
            multiples of 16.
        n_classes: Channels of the output.
        filters: Filters of the first level.
        dropout: Dropout rate.
        upsampling: "repeat": repetition of pixels, then a 2x2 convolution. "transpose": a 2x2
            transposed convolution of stride 2, as in the first U-Net; it has as many parameters.
        batch_norm: "local", or "synchronised" for the moments of the batches of all ranks.
        activation: "softmax" or "sigmoid".
        features: Function before the first layer; None to scale 0..255 to 0..1.
        dtype: Keras dtype policy of the layers; None for Keras' default.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: "Classification of cloud structures using semantic image segmentation", group project,
    2021, after O. Ronneberger et al., "U-Net: Convolutional networks for biomedical image
    segmentation", MICCAI 2015.
    """
    check_arguments(input_shape, n_classes, activation, 2 ** (_LEVELS - 1))

    def convolve(x: Any, width: int, name: str) -> Any:
        for number in (1, 2):
            layer = keras.layers.Conv2D(
                width,
                3,
                padding="same",
                kernel_initializer="he_normal",
                name=f"{name}_conv{number}",
                dtype=dtype,
            )
            x = normalised(layer(x), batch_norm, f"{name}_norm{number}", dtype)
            x = keras.layers.ReLU(name=f"{name}_relu{number}", dtype=dtype)(x)
        return x

    def upsample(x: Any, width: int, name: str) -> Any:
        options = {"padding": "same", "kernel_initializer": "he_normal", "dtype": dtype}
        if upsampling == "transpose":
            return keras.layers.Conv2DTranspose(
                width, 2, strides=2, name=f"{name}_transpose", **options
            )(x)
        x = keras.layers.UpSampling2D(2, name=f"{name}_repeat", dtype=dtype)(x)
        return keras.layers.Conv2D(width, 2, name=f"{name}_halve", **options)(x)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    x = scaled_pixels(inputs, features, dtype)
    skips = []
    for level in range(_LEVELS - 1):
        x = convolve(x, filters * 2**level, f"down{level}")
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"down{level}_pool", dtype=dtype)(x)
        x = keras.layers.Dropout(dropout, name=f"down{level}_dropout", dtype=dtype)(x)
    x = convolve(x, filters * 2 ** (_LEVELS - 1), "bottom")
    for level in reversed(range(_LEVELS - 1)):
        x = upsample(x, filters * 2**level, f"up{level}")
        x = keras.layers.Concatenate(name=f"up{level}_concat", dtype=dtype)([x, skips[level]])
        x = keras.layers.Dropout(dropout, name=f"up{level}_dropout", dtype=dtype)(x)
        x = convolve(x, filters * 2**level, f"up{level}")
    return keras.Model(inputs, probabilities(x, n_classes, activation), name="cloud_unet")

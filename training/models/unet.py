"""The U-Net of the sea-ice workflow paper, and smaller variants of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.models.features import Features
from training.models.parts import Shape, check_arguments, normalised, probabilities, scaled_pixels

PAPER_FILTERS = (16, 32, 64, 128, 256, 512)
PAPER_DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in ITU-R BT.601, as in OpenCV."""

DROPOUTS = {"standard": keras.layers.Dropout, "spatial": keras.layers.SpatialDropout2D}

RAMP_SLOPE = 6.0
"""Initial slope of the brightness ramps, per unit of V in 0..1."""


def unet(
    *,
    input_shape: Shape = (256, 256, 3),
    n_classes: int = 3,
    activation: str = "softmax",
    filters: Sequence[int] = PAPER_FILTERS,
    dropout: Sequence[float] = PAPER_DROPOUT,
    dropout_up: Sequence[float] | None = None,
    dropout_type: str = "standard",
    head_dropout: float = 0.0,
    stem: int = 1,
    head_filters: int = 8,
    normalisation: str = "range",
    brightness_filters: int = 0,
    features: Features | None = None,
    batch_norm: str = "none",
    dtype: str | None = None,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net: an encoder, a bottleneck and a decoder with links from the encoder.

    The defaults are the network of the paper: 28 convolutions (with the transposed ones), 7.77 M
    parameters with three bands and three classes. Each level has two 3x3 convolutions with dropout
    between them. 2x2 max-pooling leads down, 2x2 transposed convolutions of stride 2 lead up.

    With a `stem`, the first convolution turns patches of stem x stem pixels into cells, and the
    U-Net works on these cells. A small head brings the features back to pixels and also sees the
    image. The receptive field grows by the factor `stem`, and most of the work at full resolution
    is saved.

    With `brightness_filters`, the network sees V = max(bands) instead of the bands. A 1x1
    convolution turns V into ramps that rise or fall from levels spread over the range of V; the
    ramps are its initial weights. Classes that thresholds define are sharp functions of V. From a
    single input between 0 and 1, a network needs thousands of steps to learn sharp functions.

    The model consists of standard layers only, so any Keras loads it without this package.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of stem * 2 ** (levels - 1).
        n_classes: Channels of the output.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks that may overlap.
        filters: Filters of each level, the bottleneck last.
        dropout: Dropout rate of each level of the encoder, the bottleneck last.
        dropout_up: Dropout rate of each level of the decoder, the finest first; None for that of
            the encoder's.
        dropout_type: "standard" leaves out single values, "spatial" whole channels (J. Tompson et
            al., "Efficient object localization using convolutional networks", 2015).
        head_dropout: Dropout rate before the last layer.
        stem: Patch edge in pixels, 2 or 4; 1 for no stem.
        head_filters: Filters of the head; used only with a stem.
        normalisation: "range": values 0..255 become 0..1. "published": the bands become one grey
            band (ITU-R BT.601) and each of its columns is divided by the Euclidean norm of the
            column, as in the authors' code. Then a pixel's result depends on the whole tile.
        brightness_filters: Number of ramps on brightness; 0 to see the bands.
        features: Function before the first layer (`training.models.features`). It replaces
            `normalisation`, and the model's input is the input of this function.
        batch_norm: "none"; or "local" or "synchronised" for batch normalisation between each
            convolution of a level and its ReLU. These convolutions then have no bias. With
            "synchronised", the trainer uses the moments of all ranks.
        dtype: Keras dtype policy of the layers, such as "mixed_bfloat16"; None for Keras' default.
        name: Name of the model.

    Returns:
        A Keras model from images (B, H, W, bands), values 0..255, to probabilities, float32
        (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Example:
        >>> model = unet(input_shape=(None, None, 3), n_classes=3)
        >>> model(numpy.zeros((1, 256, 256, 3), "uint8")).shape
        (1, 256, 256, 3)

    Source: the sea-ice workflow paper, section III-C, after O. Ronneberger et al., "U-Net:
    Convolutional networks for biomedical image segmentation", MICCAI 2015.
    """
    _check_arguments(input_shape, n_classes, activation, filters, dropout, stem, brightness_filters)
    rates_up = dropout[: len(filters) - 1] if dropout_up is None else dropout_up
    if len(rates_up) != len(filters) - 1:
        raise ValueError(
            "`dropout_up` must have one value less than `filters`. "
            f"Received: dropout_up={dropout_up}, filters={filters}"
        )
    if dropout_type not in DROPOUTS:
        raise ValueError(
            f"`dropout_type` must be one of {sorted(DROPOUTS)}. "
            f"Received: dropout_type={dropout_type}"
        )
    if normalisation not in ("range", "published"):
        raise ValueError(
            "`normalisation` must be 'range' or 'published'. "
            f"Received: normalisation={normalisation}"
        )
    if batch_norm not in ("none", "local", "synchronised"):
        raise ValueError(
            "`batch_norm` must be 'none', 'local' or 'synchronised'. "
            f"Received: batch_norm={batch_norm}"
        )
    levels = len(filters)
    is_normalised = batch_norm != "none"

    def convolve_once(x: Any, level: int, prefix: str, number: int) -> Any:
        x = keras.layers.Conv2D(
            filters[level],
            3,
            activation=None if is_normalised else "relu",
            use_bias=not is_normalised,
            kernel_initializer="he_normal",
            padding="same",
            name=f"{prefix}_conv{number}",
            dtype=dtype,
        )(x)
        if not is_normalised:
            return x
        x = normalised(x, batch_norm, f"{prefix}_norm{number}", dtype)
        return keras.layers.ReLU(name=f"{prefix}_relu{number}", dtype=dtype)(x)

    def drop(x: Any, rate: float, prefix: str) -> Any:
        return DROPOUTS[dropout_type](rate, name=f"{prefix}_dropout", dtype=dtype)(x)

    def convolve(x: Any, level: int, prefix: str, rates: Sequence[float]) -> Any:
        x = convolve_once(x, level, prefix, 1)
        x = drop(x, rates[level], prefix)
        return convolve_once(x, level, prefix, 2)

    def upsample(x: Any, n_filters: int, factor: int, name: str) -> Any:
        return keras.layers.Conv2DTranspose(
            n_filters, factor, strides=factor, padding="same", name=name, dtype=dtype
        )(x)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    # Half precision resolves brightness near a threshold only to one or two grey levels.
    exact = "float32" if brightness_filters else dtype
    pixels = scaled_pixels(inputs, features, exact)
    if normalisation == "published":
        grey = sum(weight * inputs[..., i : i + 1] for i, weight in enumerate(_GREY))
        pixels = keras.layers.UnitNormalization(axis=1, name="columns", dtype="float32")(grey)

    if brightness_filters:
        ramps = keras.layers.Conv2D(
            brightness_filters, 1, activation="relu", name="brightness_ramps", dtype=exact
        )
        pixels = ramps(keras.ops.max(pixels, axis=-1, keepdims=True))
        ramps.set_weights(_ramp_weights(brightness_filters))

    x = pixels
    if stem > 1:
        x = keras.layers.Conv2D(
            filters[0],
            stem,
            strides=stem,
            activation="relu",
            kernel_initializer="he_normal",
            name="stem",
            dtype=dtype,
        )(x)

    skips = []
    for level in range(levels - 1):
        x = convolve(x, level, f"down{level}", dropout)
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"down{level}_pool", dtype=dtype)(x)

    x = convolve(x, levels - 1, "bottom", dropout)

    for level in reversed(range(levels - 1)):
        x = upsample(x, filters[level], 2, f"up{level}_transpose")
        x = keras.layers.Concatenate(name=f"up{level}_concat", dtype=dtype)([x, skips[level]])
        x = convolve(x, level, f"up{level}", rates_up)

    if stem > 1:
        x = upsample(x, head_filters, stem, "head_transpose")
        x = keras.layers.Concatenate(name="head_concat", dtype=dtype)([x, pixels])
        x = keras.layers.Conv2D(
            head_filters,
            3,
            activation="relu",
            kernel_initializer="he_normal",
            padding="same",
            name="head_conv",
            dtype=dtype,
        )(x)

    if head_dropout:
        x = drop(x, head_dropout, "head")
    return keras.Model(inputs, probabilities(x, n_classes, activation), name=name)


def _check_arguments(
    input_shape: Shape,
    n_classes: int,
    activation: str,
    filters: Sequence[int],
    dropout: Sequence[float],
    stem: int,
    brightness_filters: int,
) -> None:
    """Raise ValueError for arguments with which no model can be built."""
    if len(filters) < 2:
        raise ValueError(f"`filters` must have at least 2 levels. Received: filters={filters}")
    if len(dropout) != len(filters):
        raise ValueError(
            "`dropout` must have as many values as `filters`. "
            f"Received: dropout={dropout}, filters={filters}"
        )
    if stem not in (1, 2, 4):
        raise ValueError(f"`stem` must be 1, 2 or 4. Received: stem={stem}")
    if brightness_filters < 0:
        raise ValueError(
            "`brightness_filters` must be at least 0. "
            f"Received: brightness_filters={brightness_filters}"
        )
    check_arguments(input_shape, n_classes, activation, stem * 2 ** (len(filters) - 1))


def _ramp_weights(n_filters: int) -> list[NDArray[np.float32]]:
    """Compute kernel (1, 1, 1, n) and bias (n,) of ramps relu(+-slope (V - level)).

    Half of the ramps rise. The ramps of one direction start at levels of equal distance, so sums of
    ramps make any function of V that is linear between these levels.
    """
    rising = (n_filters + 1) // 2
    falling = n_filters - rising
    levels = np.concatenate(
        [np.arange(rising) / rising, 1.0 - np.arange(falling) / max(falling, 1)]
    )
    sign = np.where(np.arange(n_filters) < rising, 1.0, -1.0)
    slope = RAMP_SLOPE * sign
    kernel = slope.reshape(1, 1, 1, n_filters)
    return [kernel.astype(np.float32), (-slope * levels).astype(np.float32)]

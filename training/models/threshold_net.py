"""A network that finds where cloud and shadow have moved the thresholds between the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.models.arguments import check_arguments

SEA_ICE_THRESHOLDS = (30.5, 204.5)
"""Brightness between open water, thin ice and thick ice, by the paper; where training starts."""

STEEPNESS = 40.0
"""Change of log odds per unit of V in 0..1 at the start: one nat for 6 grey levels."""

SHIFT_SCALE, GAP_SCALE, STEEPNESS_SCALE = 0.2, 0.4, 0.5
"""What one unit of the last layer's output moves: thresholds move by little from step to step."""


def threshold_net(
    *,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    n_classes: int = 3,
    filters: Sequence[int] = (32, 48, 64, 96, 128),
    dropout: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0),
    stem: int = 4,
    head_filters: int = 16,
    brightness_filters: int = 16,
    normalisation: str = "range",
    dtype: str | None = None,
    name: str = "threshold_net",
) -> keras.Model:
    """Thresholds on brightness whose place and steepness a U-Net finds for every pixel.

    Seen through haze of opacity h and in shadow of gain g, ground of brightness R has V = R a + b
    with a = g (1 - h) and b = W h (W: brightness of cloud), both smooth. So a threshold t on R
    becomes a threshold a t + b on V, smooth as well. This model finds those moved thresholds on
    cells of stem x stem pixels, from as wide a context as it has levels, and applies them to every
    pixel: outlines are as sharp as the image, and an untrained model is the thresholds themselves.

    Classes must be in order of brightness, the darkest first. With thresholds t_k and steepness
    s_k > 0 the logit of class c is the sum over k <= c of s_k (V - t_k) (adjacent categories, as
    in ordinal regression), so a brighter pixel never has a darker class where the light is even.

    The model is made of standard layers only, so any Keras loads it without this package.

    Args:
        input_shape: Height, width and bands. Height and width may be None; else they must be
            multiples of stem * 2 ** (levels - 1).
        n_classes: Channels of the output.
        filters: Filters of each level, the bottleneck last.
        dropout: Dropout rate of each level, between the two convolutions of a block.
        stem: Edge in pixels of the cells that have their own thresholds: 2 or 4.
        head_filters: Filters before the thresholds.
        brightness_filters: Levels by which the stem sees brightness, at least 2.
        normalisation: "range": values 0..255 become 0..1; thresholds mean nothing on others.
        dtype: Keras dtype policy of the convolutions, such as "mixed_bfloat16"; default: Keras'
            own. Brightness and thresholds are always float32.
        name: Of the model.

    Returns:
        A Keras model from images (B, H, W, bands), values 0..255, to probabilities, float32
        (B, H, W, n_classes).

    Raises:
        ValueError: An argument that can't be built.

    Source: image model of thin cloud as in O. R. Mitchell et al., "Filtering to remove cloud
    cover in satellite imagery", IEEE Trans. Geoscience Electronics, 1977; residual blocks after
    K. He et al., "Identity mappings in deep residual networks", ECCV 2016.
    """
    check_arguments(
        input_shape,
        n_classes,
        filters,
        dropout,
        stem,
        brightness_filters,
        stems=(2, 4),
        least_brightness_filters=2,
    )
    if normalisation != "range":
        raise ValueError(
            f"`normalisation` must be 'range'. Received: normalisation={normalisation}"
        )
    levels = len(filters)

    def convolve(x: Any, n_filters: int, size: int, name: str, **options: Any) -> Any:
        options = {"activation": "relu", "kernel_initializer": "he_normal", **options}
        return keras.layers.Conv2D(
            n_filters, size, padding="same", name=name, dtype=dtype, **options
        )(x)

    def normalise(x: Any, level: int, name: str) -> Any:
        if level == 0:
            return keras.layers.LayerNormalization(name=name, dtype=dtype)(x)
        # Coarse levels see what differs over the image, and not what is the same all over it: that
        # is the finest level's part. Let them see it too, and it is all that they ever learn.
        return keras.layers.GroupNormalization(
            groups=-1, center=False, scale=False, name=name, dtype="float32"
        )(x)

    def block(x: Any, level: int, prefix: str) -> Any:
        # What runs from block to block is never cut off at zero, and all that works on it sees it
        # at the same scale: else the deep levels, which see the wide context, soon die or drown.
        y = convolve(normalise(x, level, f"{prefix}_norm"), filters[level], 3, f"{prefix}_conv1")
        if dropout[level]:
            y = keras.layers.Dropout(dropout[level], name=f"{prefix}_dropout", dtype=dtype)(y)
        # Small at the start: a block begins as nearly nothing, and a deep stack of them is stable.
        small = keras.initializers.VarianceScaling(0.1)
        y = convolve(
            y, filters[level], 3, f"{prefix}_conv2", activation=None, kernel_initializer=small
        )
        return keras.layers.Add(name=f"{prefix}_add", dtype=dtype)([x, y])

    def field(x: Any, name: str, use_bias: bool = True) -> Any:
        # All zeros at the start: the thresholds are where they are in clear light.
        return keras.layers.Conv2D(
            2 * (n_classes - 1),
            1,
            use_bias=use_bias,
            kernel_initializer="zeros",
            name=name,
            dtype="float32",
        )(x)

    def enlarge(x: Any, factor: int, name: str) -> Any:
        return keras.layers.UpSampling2D(
            factor, interpolation="bilinear", name=name, dtype="float32"
        )(x)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    value = keras.layers.Rescaling(1.0 / 255.0, name="rescale", dtype="float32")(inputs)
    value = ops.max(value, axis=-1, keepdims=True)

    # Brightness by its nearness to levels: sharp functions of it become sums of these.
    nearness = keras.layers.Conv2D(
        brightness_filters + 1, 1, trainable=False, name="brightness_levels", dtype="float32"
    )
    near = ops.relu(1.0 - ops.abs(nearness(value)))
    nearness.set_weights(_level_weights(brightness_filters))
    x = convolve(near, filters[0], stem, "stem", strides=stem)

    # How much of a cell is how bright: what is darkest and brightest in a wide surrounding tells
    # most of its light, and is seen at once instead of through all the finer levels.
    histogram = keras.layers.AveragePooling2D(stem, name="histogram0", dtype=dtype)(near)
    skips = []
    for level in range(levels):
        if level:
            x = normalise(x, level - 1, f"down{level}_norm")
            x = convolve(x, filters[level], 2, f"down{level}", strides=2, activation=None)
            histogram = keras.layers.AveragePooling2D(2, name=f"histogram{level}", dtype=dtype)(
                histogram
            )
            seen = convolve(histogram, filters[level], 1, f"histogram{level}_conv", activation=None)
            x = keras.layers.Add(name=f"histogram{level}_add", dtype=dtype)([x, seen])
        # Where cells are large, work is cheap and context is what is wanted.
        for number in range(1 if level < 2 else 2):
            x = block(x, level, f"down{level}_block{number}")
        skips.append(x)

    # What moves the thresholds is smooth, so it is a sum of fields from coarse to fine: what the
    # bottleneck sees of a whole shadow reaches every pixel of it in one step.
    light = field(normalise(x, levels - 1, "light_bottom_norm"), "light_bottom", use_bias=False)
    for level in reversed(range(levels - 1)):
        x = keras.layers.Conv2DTranspose(
            filters[level], 2, strides=2, padding="same", name=f"up{level}_transpose", dtype=dtype
        )(normalise(x, level + 1, f"up{level}_norm"))
        x = keras.layers.Add(name=f"up{level}_skip", dtype=dtype)([x, skips[level]])
        x = block(x, level, f"up{level}_block")
        if level:
            finer = field(
                normalise(x, level, f"light{level}_norm"), f"light{level}", use_bias=False
            )
        else:
            x = convolve(normalise(x, 0, "head_norm"), head_filters, 3, "head")
            finer = field(x, "light0")
        light = keras.layers.Add(name=f"light{level}_add", dtype="float32")(
            [enlarge(light, 2, f"light{level}_enlarge"), finer]
        )
    light = enlarge(light, stem, "light_enlarge")
    logits = _logits(value, light, _start(n_classes))
    outputs = keras.layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model(inputs, outputs, name=name)


def _logits(value: Any, light: Any, start: Sequence[float]) -> Any:
    """Log odds of the classes (B, H, W, C) from V and the last layer's output (B, H, W, 2 C - 2).

    The first threshold moves freely, the distances between thresholds by factors, so that they
    stay in order.
    """
    count = len(start)
    threshold = start[0] + SHIFT_SCALE * light[..., 0:1]
    logits = [ops.zeros_like(value)]
    for k in range(count):
        if k:
            gap = start[k] - start[k - 1]
            threshold = threshold + gap * ops.exp(GAP_SCALE * light[..., k : k + 1])
        steepness = STEEPNESS * ops.exp(STEEPNESS_SCALE * light[..., count + k : count + k + 1])
        logits.append(logits[-1] + steepness * (value - threshold))
    return ops.concatenate(logits, axis=-1)


def _start(n_classes: int) -> list[float]:
    """Thresholds in clear light, in 0..1: those of sea ice, or for other classes even ones."""
    if n_classes == len(SEA_ICE_THRESHOLDS) + 1:
        return [threshold / 255.0 for threshold in SEA_ICE_THRESHOLDS]
    return [k / n_classes for k in range(1, n_classes)]


def _level_weights(levels: int) -> list[NDArray[np.float32]]:
    """Kernel (1, 1, 1, n + 1) and bias (n + 1,) of distances to levels, in steps between them.

    The levels are spread evenly over 0..1. The last channel is the distance to 0 in grey levels:
    exact zeros are nodata.
    """
    kernel = np.full(levels + 1, levels - 1.0, np.float32)
    bias = -np.arange(levels + 1, dtype=np.float32)
    kernel[-1], bias[-1] = 255.0, 0.0
    return [kernel.reshape(1, 1, 1, -1), bias]

"""The U-Nets of Segmentation Gym: shared blocks, and the two shapes that its families have.

D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
geoscientific imagery", Earth and Space Science 9, 2022; its code is
`doodleverse_utils/model_imports.py`. Where they differ, the networks here are those of the code,
because the published weights and numbers of parameters are. The paper says that transposed
convolutions lead up, pooling leads down, and the last layer has a sigmoid; in the code pixels are
repeated, convolutions have a stride, and the last layer has a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from training.models.features import Features
from training.models.parts import Shape, check_arguments, normalised, probabilities, scaled_pixels

_LEVELS = 4
_FIRST_KERNEL = 2
"""Kernel of the first block of `strided_unet`, which no argument changes in the published code."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of layers with the settings of one network."""

    kernel: int
    """Edge of the kernels."""
    dropout_type: str
    """"standard": single values are dropped; "spatial": whole channels."""
    batch_norm: str
    """"local" or "synchronised"."""
    dtype: str | None

    def dropped(self, x: Any, rate: float, name: str) -> Any:
        """Apply dropout; none at the rate 0."""
        if rate <= 0.0:
            return x
        spatial = self.dropout_type == "spatial"
        layer = keras.layers.SpatialDropout2D if spatial else keras.layers.Dropout
        return layer(rate, name=f"{name}_dropout", dtype=self.dtype)(x)

    def activated(self, x: Any, name: str) -> Any:
        """Apply batch normalisation, then ReLU."""
        x = normalised(x, self.batch_norm, f"{name}_norm", self.dtype)
        return keras.layers.ReLU(name=f"{name}_relu", dtype=self.dtype)(x)

    def convolution(self, filters: int, kernel: int, name: str, **options: Any) -> Any:
        """Make a convolution that keeps height and width, but for its stride."""
        return keras.layers.Conv2D(
            filters, kernel, padding="same", name=name, dtype=self.dtype, **options
        )

    def preactivated(
        self, x: Any, filters: int, rate: float, name: str, *, stride: int = 1, kernel: int = 0
    ) -> Any:
        """Apply dropout, batch normalisation, ReLU and a convolution.

        Args:
            x: Features, float (B, H, W, C).
            filters: Number of filters.
            rate: Dropout rate.
            name: Start of the layers' names.
            stride: Stride of the convolution.
            kernel: Edge of the kernel; 0: `self.kernel`.
        """
        x = self.activated(self.dropped(x, rate, name), name)
        return self.convolution(filters, kernel or self.kernel, f"{name}_conv", strides=stride)(x)

    def shortcut(self, x: Any, filters: int, name: str, stride: int = 1) -> Any:
        """Apply a 1x1 convolution, batch normalisation and ReLU."""
        # Picking pixels first is the same as a stride. TensorFlow 2.21 on processors overwrites
        # memory in the gradient of strided 1x1 convolutions of few channels.
        if stride > 1:
            x = x[:, ::stride, ::stride]
        x = self.convolution(filters, 1, f"{name}_shortcut_conv")(x)
        return self.activated(x, f"{name}_shortcut")

    def joined(self, x: Any, shortcut: Any, name: str) -> Any:
        """Add features and their shortcut."""
        return keras.layers.Add(name=f"{name}_add", dtype=self.dtype)([shortcut, x])

    def upsampled(self, x: Any, skip: Any, factor: int, name: str) -> Any:
        """Repeat pixels, and put the features of the encoder beside them."""
        if factor > 1:
            x = keras.layers.UpSampling2D(factor, name=f"{name}_repeat", dtype=self.dtype)(x)
        return keras.layers.Concatenate(name=f"{name}_concat", dtype=self.dtype)([x, skip])

    def pair(self, x: Any, filters: int, rate: float, name: str) -> Any:
        """Apply twice: a convolution, ReLU and batch normalisation; between them dropout."""
        for number in (1, 2):
            x = self.convolution(
                filters,
                self.kernel,
                f"{name}_conv{number}",
                activation="relu",
                kernel_initializer="he_normal",
                use_bias=False,
            )(x)
            x = normalised(x, self.batch_norm, f"{name}_norm{number}", self.dtype)
            if number == 1:
                x = self.dropped(x, rate, name)
        return x


def strided_unet(
    *,
    residual: bool,
    name: str,
    input_shape: Shape,
    n_classes: int,
    filters: int,
    kernel: int,
    stride: int,
    dropout: float,
    dropout_change: float,
    dropout_type: str,
    dropout_up: bool,
    batch_norm: str,
    activation: str = "softmax",
    features: Features | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the Gym's `unet` or `resunet`: strided convolutions lead down.

    A first block of stride 1 with kernels of 2 x 2; four blocks that double the width, each of
    dropout, batch normalisation, ReLU and a convolution with a stride; two such blocks of stride 1
    (the bottleneck); four times repetition of pixels, the features of the encoder beside them, and
    a block, after which the width halves. The first block of the decoder is as wide as the
    bottleneck.

    The published code always repeats pixels twice, so it works with a stride of 2 only. Here pixels
    are repeated as often as the stride says.

    Args:
        residual: Whether the blocks of encoder and decoder have two convolutions and a shortcut of
            a 1x1 convolution, batch normalisation and ReLU, which is added.
        name: Name of the model.
        input_shape: Height, width and bands; height and width may be None.
        n_classes: Channels of the output.
        filters: Filters of the first block.
        kernel: Edge of the kernels of all blocks but the first.
        stride: Stride of the four blocks that lead down.
        dropout: Dropout rate of the second block; the first block has none.
        dropout_change: Added to the rate after each block of the encoder from the second on, and
            subtracted after each block of the decoder.
        dropout_type: "standard", or "spatial" to drop whole channels.
        dropout_up: Whether the decoder has dropout.
        batch_norm: "local", or "synchronised" for the moments of the batches of all ranks.
        activation: "softmax" or "sigmoid".
        features: Function before the first layer; None to scale 0..255 to 0..1.
        dtype: Keras dtype policy of the layers; None for Keras' default.

    Raises:
        ValueError: No model can be built with an argument.
    """
    check_arguments(input_shape, n_classes, activation, stride**_LEVELS)
    blocks = Blocks(kernel, dropout_type, batch_norm, dtype)

    def block(x: Any, filters: int, rate: float, name: str, stride: int = 1) -> Any:
        if not residual:
            return blocks.preactivated(x, filters, rate, name, stride=stride)
        inner = blocks.preactivated(x, filters, rate, f"{name}_1", stride=stride)
        inner = blocks.preactivated(inner, filters, rate, f"{name}_2")
        return blocks.joined(inner, blocks.shortcut(x, filters, name, stride), name)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    pixels = scaled_pixels(inputs, features, dtype)
    x = blocks.convolution(filters, _FIRST_KERNEL, "down0_conv")(pixels)
    x = blocks.preactivated(x, filters, 0.0, "down0_2", kernel=_FIRST_KERNEL)
    x = blocks.joined(x, blocks.shortcut(pixels, filters, "down0"), "down0")

    skips = []
    for level in range(1, _LEVELS + 1):
        skips.append(x)
        filters, rate = 2 * filters, dropout + (level - 1) * dropout_change
        x = block(x, filters, rate, f"down{level}", stride)
    for number in (1, 2):
        x = blocks.preactivated(x, filters, rate, f"bottom{number}")
    for level in reversed(range(_LEVELS)):
        x = blocks.upsampled(x, skips[level], stride, f"up{level}")
        x = block(x, filters, rate if dropout_up else 0.0, f"up{level}")
        filters, rate = filters // 2, rate - dropout_change
    return keras.Model(inputs, probabilities(x, n_classes, activation), name=name)


def pooled_unet(
    *,
    residual: bool,
    name: str,
    input_shape: Shape,
    n_classes: int,
    filters: int,
    kernel: int,
    dropout: float,
    dropout_change: float,
    dropout_type: str,
    dropout_up: bool,
    batch_norm: str,
    activation: str = "softmax",
    features: Features | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the Gym's `simple_unet` or `simple_resunet`: 2x2 max-pooling leads down.

    Four blocks, each of two convolutions with ReLU and then batch normalisation, dropout between
    them; pooling after each, and the width doubles; one such block as bottleneck; four times
    repetition of pixels, the features of the encoder beside them, and a block of half the width.

    The published code has kernels of 2 x 2 here, and its configuration keys KERNEL and STRIDE don't
    change them.

    Args:
        residual: Whether the blocks of encoder and decoder are such a block twice, to which a
            shortcut of a 1x1 convolution, batch normalisation and ReLU is added. The bottleneck is
            always one plain block.
        name: See `strided_unet`.
        input_shape: See `strided_unet`.
        n_classes: See `strided_unet`.
        filters: See `strided_unet`.
        kernel: Edge of all kernels.
        dropout: Dropout rate of the first block.
        dropout_change: Added to the rate after each block of the encoder, and subtracted before
            each block of the decoder.
        dropout_type: See `strided_unet`.
        dropout_up: See `strided_unet`.
        batch_norm: See `strided_unet`.
        activation: See `strided_unet`.
        features: See `strided_unet`.
        dtype: See `strided_unet`.

    Raises:
        ValueError: No model can be built with an argument.
    """
    check_arguments(input_shape, n_classes, activation, 2**_LEVELS)
    blocks = Blocks(kernel, dropout_type, batch_norm, dtype)

    def block(x: Any, filters: int, rate: float, name: str) -> Any:
        if not residual:
            return blocks.pair(x, filters, rate, name)
        inner = blocks.pair(x, filters, rate, f"{name}_1")
        inner = blocks.pair(inner, filters, rate, f"{name}_2")
        return blocks.joined(inner, blocks.shortcut(x, filters, name), name)

    # === Functional model ===
    inputs = keras.Input(shape=input_shape, name="image")
    x = scaled_pixels(inputs, features, dtype)
    skips = []
    for level in range(_LEVELS):
        x = block(x, filters * 2**level, dropout + level * dropout_change, f"down{level}")
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"down{level}_pool", dtype=dtype)(x)
    x = blocks.pair(x, filters * 2**_LEVELS, dropout + _LEVELS * dropout_change, "bottom")
    for level in reversed(range(_LEVELS)):
        rate = dropout + level * dropout_change if dropout_up else 0.0
        x = blocks.upsampled(x, skips[level], 2, f"up{level}")
        x = block(x, filters * 2**level, rate, f"up{level}")
    return keras.Model(inputs, probabilities(x, n_classes, activation), name=name)

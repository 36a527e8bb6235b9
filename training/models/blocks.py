"""Layers that networks with an encoder share.

They are convolutions with batch normalisation, first and last layers, up-sampling, and pyramids of
dilated convolutions.

All of them are Keras' own layers, so any Keras loads a model without this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from training.models.features import Features
from training.models.parts import Shape, check_arguments, scaled_pixels


@dataclass(frozen=True)
class Layers:
    """Makes the layers of one network.

    Names say what a layer is: `PREFIX_convN`, `PREFIX_normN`, `PREFIX_reluN`, `PREFIX_pool`,
    `PREFIX_up`. The last layer of a block is called `PREFIX_block`.
    """

    synchronised: bool = False
    """Whether batch normalisation uses the moments of all ranks."""
    dtype: str | None = None
    """Keras dtype policy; None for Keras' default."""

    def conv(
        self,
        x: Any,
        filters: int,
        kernel: int,
        name: str,
        *,
        strides: int = 1,
        dilation: int = 1,
        bias: bool = False,
    ) -> Any:
        """Convolve; the output is centred on the input, as with PyTorch's symmetric padding."""
        padding = "same"
        if strides > 1 and kernel == 1:
            # TensorFlow 2.21 on processors overwrites memory in the gradient of strided 1x1
            # convolutions of few channels.
            x, strides = x[:, ::strides, ::strides], 1
        if strides > 1:
            # Keras' "same" would shift the output by half a pixel for even sizes.
            pad = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad", dtype=self.dtype)
            x, padding = pad(x), "valid"
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            dilation_rate=dilation,
            padding=padding,
            use_bias=bias,
            kernel_initializer="he_normal",
            name=name,
            dtype=self.dtype,
        )(x)

    def norm(self, x: Any, name: str) -> Any:
        """Normalise over the batch, with the momentum and epsilon of PyTorch's default."""
        return keras.layers.BatchNormalization(
            momentum=0.9,
            epsilon=1e-5,
            synchronized=self.synchronised,
            name=name,
            dtype=self.dtype,
        )(x)

    def relu(self, x: Any, name: str) -> Any:
        return keras.layers.ReLU(name=name, dtype=self.dtype)(x)

    def add(self, tensors: Sequence[Any], name: str) -> Any:
        return keras.layers.Add(name=name, dtype=self.dtype)(list(tensors))

    def concat(self, tensors: Sequence[Any], name: str) -> Any:
        return keras.layers.Concatenate(name=name, dtype=self.dtype)(list(tensors))

    def convolve(
        self,
        x: Any,
        filters: int,
        kernel: int,
        prefix: str,
        number: int | str = "",
        *,
        strides: int = 1,
        dilation: int = 1,
        last: str | None = None,
    ) -> Any:
        """Convolve without bias, normalise, ReLU; `last` is the name of the ReLU."""
        x = self.conv(
            x, filters, kernel, f"{prefix}_conv{number}", strides=strides, dilation=dilation
        )
        x = self.norm(x, f"{prefix}_norm{number}")
        return self.relu(x, last or f"{prefix}_relu{number}")

    def convolve_separably(
        self, x: Any, filters: int, prefix: str, *, dilation: int = 1, last: str | None = None
    ) -> Any:
        """Convolve each channel by 3x3, then all by 1x1; normalise, ReLU."""
        x = keras.layers.DepthwiseConv2D(
            3,
            padding="same",
            dilation_rate=dilation,
            use_bias=False,
            depthwise_initializer="he_normal",
            name=f"{prefix}_depthwise_conv",
            dtype=self.dtype,
        )(x)
        return self.convolve(x, filters, 1, prefix, last=last)

    def squeeze_excite(self, x: Any, ratio: int, prefix: str) -> Any:
        """Weigh channels by a function of their means over the image (Hu et al. 2018)."""
        filters = x.shape[-1]
        weights = keras.layers.GlobalAveragePooling2D(
            keepdims=True, name=f"{prefix}_squeeze", dtype=self.dtype
        )(x)
        weights = self.conv(
            weights, max(filters // ratio, 1), 1, f"{prefix}_squeeze_conv", bias=True
        )
        weights = self.relu(weights, f"{prefix}_squeeze_relu")
        weights = self.conv(weights, filters, 1, f"{prefix}_excite_conv", bias=True)
        weights = keras.layers.Activation(
            "sigmoid", name=f"{prefix}_excite_sigmoid", dtype=self.dtype
        )(weights)
        return keras.layers.Multiply(name=f"{prefix}_excite", dtype=self.dtype)([x, weights])

    def repeat(self, x: Any, factor: int, name: str) -> Any:
        """Enlarge by repetition (nearest neighbour)."""
        return keras.layers.UpSampling2D(factor, name=name, dtype=self.dtype)(x)

    def enlarge(self, x: Any, factor: int, name: str, dtype: str | None = None) -> Any:
        """Enlarge bilinearly, with the centres of pixels in place, by 1 or an even factor.

        It is the repetition of pixels and two moving means, of `factor` and of 2 pixels. Keras'
        own bilinear up-sampling can't be traced for images of any size.
        """
        if factor == 1:
            return x
        dtype = dtype or self.dtype
        layers = keras.layers
        # The pixels at the border count for those beyond it.
        x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")
        x = layers.UpSampling2D(factor, name=f"{name}_repeat", dtype=dtype)(x)
        x = layers.AveragePooling2D(factor, strides=1, name=f"{name}_mean", dtype=dtype)(x)
        x = layers.AveragePooling2D(2, strides=1, name=f"{name}_centre", dtype=dtype)(x)
        return layers.Cropping2D(factor // 2, name=name, dtype=dtype)(x)

    def first(self, inputs: Any, features: Features | None) -> Any:
        """Compute what the network sees; see `training.models.parts.scaled_pixels`."""
        return scaled_pixels(inputs, features, self.dtype)

    def head(
        self,
        x: Any,
        n_classes: int,
        kernel: int,
        activation: str,
        *,
        dropout: float = 0.0,
        spatial: bool = False,
        factor: int = 1,
    ) -> Any:
        """Compute probabilities, float32: dropout, convolution, enlargement, activation."""
        if dropout:
            kind = keras.layers.SpatialDropout2D if spatial else keras.layers.Dropout
            x = kind(dropout, name="head_dropout", dtype=self.dtype)(x)
        # Probabilities are always float32, because the loss takes logarithms.
        x = keras.layers.Conv2D(
            n_classes, kernel, padding="same", name="head_conv", dtype="float32"
        )(x)
        x = self.enlarge(x, factor, "head_up", dtype="float32")
        return keras.layers.Activation(activation, name="probabilities", dtype="float32")(x)

    def pyramid_pooling(
        self,
        x: Any,
        filters: int,
        rates: Sequence[int],
        *,
        separable: bool,
        dropout: float,
        prefix: str = "aspp",
    ) -> Any:
        """Atrous spatial pyramid pooling: 1x1, dilated 3x3 and mean over the image, joined.

        Source: L.-C. Chen et al., "Rethinking atrous convolution for semantic image segmentation",
        2017; separable convolutions after "Encoder-decoder with atrous separable convolution",
        2018.
        """
        branches = [self.convolve(x, filters, 1, f"{prefix}_point")]
        for number, rate in enumerate(rates, start=1):
            name = f"{prefix}_branch{number}"
            branches.append(
                self.convolve_separably(x, filters, name, dilation=rate)
                if separable
                else self.convolve(x, filters, 3, name, dilation=rate)
            )
        mean = keras.layers.GlobalAveragePooling2D(
            keepdims=True, name=f"{prefix}_mean_pool", dtype=self.dtype
        )(x)
        mean = self.convolve(mean, filters, 1, f"{prefix}_mean")
        branches.append(self.add([ops.zeros_like(branches[0]), mean], f"{prefix}_mean_up"))
        x = self.concat(branches, f"{prefix}_concat")
        x = self.convolve(x, filters, 1, prefix, last=f"{prefix}_block")
        return keras.layers.Dropout(dropout, name=f"{prefix}_dropout", dtype=self.dtype)(x)


def check_network(
    input_shape: Shape, n_classes: int, activation: str, batch_norm: str, multiple: int
) -> None:
    """Raise ValueError for arguments with which no network can be built.

    Args:
        input_shape: See `training.models.parts.check_arguments`, as for the others.
        n_classes: See there.
        activation: See there.
        batch_norm: "local" or "synchronised".
        multiple: See there.
    """
    check_arguments(input_shape, n_classes, activation, multiple)
    if batch_norm not in ("local", "synchronised"):
        raise ValueError(
            f"`batch_norm` must be 'local' or 'synchronised'. Received: batch_norm={batch_norm}"
        )

"""Networks of `keras.applications` as encoders: EfficientNet, ConvNeXt, MobileNet, VGG, DenseNet.

They are built without weights, for any number of bands, and without their own scaling of pixel
values, because the recipe's features are scaled already.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from training.models.blocks import Layers

APPLICATIONS = {
    **{f"efficientnet_b{n}": f"EfficientNetB{n}" for n in range(8)},
    **{
        f"convnext_{size}": f"ConvNeXt{size.capitalize()}"
        for size in ("tiny", "small", "base", "large")
    },
    "convnext_xlarge": "ConvNeXtXLarge",
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3Small",
    "mobilenet_v3_large": "MobileNetV3Large",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    **{f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 169, 201)},
}
"""Function in `keras.applications` of each encoder."""

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_EDGE = 256
"""Edge of the image with which a network is built to find the strides of its layers."""
_AUTOMATIC = re.compile(r"(activation|re_lu|multiply|add|concatenate|zero_padding2d)(_\d+)?")


def application(
    x: Any, layers: Layers, encoder: str, *, width: float = 1.0, output_stride: int = 32
) -> dict[int, Any]:
    """Add a network of `keras.applications`; see `training.models.encoders.encode`."""
    own: dict[str, Any] = {}
    if encoder.startswith("mobilenet"):
        own["alpha"] = width
    elif width != 1.0:
        raise ValueError(
            f"`width` is for a ResNet or MobileNet. Received: width={width}, encoder={encoder}"
        )
    if encoder.startswith(("mobilenet_v3", "convnext")):
        own["include_preprocessing"] = False
    build = getattr(keras.applications, APPLICATIONS[encoder])
    with _policy(layers.dtype), warnings.catch_warnings():
        # Keras warns of numbers of bands for which it has no weights.
        warnings.filterwarnings("ignore", "This model usually expects")
        warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
        network = build(
            include_top=False, weights=None, input_shape=(_EDGE, _EDGE, x.shape[-1]), **own
        )
        copies = _copied(network, x, layers, output_stride)
    found: dict[int, Any] = {}
    for stride, tensor in _last_tensors(network).items():
        found[min(stride, output_stride)] = copies[id(tensor)]
    return found


def _last_tensors(network: keras.Model) -> dict[int, Any]:
    """Find the last tensor of each stride, 2 (ConvNeXt: 4) to 32."""
    steps = [layer for layer in network.layers if isinstance(layer, keras.Sequential)][1:]
    if steps:  # ConvNeXt goes from stride to stride by these, and adds by operations, not layers.
        return {4 * 2**n: layer.input for n, layer in enumerate(steps)} | {32: network.output}
    found: dict[int, Any] = {}
    for layer in network.layers:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] in (_EDGE // s for s in (2, 4, 8, 16, 32)):
            found[_EDGE // shape[1]] = layer.output
    return found


def _copied(network: keras.Model, x: Any, layers: Layers, output_stride: int) -> dict[int, Any]:
    """Copy the operations of a network, but for its own scaling, so that they work on `x`.

    Returns:
        The new tensor in place of each of the network's, by the identity of the latter.
    """
    numbers: Counter[str] = Counter()
    found: dict[int, Any] = {}
    for operation in network.operations:
        if isinstance(operation, (keras.layers.InputLayer, *_SCALING)):
            found[id(operation.output)] = x
            continue
        if isinstance(operation, keras.layers.Layer):
            copy = _copied_layer(operation, _name(operation, numbers), layers, output_stride)
        else:  # Such as the sum of two tensors.
            config = operation.get_config()
            config.pop("name", None)
            copy = operation.__class__.from_config(config)
        (node,) = operation._inbound_nodes  # noqa: SLF001 - Keras has no public name for it
        args, kwargs = keras.tree.map_structure(
            lambda given: found.get(id(given), given),
            (node.arguments.args, node.arguments.kwargs),
        )
        found[id(operation.output)] = copy(*args, **kwargs)
    return found


def _name(layer: keras.layers.Layer, numbers: Counter[str]) -> str:
    """Name of the copy of a layer; Keras numbers some over all models of the process."""
    match = _AUTOMATIC.fullmatch(layer.name)
    if match is None:
        return f"encoder_{layer.name}"
    numbers[match[1]] += 1
    return f"encoder_{match[1]}{numbers[match[1]]}"


def _copied_layer(
    layer: keras.layers.Layer, name: str, layers: Layers, output_stride: int
) -> keras.layers.Layer:
    if isinstance(layer, keras.Sequential):
        return _copied_sequence(layer, name, output_stride)
    config = layer.get_config() | {"name": name} | _dilated(layer, output_stride)
    if isinstance(layer, keras.layers.BatchNormalization):
        config["synchronized"] = layers.synchronised
    return layer.__class__.from_config(config)


def _copied_sequence(sequence: keras.Sequential, name: str, output_stride: int) -> keras.Sequential:
    copies = [
        layer.__class__.from_config(layer.get_config() | _dilated(layer, output_stride))
        for layer in sequence.layers
    ]
    return keras.Sequential(copies, name=name)


def _dilated(layer: keras.layers.Layer, output_stride: int) -> dict[str, Any]:
    """Find the options of a layer that must change so that nothing is coarser than a stride.

    As in segmentation_models.pytorch, all convolutions of a stage that would be too coarse have
    stride 1 and are dilated by the stride that is left out.
    """
    before, after = (_stride(tensor) for tensor in (layer.input, layer.output))
    if isinstance(before, float) or isinstance(after, float) or after <= output_stride:
        padded = isinstance(layer, keras.layers.ZeroPadding2D) and before == output_stride
        return {"padding": ((0, 0), (0, 0))} if padded and output_stride < 32 else {}
    if isinstance(layer, _POOLINGS):
        return {"strides": (1, 1), "padding": "same"}
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return {"padding": ((0, 0), (0, 0))}
    if isinstance(layer, _CONVOLUTIONS) and max(layer.kernel_size) > 1:
        rate = after // output_stride
        return {"strides": (1, 1), "dilation_rate": (rate, rate), "padding": "same"}
    if isinstance(layer, _CONVOLUTIONS):
        return {"strides": (1, 1)}
    return {}


def _stride(tensor: Any) -> int | float:
    """Stride of a tensor in a network that was built with `_EDGE`; infinite for no image."""
    if not hasattr(tensor, "shape") or len(tensor.shape) != 4 or tensor.shape[1] in (None, 1):
        return math.inf
    # Padding adds a few rows.
    return int(2 ** round(math.log2(_EDGE / tensor.shape[1])))


@contextmanager
def _policy(dtype: str | None) -> Iterator[None]:
    """Let layers have this dtype policy by default; `keras.applications` doesn't take one."""
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

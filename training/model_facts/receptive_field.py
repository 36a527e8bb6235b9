"""The receptive field: the pixels of the image on which one pixel of the output depends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from training.model_facts.graph import Node

Interval = tuple[float, float]
"""First and last position along one axis; infinite for a whole image."""

_WHOLE: Interval = (-math.inf, math.inf)
_L = keras.layers
_WINDOWED = (
    _L.Conv2D,
    _L.DepthwiseConv2D,
    _L.SeparableConv2D,
    _L.MaxPooling2D,
    _L.AveragePooling2D,
)
# They look at all places, but put out an image of the same size.
_MIXING = (_L.GroupNormalization, _L.MultiHeadAttention, _L.Attention, _L.AdditiveAttention)


def receptive_field(nodes: Sequence[Node]) -> tuple[int, int] | None:
    """Find the receptive field of a network far from the edges of an image.

    The positions that each layer needs of the one before are followed from the output back to the
    input, and the least interval that holds them all is kept. Strides and up-sampling make this
    depend on where the output pixel lies; the result is the greatest of all places.

    Args:
        nodes: From `nodes_of`.

    Returns:
        Height and width in pixels; None if a pixel may depend on the whole image.
    """
    sizes = [_along(nodes, axis) for axis in (0, 1)]
    return None if math.inf in sizes else (int(sizes[0]), int(sizes[1]))


def _along(nodes: Sequence[Node], axis: int) -> float:
    image = nodes[0].shape[axis]
    period = max(
        (-(-image // node.shape[axis]) for node in nodes if node.is_image and node.shape[axis] > 1),
        default=1,
    )
    return max(_size_at(nodes, axis, place) for place in range(period))


def _size_at(nodes: Sequence[Node], axis: int, place: int) -> float:
    needed: dict[Node, Interval] = {nodes[-1]: (place, place)}
    for node in reversed(nodes[1:]):
        if node not in needed:  # It doesn't lead to the output.
            continue
        for source in node.inputs:
            low, high = _needed_of(node, source, axis, needed[node])
            before = needed.get(source, (math.inf, -math.inf))
            needed[source] = (min(low, before[0]), max(high, before[1]))
    low, high = needed[nodes[0]]
    return high - low + 1


def _needed_of(node: Node, source: Node, axis: int, needed: Interval) -> Interval:
    """Find the positions of an input that a node needs for positions of its output."""
    low, high = needed
    operation, kind = node.operation, node.kind
    if math.isinf(low) or not (node.is_image and source.is_image) or source.shape[axis] == 1:
        return _WHOLE
    if isinstance(operation, _WINDOWED):
        size, stride, before = _window(operation, source.shape[axis], axis)
        return low * stride - before, high * stride - before + size - 1
    if isinstance(operation, _L.Conv2DTranspose):
        size, stride = operation.kernel_size[axis], operation.strides[axis]
        before = max(size - stride, 0) // 2 if operation.padding == "same" else 0
        return math.ceil((low + before - size + 1) / stride), (high + before) // stride
    if isinstance(operation, _L.ZeroPadding2D):
        before = operation.padding[axis][0]
        return low - before, high - before
    if isinstance(operation, _L.Cropping2D):
        before = operation.cropping[axis][0]
        return low + before, high + before
    if isinstance(operation, _L.UpSampling2D) or kind in ("Resizing", "Resize"):
        ratio = source.shape[axis] / node.shape[axis]
        return _resized(low, ratio, operation)[0], _resized(high, ratio, operation)[1]
    mixes = isinstance(operation, _MIXING) or axis + 1 in _axes(operation)
    if mixes or node.shape[axis] != source.shape[axis]:
        return _WHOLE
    return needed


def _window(operation: Any, image: int, axis: int) -> tuple[int, int, int]:
    """Size and stride of the window of a convolution or pooling, and its padding before."""
    size = getattr(operation, "kernel_size", None) or operation.pool_size
    dilation = getattr(operation, "dilation_rate", (1, 1))[axis]
    reach, stride = (size[axis] - 1) * dilation + 1, operation.strides[axis]
    if operation.padding != "same":
        return reach, stride, 0
    return reach, stride, max(reach - (image % stride or stride), 0) // 2


def _resized(place: float, ratio: float, operation: Any) -> Interval:
    """Positions between which a resized image is interpolated; pixels are centred."""
    at = (place + 0.5) * ratio - 0.5
    match operation.interpolation:
        case "nearest":
            nearest = math.floor((place + 0.5) * ratio)
            return nearest, nearest
        case "bilinear":
            return math.floor(at), math.ceil(at)
        case _:  # Two pixels to each side for cubic, three or five for Lanczos kernels.
            reach = {"bicubic": 1, "lanczos3": 2, "lanczos5": 4}[operation.interpolation]
            return math.floor(at) - reach, math.ceil(at) + reach


def _axes(operation: Any) -> set[int]:
    """Axes over which an operation works, if it says so; the batch is axis 0 of 4."""
    axis = getattr(operation, "axis", None)
    if axis is None:
        return set()
    return {one % 4 for one in (axis if isinstance(axis, (tuple, list)) else (axis,))}

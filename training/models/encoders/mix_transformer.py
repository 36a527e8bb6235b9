"""Mix Transformer, the encoder of SegFormer.

E. Xie et al., "SegFormer: Simple and efficient design for semantic segmentation with transformers",
2021. All tensors stay images (B, H, W, C), so the encoder works with any size, and Keras' own
attention serves as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from training.models.blocks import Layers

_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
_EXPANSION = 4
_NARROW, _WIDE = (32, 64, 160, 256), (64, 128, 320, 512)
SIZES: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int]]] = {
    "b0": ((2, 2, 2, 2), _NARROW),
    "b1": ((2, 2, 2, 2), _WIDE),
    "b2": ((3, 4, 6, 3), _WIDE),
    "b3": ((3, 4, 18, 3), _WIDE),
    "b4": ((3, 8, 27, 3), _WIDE),
    "b5": ((3, 6, 40, 3), _WIDE),
}
"""Blocks and channels of each stage."""


@dataclass(frozen=True)
class _Stage:
    """What is the same for all blocks of a stage."""

    filters: int
    heads: int
    reduction: int
    """Factor by which keys and values are coarser than queries, in each direction."""


def mix_transformer(x: Any, layers: Layers, size: str, *, drop_path: float = 0.0) -> dict[int, Any]:
    """Add a Mix Transformer to what the network sees.

    Args:
        x: Features (B, H, W, F); H and W are multiples of 32.
        layers: Makes layers.
        size: "b0" to "b5".
        drop_path: Greatest share of images for which training leaves a block out (G. Huang et al.,
            "Deep networks with stochastic depth", 2016); it rises evenly from 0.

    Returns:
        The last tensor of each stage by its stride: 4, 8, 16 and 32.
    """
    depths, filters = SIZES[size]
    count, done = sum(depths), 0
    found: dict[int, Any] = {}
    for number, depth in enumerate(depths):
        prefix = f"encoder_stage{number + 1}"
        kernel, strides = (7, 4) if number == 0 else (3, 2)
        x = layers.conv(
            x, filters[number], kernel, f"{prefix}_patch_conv", strides=strides, bias=True
        )
        x = _norm(x, layers, f"{prefix}_patch_norm")
        stage = _Stage(filters[number], _HEADS[number], _REDUCTIONS[number])
        for unit in range(depth):
            rate = drop_path * done / max(count - 1, 1)
            x = _unit(x, layers, stage, rate, f"{prefix}_unit{unit + 1}")
            done += 1
        x = _norm(x, layers, f"{prefix}_norm")
        found[4 * 2**number] = x
    return found


def _unit(x: Any, layers: Layers, stage: _Stage, rate: float, prefix: str) -> Any:
    """Add one block: attention with coarser keys and values, then a mixing feed-forward part."""
    dtype = layers.dtype
    query = _norm(x, layers, f"{prefix}_norm1")
    value = query
    if stage.reduction > 1:
        value = keras.layers.Conv2D(
            stage.filters,
            stage.reduction,
            strides=stage.reduction,
            name=f"{prefix}_reduction_conv",
            dtype=dtype,
        )(value)
        value = _norm(value, layers, f"{prefix}_reduction_norm")
    attention = keras.layers.MultiHeadAttention(
        stage.heads,
        stage.filters // stage.heads,
        attention_axes=(1, 2),
        name=f"{prefix}_attention",
        dtype=dtype,
    )(query, value)
    x = layers.add([x, _dropped(attention, layers, rate, f"{prefix}_drop1")], f"{prefix}_add1")
    inner = _norm(x, layers, f"{prefix}_norm2")
    inner = layers.conv(inner, _EXPANSION * stage.filters, 1, f"{prefix}_conv1", bias=True)
    inner = keras.layers.DepthwiseConv2D(
        3, padding="same", name=f"{prefix}_depthwise_conv", dtype=dtype
    )(inner)
    inner = keras.layers.Activation("gelu", name=f"{prefix}_gelu", dtype=dtype)(inner)
    inner = layers.conv(inner, stage.filters, 1, f"{prefix}_conv2", bias=True)
    inner = _dropped(inner, layers, rate, f"{prefix}_drop2")
    return layers.add([x, inner], f"{prefix}_block")


def _norm(x: Any, layers: Layers, name: str) -> Any:
    """Normalise the channels of each cell."""
    return keras.layers.LayerNormalization(epsilon=1e-6, name=name, dtype=layers.dtype)(x)


def _dropped(x: Any, layers: Layers, rate: float, name: str) -> Any:
    """Leave a branch out for some images of a batch, and scale it for the others."""
    if not rate:
        return x
    return keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name, dtype=layers.dtype)(x)

"""ResNet 18, 34, 50 and 101 as encoders.

K. He et al., "Deep residual learning for image recognition", 2016. As in torchvision, the 3x3
convolution of a bottleneck has the stride, and convolutions have no bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from training.models.blocks import Layers

RESNETS: dict[str, tuple[tuple[int, int, int, int], int]] = {
    "resnet18": ((2, 2, 2, 2), 1),
    "resnet34": ((3, 4, 6, 3), 1),
    "resnet50": ((3, 4, 6, 3), 4),
    "resnet101": ((3, 4, 23, 3), 4),
}
"""Blocks of each stage, and the factor by which a block widens; 1 is the basic block."""

_FILTERS = (64, 128, 256, 512)
_SQUEEZE = 16


@dataclass(frozen=True)
class _Block:
    """What is the same for all blocks of a stage."""

    filters: int
    widening: int
    dilation: int
    squeeze_excite: bool


def resnet(
    x: Any,
    layers: Layers,
    encoder: str,
    *,
    width: float = 1.0,
    squeeze_excite: bool = False,
    output_stride: int = 32,
) -> dict[int, Any]:
    """Add a ResNet; see `training.models.encoders.encode`.

    Stages that would be coarser than `output_stride` have stride 1, and their 3x3 convolutions are
    dilated instead (L.-C. Chen et al., "Rethinking atrous convolution", 2017).
    """
    depths, widening = RESNETS[encoder]
    filters = [max(round(width * n), 1) for n in _FILTERS]
    x = layers.convolve(x, filters[0], 7, "encoder_stem", strides=2)
    found = {2: x}
    # ReLU leaves no negative numbers, so zeros at the border never win.
    x = keras.layers.ZeroPadding2D(1, name="encoder_stem_pool_pad", dtype=layers.dtype)(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="encoder_stem_pool", dtype=layers.dtype)(x)
    stride = 4
    for stage, depth in enumerate(depths):
        strides = 1 if stage == 0 or stride >= output_stride else 2
        stride *= strides
        dilation = 2 ** (stage + 2) // stride
        block = _Block(filters[stage], widening, dilation, squeeze_excite)
        for unit in range(depth):
            prefix = f"encoder_stage{stage + 1}_unit{unit + 1}"
            x = _unit(x, layers, block, strides if unit == 0 else 1, prefix)
        found[stride] = x
    return found


def _unit(x: Any, layers: Layers, block: _Block, strides: int, prefix: str) -> Any:
    """Add one residual block."""
    width = block.filters * block.widening
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = layers.conv(x, width, 1, f"{prefix}_shortcut_conv", strides=strides)
        shortcut = layers.norm(shortcut, f"{prefix}_shortcut_norm")
    if block.widening == 1:
        x = layers.convolve(
            x, block.filters, 3, prefix, 1, strides=strides, dilation=block.dilation
        )
        x = layers.conv(x, width, 3, f"{prefix}_conv2", dilation=block.dilation)
        x = layers.norm(x, f"{prefix}_norm2")
    else:
        x = layers.convolve(x, block.filters, 1, prefix, 1)
        x = layers.convolve(
            x, block.filters, 3, prefix, 2, strides=strides, dilation=block.dilation
        )
        x = layers.conv(x, width, 1, f"{prefix}_conv3")
        x = layers.norm(x, f"{prefix}_norm3")
    if block.squeeze_excite:
        x = layers.squeeze_excite(x, _SQUEEZE, prefix)
    x = layers.add([x, shortcut], f"{prefix}_add")
    return layers.relu(x, f"{prefix}_block")

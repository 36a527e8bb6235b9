"""Encoders by name: networks for pictures, whose layers decoders use at several resolutions.

All layers of an encoder have names that start with `encoder_`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from training.models.blocks import Layers
from training.models.encoders.applications import APPLICATIONS, application
from training.models.encoders.resnet import RESNETS, resnet

PREFIX = "encoder_"


def encode(
    x: Any,
    layers: Layers,
    encoder: str,
    *,
    width: float = 1.0,
    squeeze_excite: bool = False,
    output_stride: int = 32,
) -> dict[int, Any]:
    """Add an encoder to what the network sees.

    Args:
        x: Features (B, H, W, F).
        layers: Makes layers.
        encoder: Name of an encoder (`polynya.recipe.encoders.EncoderName`).
        width: Factor on the filters, for ResNets and MobileNets.
        squeeze_excite: Weigh the channels of each block, for ResNets.
        output_stride: Greatest stride; what would be coarser is dilated instead.

    Returns:
        The last tensor of each stride from 2 (for ConvNeXt: 4) to `output_stride`, by stride.

    Raises:
        ValueError: There is no such encoder, or it doesn't have one of these options.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"`output_stride` must be 8, 16 or 32. Received: {output_stride}")
    if encoder in RESNETS:
        return resnet(
            x,
            layers,
            encoder,
            width=width,
            squeeze_excite=squeeze_excite,
            output_stride=output_stride,
        )
    if encoder not in APPLICATIONS:
        known = ", ".join((*RESNETS, *APPLICATIONS))
        raise ValueError(f"`encoder` must be one of {known}. Received: encoder={encoder}")
    if squeeze_excite:
        raise ValueError(f"`squeeze_excite` is for a ResNet. Received: encoder={encoder}")
    return application(x, layers, encoder, width=width, output_stride=output_stride)


def encoder_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model's encoder; none if the model has no encoder."""
    for layer in model.layers:
        if layer.name.startswith(PREFIX):
            yield layer

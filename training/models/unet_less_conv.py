"""The U-Net "UNet_Less_Conv" of the Faster UNet study."""

from __future__ import annotations

from typing import Any

import keras

from training.models.faster_unet import faster_unet


def unet_less_conv(**arguments: Any) -> keras.Model:
    """Build a U-Net of seven narrow levels: three convolutions in the upper two, else one.

    Args:
        **arguments: Arguments of `training.models.faster_unet.faster_unet`, without `name`.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: M. Cai and L. Zhang, "Finding a faster UNet for satellite image segmentation", 2023; its
    model "UNet_Less_Conv".
    """
    return faster_unet(name="unet_less_conv", **arguments)

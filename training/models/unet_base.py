"""The U-Net "UNet_Base" of the Faster UNet study."""

from __future__ import annotations

from typing import Any

import keras

from training.models.faster_unet import faster_unet


def unet_base(**arguments: Any) -> keras.Model:
    """Build the U-Net of the first paper with padding and batch normalisation: 31.0 M parameters.

    Args:
        **arguments: Arguments of `training.models.faster_unet.faster_unet`, without `name`.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: M. Cai and L. Zhang, "Finding a faster UNet for satellite image segmentation", 2023; its
    model "UNet_Base", after O. Ronneberger et al., "U-Net: Convolutional networks for biomedical
    image segmentation", MICCAI 2015.
    """
    return faster_unet(name="unet_base", **arguments)

"""The U-Net of Segmentation Gym."""

from __future__ import annotations

from typing import Any

import keras

from training.models.gym_blocks import strided_unet


def gym_unet(**arguments: Any) -> keras.Model:
    """Build the U-Net of Segmentation Gym: 4.01 M parameters with 8 filters (the paper's "4M").

    Args:
        **arguments: Arguments of `training.models.gym_blocks.strided_unet`, without `residual` and
            `name`.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
    geoscientific imagery", Earth and Space Science 9, 2022; as in its code, `custom_unet`.
    """
    return strided_unet(residual=False, name="gym_unet", **arguments)

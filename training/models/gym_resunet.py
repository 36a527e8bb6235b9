"""The residual U-Net of Segmentation Gym."""

from __future__ import annotations

from typing import Any

import keras

from training.models.gym_blocks import strided_unet


def gym_resunet(**arguments: Any) -> keras.Model:
    """Build the residual U-Net of Segmentation Gym: 6.19 M parameters with 8 filters ("6M").

    Args:
        **arguments: Arguments of `training.models.gym_blocks.strided_unet`, without `residual` and
            `name`.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
    geoscientific imagery", Earth and Space Science 9, 2022; as in its code, `custom_resunet`.
    """
    return strided_unet(residual=True, name="gym_resunet", **arguments)

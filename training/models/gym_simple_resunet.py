"""The small residual U-Net of Segmentation Gym."""

from __future__ import annotations

from typing import Any

import keras

from training.models.gym_blocks import pooled_unet


def gym_simple_resunet(**arguments: Any) -> keras.Model:
    """Build the small residual U-Net of Segmentation Gym, with pooling and 2x2 kernels.

    Args:
        **arguments: Arguments of `training.models.gym_blocks.pooled_unet`, without `residual` and
            `name`.

    Returns:
        A Keras model from images (B, H, W, bands) to probabilities, float32 (B, H, W, n_classes).

    Raises:
        ValueError: No model can be built with an argument.

    Source: D. Buscombe and E. Goldstein, "A reproducible and reusable pipeline for segmentation of
    geoscientific imagery", Earth and Space Science 9, 2022; as in its code, `simple_resunet`.
    """
    return pooled_unet(residual=True, name="gym_simple_resunet", **arguments)

"""What builders of models share: the checks of their arguments, the first and the last layer."""

from __future__ import annotations

from typing import Any

import keras

from training.models.features import Features

Shape = tuple[int | None, int | None, int]
"""Height, width and bands of an image; None is any height or width."""


def check_arguments(input_shape: Shape, n_classes: int, activation: str, multiple: int) -> None:
    """Raise ValueError for arguments with which no model can be built.

    Args:
        input_shape: Height, width and bands.
        n_classes: Channels of the output.
        activation: Activation of the last layer.
        multiple: Number of pixels that divides height and width.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, bands). Received: input_shape={input_shape}"
        )
    if activation not in ("softmax", "sigmoid"):
        raise ValueError(
            f"`activation` must be 'softmax' or 'sigmoid'. Received: activation={activation}"
        )
    least = 2 if activation == "softmax" else 1
    if n_classes < least:
        raise ValueError(
            f"`n_classes` must be at least {least}. Received: n_classes={n_classes},"
            f" activation={activation}"
        )
    for size in input_shape[:2]:
        if size is not None and size % multiple:
            raise ValueError(
                f"`input_shape` must have a height and width that are multiples of {multiple}. "
                f"Received: input_shape={input_shape}"
            )


def scaled_pixels(inputs: Any, features: Features | None, dtype: str | None) -> Any:
    """Apply `features` to the input; without them, scale 0..255 to 0..1."""
    if features is not None:
        return features(inputs)
    return keras.layers.Rescaling(1.0 / 255.0, name="rescale", dtype=dtype)(inputs)


def probabilities(x: Any, n_classes: int, activation: str) -> Any:
    """Bring features to class probabilities, float32, by a 1x1 convolution.

    Probabilities are always float32, because losses take logarithms.
    """
    return keras.layers.Conv2D(
        n_classes, 1, activation=activation, name="probabilities", dtype="float32"
    )(x)


def normalised(x: Any, batch_norm: str, name: str, dtype: str | None, **options: Any) -> Any:
    """Apply batch normalisation.

    Args:
        x: Features, float (B, H, W, C).
        batch_norm: "local"; or "synchronised" for the moments of the batches of all ranks.
        name: Name of the layer.
        dtype: Keras dtype policy; None for Keras' default.
        **options: Other arguments of Keras' layer.
    """
    return keras.layers.BatchNormalization(
        synchronized=batch_norm == "synchronised", name=name, dtype=dtype, **options
    )(x)

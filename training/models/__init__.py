"""Segmentation models by name: `build("unet", input_shape=(256, 256, 3), n_classes=3)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polynya.errors import ModelError
from training.models.unet import unet

if TYPE_CHECKING:
    import keras

MODELS: dict[str, Callable[..., keras.Model]] = {"unet": unet}
"""Every model that a recipe can name. Each takes `input_shape`, `n_classes` and its own options."""


def build(
    name: str, *, input_shape: tuple[int | None, int | None, int], n_classes: int, **options: Any
) -> keras.Model:
    """Build an untrained model.

    Args:
        name: Key of `MODELS`.
        input_shape: Height, width and bands; height and width may be None (any size).
        n_classes: Number of classes, the channels of the output.
        **options: Of the model; see its own function.

    Returns:
        From images (B, H, W, bands), values 0..255, to class probabilities, float32
        (B, H, W, n_classes).

    Raises:
        ModelError: No model has this name.
        ValueError: An option that the model can't use.
    """
    if name not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise ModelError(
            f"There is no model '{name}'; set the recipe's key 'model.name' to: {known}."
        )
    return MODELS[name](input_shape=input_shape, n_classes=n_classes, **options)

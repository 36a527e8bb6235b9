"""Segmentation models by name: `build("unet", input_shape=(256, 256, 3), n_classes=3)`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from polynya.errors import ModelError
from polynya.recipe.base import members_of
from polynya.recipe.model import PIXEL_MODELS, ModelOptions
from training.models.features import Features

if TYPE_CHECKING:
    import keras

_OPTIONS = {
    name: options
    for name, options in members_of(ModelOptions, "name").items()
    if name not in PIXEL_MODELS
}
NETWORKS = tuple(_OPTIONS)
"""Families of Keras models."""


def build_from(
    options: ModelOptions,
    *,
    input_shape: tuple[int | None, int | None, int],
    n_classes: int,
    activation: str = "softmax",
    features: Features | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the untrained model of a recipe's section `model`.

    Args:
        options: Options of one model family.
        input_shape: See `build`.
        n_classes: See `build`.
        activation: Activation of the last layer: "softmax" for classes that exclude each other,
            "sigmoid" for masks.
        features: Function before the first layer; None to scale 0..255 to 0..1.
        dtype: Keras dtype policy of the layers; None for Keras' default.
    """
    own = options.model_dump(exclude={"name"})
    return builder_of(options.name)(
        input_shape=input_shape,
        n_classes=n_classes,
        activation=activation,
        features=features,
        dtype=dtype,
        **own,
    )


def build(
    name: str, *, input_shape: tuple[int | None, int | None, int], n_classes: int, **options: Any
) -> keras.Model:
    """Build an untrained model.

    Args:
        name: Name of a model family.
        input_shape: Height, width and bands; height and width may be None (any size).
        n_classes: Number of classes, the channels of the output.
        **options: Options of the model, see the function of its family; default: those of a recipe.

    Returns:
        Model from images (B, H, W, bands), values 0..255, to class probabilities, float32
        (B, H, W, n_classes).

    Raises:
        ModelError: No model has this name.
        ValueError: The model can't use one of the options.
    """
    if name not in NETWORKS:
        raise ModelError(
            f"There is no model '{name}'; set the recipe's key 'model.name' to:"
            f" {', '.join(sorted(NETWORKS))}."
        )
    defaults = options_of(name)().model_dump(exclude={"name"})
    return builder_of(name)(input_shape=input_shape, n_classes=n_classes, **{**defaults, **options})


def options_of(name: str) -> Callable[[], ModelOptions]:
    """The class of the options of a family, from `NETWORKS`; without arguments, it has defaults."""
    return cast("Callable[[], ModelOptions]", _OPTIONS[name])


def builder_of(name: str) -> Callable[..., keras.Model]:
    """Find the function that builds a family. Function and module have the name of the family.

    The function takes `input_shape`, `n_classes`, `activation`, `features`, `dtype` and the keys of
    the family's options.
    """
    builder: Callable[..., keras.Model] = getattr(import_module(f"training.models.{name}"), name)
    return builder

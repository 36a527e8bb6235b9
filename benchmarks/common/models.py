"""Models that needn't be trained: what a step or a map takes doesn't depend on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from polynya.recipe.training import ModelOptions

N_CLASSES = 3


def plain_unet(filters: Sequence[int], tile: int, dtype: str | None = None) -> keras.Model:
    """The untrained U-Net, without dropout, whose random numbers would be measured as well."""
    from training.models import build

    return build(
        "unet",
        input_shape=(tile, tile, 3),
        n_classes=N_CLASSES,
        filters=tuple(filters),
        dropout=(0.0,) * len(filters),
        dtype=dtype,
    )


def model_of(
    options: ModelOptions, size: int | None = None, dtype: str | None = None
) -> keras.Model:
    """The untrained model of a recipe, for tiles of a size; None for any."""
    from training.models import build

    chosen = options.model_dump(exclude={"name"})
    shape = (size, size, 3)
    return build(options.name, input_shape=shape, n_classes=N_CLASSES, dtype=dtype, **chosen)

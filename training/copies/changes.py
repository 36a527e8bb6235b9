"""The augmentation of a recipe on single tiles, each with random numbers of its own."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe
from polynya.shards.soft_labels import harden
from polynya.splits.split_file import Key
from training.augment import augmentation_layers


class TileChanges:
    """Changes tiles as a recipe says, without its filter, which runs during training.

    The result depends on the recipe, its seed, the number of the copy and the place of the tile
    only, so any order gives the same bytes.

    Args:
        recipe: Recipe with the section `training.augment`.

    Raises:
        RecipeError: It asks for no change, so copies would be equal to their originals.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._layers = augmentation_layers(
            recipe.training.augment,
            nodata=recipe.classes.nodata,
            seed=recipe.seed,
            has_gaps=not recipe.scene.sees_colors,
        )
        if not self._layers:
            raise RecipeError(
                "The recipe's section 'training.augment' asks for no change of tiles, so copies"
                " would be equal to their originals; set for example 'training.augment.dihedral' to"
                " true, in a recipe that --recipe names."
            )

    def change(
        self, image: NDArray[Any], label: NDArray[np.uint8], key: Key, copy: int
    ) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Make a copy of a tile.

        Args:
            image: (S, S, bands), uint8 colours or float32 values with NaN where missing.
            label: uint8 (S, S), or soft labels (S, S, C).
            key: Scene, row and column of the tile.
            copy: Number of the copy, from 1.

        Returns:
            Image of the same type, label (S, S), and soft label or None.
        """
        words = [self._recipe.seed, copy, zlib.crc32(key[0].encode()), *key[1:]]
        draws = np.random.default_rng(words)
        for variable in (v for layer in self._layers for v in layer.variables):
            variable.assign(np.array([draws.integers(2**31), 0], "uint32"))
        images, labels = ops.cast(image[None], "float32"), ops.cast(label[None], "int32")
        for layer in self._layers:
            images, labels = layer(images, labels)
        changed = ops.convert_to_numpy(images)[0]
        if image.dtype == np.uint8:
            changed = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
        codes = ops.convert_to_numpy(labels)[0].astype(np.uint8)
        if codes.ndim == 2:
            return changed, codes, None
        return changed, harden(codes, self._recipe.classes), codes

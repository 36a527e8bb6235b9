"""The tiles that a rank validates on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from polynya.recipe.recipe import Recipe
from training.augment.sky import sky_layers
from training.input.batches import PADDING, BatchSource, in_batches
from training.input.filtering import filter_tiles
from training.ranks.port import Collective

TILES_PER_SKY = 8
"""Number of tiles for which skies are drawn together; it doesn't depend on the batch size."""

Pixels = tuple[NDArray[Any], NDArray[np.uint8]]
"""Images and labels."""


class ValidationTiles:
    """A rank's part of the validation tiles: as they are, and once more under a simulated sky.

    If the model learns from filtered tiles, all validation tiles go through the filter.

    If a model trains under simulated cloud, the choice of the best epoch depends on how well the
    model sees through cloud. The sky of a tile depends only on the seed and the tile's place, so it
    is the same in every epoch, for any number of ranks and any batch size.

    Args:
        tiles: All validation tiles.
        recipe: Recipe with the seed and the simulated sky.
        collective: The ranks.
    """

    def __init__(self, tiles: BatchSource, recipe: Recipe, collective: Collective) -> None:
        self._tiles = tiles
        self._recipe = recipe
        self._with_filter = recipe.training.augment.filter != "none"
        skies = -(-len(tiles) // TILES_PER_SKY)
        self._first_sky = skies * collective.rank // collective.size
        past = skies * (collective.rank + 1) // collective.size
        self._own = np.arange(
            self._first_sky * TILES_PER_SKY, min(past * TILES_PER_SKY, len(tiles))
        )

    def __len__(self) -> int:
        """Number of tiles of this rank, without the copies under a sky."""
        return len(self._own)

    @property
    def total(self) -> int:
        """Number of tiles of all ranks, without the copies under a sky."""
        return len(self._tiles)

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """Read tiles as the model sees them, without a simulated sky; also those of other ranks.

        Args:
            indices: int64 (N,), numbers in 0..total-1, or `PADDING`.

        Returns:
            Images (N, H, W, bands) and labels uint8 (N, H, W), or (N, H, W, C) if they are soft.

        Raises:
            ShardError: A tile can't be read.
        """
        ((images, labels),) = self._tiles.batches(indices[None])
        numpy = keras.ops.convert_to_numpy
        return numpy(self._filtered(images)), numpy(labels)

    def all_batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield pairs of images (batch, H, W, bands) and labels uint8 (batch, H, W).

        The last batch is filled up with nodata.
        """
        for images, labels in self._tiles.batches(in_batches(self._own, batch_size)):
            yield self._filtered(images), labels
        if self._layers(0):
            yield from self._rebatch(self._veiled(), batch_size)

    def _layers(self, sky: int) -> list[keras.layers.Layer]:
        return sky_layers(
            self._recipe.training.augment,
            nodata=self._recipe.classes.nodata,
            seed=self._recipe.seed + sky,
        )

    def _filtered(self, images: Any) -> Any:
        if not self._with_filter:
            return images
        return filter_tiles(keras.ops.convert_to_numpy(images)).astype(np.uint8)

    def _veiled(self) -> Iterator[Pixels]:
        indices = in_batches(self._own, TILES_PER_SKY)
        for sky, (images, labels) in enumerate(self._tiles.batches(indices), self._first_sky):
            is_tile = indices[sky - self._first_sky] != PADDING
            veiled = keras.ops.cast(images, "float32")
            for layer in self._layers(sky):
                veiled, _ = layer(veiled, labels)
            pixels = keras.ops.convert_to_numpy(self._filtered(veiled))
            yield (
                np.rint(pixels).astype(np.uint8)[is_tile],
                keras.ops.convert_to_numpy(labels)[is_tile],
            )

    def _rebatch(self, parts: Iterator[Pixels], batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield batches of one size, because every new size means another compilation."""
        held: list[Pixels] = []
        for images, labels in parts:
            held += zip(images, labels, strict=True)
            while len(held) >= batch_size:
                yield _stack(held[:batch_size])
                held = held[batch_size:]
        if held:
            image, label = held[0]
            padding = np.zeros_like(image), np.full_like(label, self._recipe.classes.nodata)
            yield _stack(held + [padding] * (batch_size - len(held)))


def _stack(tiles: list[Pixels]) -> tuple[Any, Any]:
    images, labels = (
        keras.ops.convert_to_tensor(np.stack(part)) for part in zip(*tiles, strict=True)
    )
    return images, labels

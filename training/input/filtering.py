"""The filter for thin cloud and shadow, applied to training tiles as it is to maps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from autolabel.filters.registry import find_filter
from polynya.recipe.label import FilterName
from polynya.recipe.training import AugmentOptions

Tiles = NDArray[np.float32]
"""float32 (B, H, W, 3), values 0..255, 0 where nodata."""


class TileFilter(keras.layers.Layer):
    """Filters some of the tiles, chosen at random for each batch. Labels stay.

    It runs on the CPU; the other layers run on the device.

    Args:
        method: Filter (`autolabel.filters.registry`).
        share: Share of the tiles that are filtered. Some scenes are left unfiltered by the filter
            and keep their cloud, so the model must also learn from unfiltered tiles.
        seed: Seed of the random numbers.
    """

    def __init__(
        self, *, method: FilterName = "illumination", share: float, seed: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.method: FilterName = method
        self.share = share
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        chosen = keras.random.uniform((images.shape[0],), seed=self.generator) < self.share
        filtered = tf.numpy_function(self._filter_chosen, [images, chosen], tf.float32)
        return tf.ensure_shape(filtered, images.shape), labels

    def _filter_chosen(self, images: Tiles, chosen: NDArray[np.bool_]) -> Tiles:
        result = images.copy()
        if chosen.any():
            result[chosen] = filter_tiles(images[chosen], self.method)
        return result


def filter_layers(options: AugmentOptions, *, seed: int) -> list[keras.layers.Layer]:
    """List the filter layer if the recipe asks for it; else empty."""
    if not find_filter(options.filter).changes_images:
        return []
    return [TileFilter(method=options.filter, share=options.filter_share, seed=seed)]


def filter_tiles(images: Tiles, method: FilterName = "illumination") -> Tiles:
    """Remove thin cloud and shadow from each tile, as `autolabel.filter_image` does from a scene.

    Args:
        images: Tiles; they are first rounded to grey levels, as in scenes.
        method: Filter.
    """
    # Numba takes half a second to import, and most trainings need no filter.
    from autolabel.labels import filter_image

    tiles = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return np.stack([filter_image(tile, method=method) for tile in tiles]).astype(np.float32)

"""The filter that maps are made with, over training tiles."""

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
    """The filter over some of the tiles, drawn again for each batch. Labels stay.

    It runs on the processor, where the other layers run on the device.

    Args:
        method: Filter (`autolabel.filters.registry`).
        share: Of the tiles that are filtered. A filter that stays out of a scene leaves its cloud
            as it is, and the model must know that too.
        seed: Of the drawing.
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
    """The layer that a recipe asks for; none where it asks for none."""
    if not find_filter(options.filter).changes_images:
        return []
    return [TileFilter(method=options.filter, share=options.filter_share, seed=seed)]


def filter_tiles(images: Tiles, method: FilterName = "illumination") -> Tiles:
    """Take thin cloud and shadow out of each tile, as `autolabel.filter_image` does of a scene.

    Args:
        images: Rounded to grey levels first, as scenes have them.
        method: Filter.
    """
    # Numba takes half a second to import, and most trainings need no filter.
    from autolabel.labels import filter_image

    tiles = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return np.stack([filter_image(tile, method=method) for tile in tiles]).astype(np.float32)

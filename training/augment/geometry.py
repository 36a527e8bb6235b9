"""Random changes of place: image and label move together."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, random


@keras.saving.register_keras_serializable("polynya")
class RandomDihedral(keras.layers.Layer):
    """One of the eight flips and right-angle turns of a square tile, each equally likely.

    Args:
        seed: Of the drawing.
    """

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, height, width = ops.shape(labels)
        if height != width:
            raise ValueError(f"`images` must be square. Received: {height} x {width} pixels")
        coins = random.uniform((3, batch), seed=self.generator) < 0.5
        # Three independent coins (transpose, flip rows, flip columns) make all eight elements.
        changes = (
            lambda x: ops.swapaxes(x, 1, 2),
            lambda x: ops.flip(x, axis=1),
            lambda x: ops.flip(x, axis=2),
        )
        for index, change in enumerate(changes):
            chosen = ops.reshape(coins[index], (batch, 1, 1))
            labels = ops.where(chosen, change(labels), labels)
            images = ops.where(chosen[..., None], change(images), images)
        return images, labels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}

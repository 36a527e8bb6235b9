"""Random sensor noise. Geometry and label stay: the label says what lies below the noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops, random

from polynya.recipe.training import AugmentOptions
from training.labels import is_unlabelled


@keras.saving.register_keras_serializable("polynya")
class RandomNoise(keras.layers.Layer):
    """Gaussian noise in every band of every pixel, as strong on dark ground as on bright.

    All tiles of a batch share one pattern, because drawing a pattern takes time; each tile has its
    own strength. Values become whole grey levels, like those of a sensor. Nodata (image 0 and no
    label) stays 0, and no other pixel becomes 0.

    Args:
        nodata: Code of pixels without a label.
        share: Share of tiles with noise.
        strength: Range of the standard deviation, in grey levels.
        seed: Seed of the random numbers.
    """

    def __init__(
        self, *, nodata: int, share: float, strength: Sequence[float], seed: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.nodata = nodata
        self.share = share
        self.strength = tuple(strength)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, *tile = ops.shape(images)
        grain = random.normal((1, *tile), seed=self.generator)
        strength = random.uniform((batch, 1, 1, 1), *self.strength, seed=self.generator)
        chosen = random.uniform((batch, 1, 1, 1), seed=self.generator) < self.share
        noisy = images + grain * ops.where(chosen, strength, 0.0)
        is_nodata = ops.all(images == 0, axis=-1) & is_unlabelled(labels, self.nodata)
        noisy = ops.clip(ops.round(noisy), 1.0, 255.0)
        return ops.where(is_nodata[..., None], 0.0, noisy), labels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodata": self.nodata,
            "share": self.share,
            "strength": self.strength,
            "seed": self.seed,
        }


def noise_layers(options: AugmentOptions, *, nodata: int, seed: int) -> list[keras.layers.Layer]:
    """List the noise layer if the recipe asks for it; else empty."""
    if options.noise == 0:
        return []
    return [
        RandomNoise(nodata=nodata, share=options.noise, strength=options.noise_strength, seed=seed)
    ]

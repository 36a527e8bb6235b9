"""Random changes of colour. Geometry and label stay."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, random

from polynya.recipe.training import AugmentOptions
from training.labels import is_unlabelled

_WHITE = 255.0


@keras.saving.register_keras_serializable("polynya")
class RandomColors(keras.layers.Layer):
    """Contrast, brightness and hue of each tile, changed in this order.

    Contrast stretches the distance of each band from its mean over the tile; brightness adds the
    same number to all bands; hue turns around the colour circle (HSV). Nodata (image 0 and no
    label) stays 0 and doesn't count in the mean, and no other pixel becomes 0.

    Args:
        nodata: Code of pixels without a label.
        contrast: Greatest change of the factor on contrast, either way.
        brightness: Greatest change of brightness either way, as a share of white.
        hue: Greatest turn of the hue either way, as a share of the circle.
        shares: Shares of tiles whose contrast, brightness and hue change.
        seed: Seed of the random numbers.
    """

    def __init__(
        self,
        *,
        nodata: int,
        contrast: float,
        brightness: float,
        hue: float,
        shares: tuple[float, float, float],
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.nodata = nodata
        self.contrast = contrast
        self.brightness = brightness
        self.hue = hue
        self.shares = tuple(shares)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        is_nodata = ops.all(images == 0, axis=-1) & is_unlabelled(labels, self.nodata)
        weights = ops.cast(~is_nodata, images.dtype)[..., None]
        batch = ops.shape(images)[0]
        contrast, brightness, hue = (
            self._draw(batch, most, share)
            for most, share in zip(
                (self.contrast, self.brightness, self.hue), self.shares, strict=True
            )
        )
        pixels = ops.maximum(ops.sum(weights, axis=(1, 2), keepdims=True), 1.0)
        mean = ops.sum(images * weights, axis=(1, 2), keepdims=True) / pixels
        changed = mean + (images - mean) * (1.0 + contrast) + brightness * _WHITE
        changed = ops.clip(changed, 1.0, _WHITE)
        if self.hue > 0:
            changed = ops.clip(_turned(changed, hue), 1.0, _WHITE)
        return ops.where(is_nodata[..., None], 0.0, changed), labels

    def _draw(self, batch: int, most: float, share: float) -> Any:
        """Draw a change for each tile, -most..most, or 0 for tiles that don't change."""
        shape = (batch, 1, 1, 1)
        change = random.uniform(shape, -most, most, seed=self.generator)
        chosen = random.uniform(shape, seed=self.generator) < share
        return ops.where(chosen, change, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodata": self.nodata,
            "contrast": self.contrast,
            "brightness": self.brightness,
            "hue": self.hue,
            "shares": self.shares,
            "seed": self.seed,
        }


def _turned(images: Any, turn: Any) -> Any:
    """Turn the hue of colours, values 0..255, by a share of the circle."""
    hsv = ops.image.rgb_to_hsv(images / _WHITE, data_format="channels_last")
    hue = hsv[..., :1] + turn
    turned = ops.concatenate([hue - ops.floor(hue), hsv[..., 1:]], axis=-1)
    return ops.image.hsv_to_rgb(turned, data_format="channels_last") * _WHITE


def color_layers(options: AugmentOptions, *, nodata: int, seed: int) -> list[keras.layers.Layer]:
    """List the layer of colours if the recipe asks for a change; else empty."""
    if options.contrast == options.brightness == options.hue == 0:
        return []
    return [
        RandomColors(
            nodata=nodata,
            contrast=options.contrast,
            brightness=options.brightness,
            hue=options.hue,
            shares=(options.contrast_share, options.brightness_share, options.hue_share),
            seed=seed,
        )
    ]

"""Random changes of light: simulated thin cloud and shadow. Geometry and label stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops, random

from polynya.recipe import AugmentOptions

FIELD_GRID = 64
"""Cells across a smooth field before it is enlarged to the tile."""

_OCTAVES = (1, 2, 4, 8)
"""Cells across the noise that a field is made of: from as wide as a tile to an eighth of it. Finer
ones would look like floes: what tells a cloud's edge from a floe's is that it is soft."""


def smooth_field(batch: int, height: int, width: int, generator: random.SeedGenerator) -> Any:
    """Smooth random patterns, each with its own scale, cover and softness.

    Normal noise on a few grids, weighted around a scale that is drawn for each tile, then bent by
    a logistic curve: a steep one gives banks with an edge, a flat one a veil all over.

    Args:
        batch: Number of patterns.
        height: Rows, in pixels.
        width: Columns.
        generator: Of the drawing.

    Returns:
        float32 (batch, height, width, 1), each scaled to 0..1.
    """

    def draw(low: float, high: float) -> Any:
        return random.uniform((batch, 1, 1, 1), low, high, seed=generator)

    scale = draw(0.0, len(_OCTAVES) - 1.0)
    field = ops.zeros((batch, FIELD_GRID, FIELD_GRID, 1))
    for octave, cells in enumerate(_OCTAVES):
        # Two more cells than fit, so that no tile has the border of the noise in it.
        noise = random.normal((batch, cells + 2, cells + 2, 1), seed=generator)
        enlarged = FIELD_GRID * (cells + 2) // cells
        noise = ops.image.resize(noise, (enlarged, enlarged), interpolation="bicubic")
        first = (enlarged - FIELD_GRID) // 2
        window = noise[:, first : first + FIELD_GRID, first : first + FIELD_GRID]
        field = field + window * ops.exp(-ops.square(octave - scale))
    field = field - ops.mean(field, axis=(1, 2), keepdims=True)
    field = field / (ops.std(field, axis=(1, 2), keepdims=True) + 1e-6)
    steepness = ops.exp(draw(-0.7, 1.4))
    field = ops.sigmoid(steepness * (field - draw(-0.5, 1.5)))
    lowest = ops.min(field, axis=(1, 2), keepdims=True)
    highest = ops.max(field, axis=(1, 2), keepdims=True)
    field = (field - lowest) / (highest - lowest + 1e-6)
    # A veil needn't be open anywhere on a tile: some keep a share of it everywhere.
    floor = ops.maximum(draw(-3.0, 0.6), 0.0)
    field = floor + (1.0 - floor) * field
    return ops.image.resize(field, (height, width), interpolation="bilinear")


@keras.saving.register_keras_serializable("polynya")
class RandomSky(keras.layers.Layer):
    """Simulated thin cloud and shadow: I = R g (1 - h) + W h.

    R is the clear tile, g = 1 - shade a smooth gain, h a smooth opacity and W the brightness of
    cloud, nearly white. The label stays what the ground is. Nodata (image 0 and no label) stays 0.

    Args:
        nodata: Code of pixels without a label.
        haze: Share of tiles with haze.
        haze_strength: Range of a tile's greatest opacity.
        shade: Share of tiles with shade.
        shade_strength: Range of the greatest share of light that a tile loses.
        seed: Of the drawing.

    Source: image model of thin cloud, as in O. R. Mitchell et al., "Filtering to remove cloud
    cover in satellite imagery", IEEE Trans. Geoscience Electronics, 1977.
    """

    def __init__(
        self,
        *,
        nodata: int,
        haze: float,
        haze_strength: Sequence[float],
        shade: float,
        shade_strength: Sequence[float],
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.nodata = nodata
        self.haze = haze
        self.haze_strength = tuple(haze_strength)
        self.shade = shade
        self.shade_strength = tuple(shade_strength)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, height, width, bands = ops.shape(images)
        generator = self.generator

        def strength(share: float, limits: tuple[float, ...]) -> Any:
            drawn = random.uniform((batch, 1, 1, 1), *limits, seed=generator)
            chosen = random.uniform((batch, 1, 1, 1), seed=generator) < share
            return ops.where(chosen, drawn, 0.0)

        result = images
        if self.shade > 0:
            shade = smooth_field(batch, height, width, generator)
            result = result * (1.0 - strength(self.shade, self.shade_strength) * shade)
        if self.haze > 0:
            opacity = smooth_field(batch, height, width, generator)
            opacity = opacity * strength(self.haze, self.haze_strength)
            white = random.uniform((batch, 1, 1, 1), 215.0, 255.0, seed=generator)
            tint = random.uniform((batch, 1, 1, bands), -6.0, 6.0, seed=generator)
            result = result + opacity * (white + tint - result)
        is_nodata = ops.all(images == 0, axis=-1) & (labels == self.nodata)
        result = ops.where(is_nodata[..., None], 0.0, ops.clip(result, 0.0, 255.0))
        return result, labels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodata": self.nodata,
            "haze": self.haze,
            "haze_strength": self.haze_strength,
            "shade": self.shade,
            "shade_strength": self.shade_strength,
            "seed": self.seed,
        }


def sky_layers(options: AugmentOptions, *, nodata: int, seed: int) -> list[keras.layers.Layer]:
    """The layers that change light but not geometry; none where the recipe asks for none."""
    if options.haze == 0 and options.shade == 0:
        return []
    return [
        RandomSky(
            nodata=nodata,
            haze=options.haze,
            haze_strength=options.haze_strength,
            shade=options.shade,
            shade_strength=options.shade_strength,
            seed=seed,
        )
    ]

"""Random changes of light: simulated thin cloud and shadow. Geometry and label stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops, random

from polynya.recipe.training import AugmentOptions
from training.labels import is_unlabelled

CELL = 8
"""Pixels between the grid points on which a sky is drawn, before it is enlarged to the tile."""

FINEST = 16.0
"""Least distance in pixels between the knots of a cloud. Finer clouds would look like floes: only
a soft edge distinguishes a cloud from a floe."""

_KNOTS_PER_STRUCTURE = 2.5
"""Approximate number of knots that a bump of noise and the dip beside it take."""

_EDGE = (-1.2, 1.5)
"""Range of the threshold above which the field is cloud, in standard deviations of the field. Cloud
covers from nearly all of a tile to almost nothing. Training with skies that are mostly clear gave
worse maps under cloud and shadow."""

_OCTAVES = 3
"""Number of scales: broad shapes, and on them wisps of half and a quarter of their size."""


def spline_weights(positions: Any, knots: int) -> Any:
    """Weights of cubic B-splines at unit distances: smooth to the second derivative.

    Args:
        positions: float32 (..., N), distance from the first knot, in knots. Positions in
            1..knots - 2 have full support.
        knots: Number of knots.

    Returns:
        float32 (..., N, knots).
    """
    distance = ops.abs(positions[..., None] - ops.arange(knots, dtype="float32"))
    near = 2.0 / 3.0 - ops.square(distance) * (1.0 - distance / 2.0)
    far = ops.power(ops.maximum(2.0 - distance, 0.0), 3) / 6.0
    return ops.where(distance < 1.0, near, far)


def evaluate_noise(noise: Any, rows: Any, columns: Any) -> Any:
    """Evaluate spline surfaces on grids.

    Args:
        noise: float32 (B, K, K), values at the knots.
        rows: float32 (B, N), positions of the grid's rows, in knots.
        columns: float32 (B, M), positions of the grid's columns, in knots.

    Returns:
        float32 (B, N, M).
    """
    knots = noise.shape[-1]
    across = ops.swapaxes(spline_weights(columns, knots), 1, 2)
    return ops.matmul(ops.matmul(spline_weights(rows, knots), noise), across)


class SkyDrawing:
    """Draws the skies of one batch on a coarse grid.

    Grid points are `CELL` pixels apart, and the grid extends two cells beyond the tile.

    Args:
        batch: Number of tiles.
        size: Edge of the tiles in pixels.
        cloud_size: Range of the size of the broadest shapes, in pixels.
        most_shift: Greatest displacement of a shadow from its cloud in pixels, along each side.
        generator: Source of the random numbers.
    """

    def __init__(
        self,
        batch: int,
        size: int,
        cloud_size: Sequence[float],
        most_shift: float,
        generator: random.SeedGenerator,
    ) -> None:
        self.batch = batch
        self.generator = generator
        self._cells = math.ceil(size / CELL)
        self._cloud_size = cloud_size
        self._most_shift = most_shift
        reach = (self._cells + 4) * CELL + 2.0 * most_shift
        self._knots = math.ceil(reach / FINEST) + 4

    def draw(self, low: float, high: float) -> Any:
        """Draw one uniform number per tile, float32 (B, 1, 1)."""
        return random.uniform((self.batch, 1, 1), low, high, seed=self.generator)

    def noise(self) -> tuple[Any, ...]:
        """Draw the parts of a field: values at the knots of each octave, roughness, distances."""
        shape = (_OCTAVES, self.batch, self._knots, self._knots)
        low, high = (math.log(s / _KNOTS_PER_STRUCTURE) for s in self._cloud_size)
        # Streaks lie along rows or columns; other layers turn the tile.
        stretch = self.draw(-0.45, 0.45)
        distance = self.draw(low, high)
        return (
            random.normal(shape, seed=self.generator),
            self.draw(0.0, 0.6),
            ops.exp(distance + stretch),
            ops.exp(distance - stretch),
        )

    def field(self, noise: tuple[Any, ...], shift: Any) -> Any:
        """Compute a smooth field of mean 0 and deviation about 1; float32 (B, N, N).

        Args:
            noise: Result of the method `noise`.
            shift: float32 (2, B, 1), displacement in pixels, -most_shift..most_shift.
        """
        values, roughness, *distances = noise
        points = (ops.arange(self._cells + 4, dtype="float32") + 0.5) * CELL + self._most_shift
        weights, surfaces = [], []
        for octave in range(_OCTAVES):
            rows, columns = (
                1.0
                + (points + shift[axis]) / ops.maximum(distances[axis][:, 0] / 2**octave, FINEST)
                for axis in range(2)
            )
            weights.append(ops.power(roughness, octave))
            surfaces.append(evaluate_noise(values[octave], rows, columns))
        # One `ops.sum` instead of `+`: TensorFlow adds three or more terms in an order that
        # depends on timing.
        weight = ops.stack(weights)
        total = ops.sum(weight * ops.stack(surfaces), axis=0)
        # Splines average neighbouring knots, which halves the deviation, about.
        return 2.0 * total / ops.sqrt(ops.sum(ops.square(weight), axis=0))

    def cover(self, field: Any, edge: Any, softness: Any, roundness: Any) -> Any:
        """Turn a field into cloud density, 0..1: banks with an edge, or veils everywhere."""
        above = (field - edge) / softness
        bank = ops.clip(above, 0.0, 1.0)
        bank = ops.square(bank) * (3.0 - 2.0 * bank)
        return roundness * bank + (1.0 - roundness) * ops.sigmoid(3.0 * above - 1.5)

    def enlarge(self, field: Any, size: int) -> Any:
        """Bring a field from the grid to the pixels of the tile; float32 (B, size, size)."""
        positions = (ops.arange(size, dtype="float32") + 0.5) / CELL + 1.5
        positions = ops.broadcast_to(positions, (self.batch, size))
        return evaluate_noise(field, positions, positions)


@keras.saving.register_keras_serializable("polynya")
class RandomSky(keras.layers.Layer):
    """Simulated thin cloud and shadow: I = R g (1 - h) + W h.

    R is the clear tile, g = 1 - shade a smooth gain, h a smooth opacity and W the brightness of
    cloud, nearly white. The label stays that of the ground. Nodata (image 0 and no label) stays 0,
    and no other pixel becomes 0.

    Args:
        nodata: Code of pixels without a label.
        haze: Share of tiles with haze.
        haze_strength: Range of a tile's greatest opacity.
        shade: Share of tiles with shade.
        shade_strength: Range of the greatest share of light that a tile loses.
        cloud_size: Range of the size of clouds and shadows, in pixels.
        cloud_brightness: Range of W in grey levels.
        displaced: Share of tiles in which the shade is a displaced copy of the haze.
        seed: Seed of the random numbers.

    Source: image model of thin cloud, as in O. R. Mitchell et al., "Filtering to remove cloud
    cover in satellite imagery", IEEE Trans. Geoscience Electronics, 1977.
    """

    MOST_SHIFT = 120.0
    """Greatest distance between a cloud and its shadow in pixels. If they are farther apart, they
    are rarely on the same tile."""

    def __init__(
        self,
        *,
        nodata: int,
        haze: float,
        haze_strength: Sequence[float],
        shade: float,
        shade_strength: Sequence[float],
        cloud_size: Sequence[float] = (80.0, 1500.0),
        cloud_brightness: Sequence[float] = (195.0, 255.0),
        displaced: float = 0.5,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.nodata = nodata
        self.haze = haze
        self.haze_strength = tuple(haze_strength)
        self.shade = shade
        self.shade_strength = tuple(shade_strength)
        self.cloud_size = tuple(cloud_size)
        self.cloud_brightness = tuple(cloud_brightness)
        self.displaced = displaced
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, height, width, bands = ops.shape(images)
        size = max(height, width)
        gain, opacity = self._fields(batch, size)
        gain, opacity = gain[:, :height, :width, None], opacity[:, :height, :width, None]
        white = random.uniform((batch, 1, 1, 1), *self.cloud_brightness, seed=self.generator)
        tint = random.uniform((batch, 1, 1, bands), -6.0, 6.0, seed=self.generator)
        result = images * gain + (white + tint) * opacity
        is_nodata = ops.all(images == 0, axis=-1) & is_unlabelled(labels, self.nodata)
        return ops.where(is_nodata[..., None], 0.0, ops.clip(result, 1.0, 255.0)), labels

    def _fields(self, batch: int, size: int) -> tuple[Any, Any]:
        """Draw the factor on the image, g (1 - h), and h: float32 (B, size, size) each."""
        drawing = SkyDrawing(batch, size, self.cloud_size, self.MOST_SHIFT, self.generator)
        draw = drawing.draw

        def strength(share: float, limits: tuple[float, ...]) -> Any:
            return ops.where(draw(0.0, 1.0) < share, draw(*limits), 0.0)

        cloud, other = drawing.noise(), drawing.noise()
        displaced = draw(0.0, 1.0) < self.displaced
        # The axis of octaves comes first in the knots; the condition broadcasts over it.
        shadow = tuple(ops.where(displaced, a, b) for a, b in zip(cloud, other, strict=True))
        most = self.MOST_SHIFT
        shift = random.uniform((2, batch, 1), -most, most, seed=self.generator)
        overhead = drawing.field(cloud, ops.zeros_like(shift))
        shading = drawing.field(shadow, shift)
        edge, softness, roundness = draw(*_EDGE), ops.exp(draw(-0.7, 0.9)), draw(0.0, 1.0)
        opacity = drawing.cover(overhead, edge, softness, roundness)
        edge = ops.where(displaced, edge, draw(*_EDGE))
        # Light scattered in and below a cloud makes the shadow softer than the cloud.
        shade = drawing.cover(shading, edge, softness * ops.exp(draw(0.0, 0.5)), roundness)
        opacity = opacity * strength(self.haze, self.haze_strength)
        gain = 1.0 - shade * strength(self.shade, self.shade_strength)
        return drawing.enlarge(gain * (1.0 - opacity), size), drawing.enlarge(opacity, size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodata": self.nodata,
            "haze": self.haze,
            "haze_strength": self.haze_strength,
            "shade": self.shade,
            "shade_strength": self.shade_strength,
            "cloud_size": self.cloud_size,
            "cloud_brightness": self.cloud_brightness,
            "displaced": self.displaced,
            "seed": self.seed,
        }


def sky_layers(options: AugmentOptions, *, nodata: int, seed: int) -> list[keras.layers.Layer]:
    """List the layers that change light but not geometry; empty if the recipe asks for none."""
    if options.haze == 0 and options.shade == 0:
        return []
    return [
        RandomSky(
            nodata=nodata,
            haze=options.haze,
            haze_strength=options.haze_strength,
            shade=options.shade,
            shade_strength=options.shade_strength,
            cloud_size=options.cloud_size,
            cloud_brightness=options.cloud_brightness,
            displaced=options.displaced,
            seed=seed,
        )
    ]

"""Random changes of place: image and label move together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops, random

from polynya.recipe.training import AugmentOptions, Fill
from training.labels import as_channels, from_channels, is_unlabelled


@keras.saving.register_keras_serializable("polynya")
class RandomDihedral(keras.layers.Layer):
    """One of the eight flips and right-angle turns of a square tile, each equally likely.

    Args:
        seed: Seed of the random numbers.
    """

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, height, width = ops.shape(labels)[:3]
        if height != width:
            raise ValueError(f"`images` must be square. Received: {height} x {width} pixels")
        coins = random.uniform((3, batch), seed=self.generator) < 0.5
        # Three independent coins (transpose, flip rows, flip columns) make all eight elements.
        changes = (
            lambda x: ops.swapaxes(x, 1, 2),
            lambda x: ops.flip(x, axis=1),
            lambda x: ops.flip(x, axis=2),
        )
        # Image and label change as one float image: codes are exact in floating point, and
        # TensorFlow logs an error where oneDNN can't transpose integers.
        codes = ops.cast(as_channels(labels), images.dtype)
        both = ops.concatenate([images, codes], axis=-1)
        for index, change in enumerate(changes):
            both = ops.where(ops.reshape(coins[index], (batch, 1, 1, 1)), change(both), both)
        bands = images.shape[-1]
        return both[..., :bands], from_channels(both[..., bands:], labels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("polynya")
class RandomFlips(keras.layers.Layer):
    """Flips from left to right and from top to bottom, each for a share of tiles of its own.

    Args:
        horizontal: Share of tiles that are flipped from left to right.
        vertical: Share of tiles that are flipped from top to bottom.
        seed: Seed of the random numbers.
    """

    def __init__(self, *, horizontal: float, vertical: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.horizontal = horizontal
        self.vertical = vertical
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch = ops.shape(images)[0]
        for share, axis in ((self.horizontal, 2), (self.vertical, 1)):
            chosen = random.uniform((batch,), seed=self.generator) < share
            images = _where(chosen, ops.flip(images, axis=axis), images)
            labels = _where(chosen, ops.flip(labels, axis=axis), labels)
        return images, labels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "horizontal": self.horizontal,
            "vertical": self.vertical,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("polynya")
class ForShare(keras.layers.Layer):
    """Another layer for a share of the tiles; the others stay as they are.

    Args:
        layer: Layer on (images, labels).
        share: Share of tiles that it changes.
        seed: Seed of the random numbers that choose tiles.
    """

    def __init__(self, layer: Any, *, share: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        made = keras.saving.deserialize_keras_object(layer) if isinstance(layer, dict) else layer
        self.layer = made
        self.share = share
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        chosen = random.uniform((ops.shape(images)[0],), seed=self.generator) < self.share
        changed, codes = self.layer(images, labels)
        return _where(chosen, changed, images), _where(chosen, codes, labels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "share": self.share,
            "seed": self.seed,
        }


def _where(chosen: Any, changed: Any, tiles: Any) -> Any:
    """Take some tiles (B, ...) changed, and the others as they are; chosen: bool (B,)."""
    shape = (-1, *(1 for _ in tiles.shape[1:]))
    return ops.where(ops.reshape(chosen, shape), changed, tiles)


@keras.saving.register_keras_serializable("polynya")
class RandomAffine(keras.layers.Layer):
    """Rotation about the tile's centre, zoom and shift, as one warp.

    The image is interpolated between its valid pixels only (weights of nodata are left out and the
    others rescaled), so no pixel becomes a mixture of ice and the black of nodata. The label comes
    from the nearest pixel, so no new codes appear. A pixel becomes nodata if the nearest pixel is
    nodata (image 0 and no label) or outside the tile. If the ranges allow no change, tiles stay as
    they are.

    Args:
        nodata: Code of pixels without a label.
        rotation: Greatest angle in either direction, in degrees.
        zoom: Range of the factor by which objects grow; its logarithm is drawn uniformly.
        shift: Greatest shift along rows and columns, as a share of the tile's edge.
        seed: Seed of the random numbers.
        has_gaps: Images are NaN where a band has no value, instead of 0 where a pixel is nodata.
            Then each band is interpolated between its own values.
        fill: What comes from outside the tile: nodata, or the tile reflected at its edge, image
            and label alike.

    Source: normalised convolution of incomplete data, H. Knutsson and C.-F. Westin, "Normalized
    and differential convolution", CVPR 1993.
    """

    def __init__(
        self,
        *,
        nodata: int,
        rotation: float,
        zoom: Sequence[float],
        shift: float,
        seed: int,
        has_gaps: bool = False,
        fill: Fill = "nodata",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.nodata = nodata
        self.has_gaps = has_gaps
        self.fill = fill
        self.rotation = rotation
        self.zoom = tuple(zoom)
        self.shift = shift
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def call(self, images: Any, labels: Any) -> tuple[Any, Any]:
        batch, height, width = ops.shape(labels)[:3]
        warp = self._draw(batch, height, width)
        if self.has_gaps:
            finite = ops.isfinite(images)
            weights, images = ops.cast(finite, images.dtype), ops.where(finite, images, 0.0)
        else:
            is_valid = ops.any(images != 0, axis=-1)
            is_valid = is_valid | ~is_unlabelled(labels, self.nodata)
            weights = ops.cast(is_valid, images.dtype)[..., None]
        bands = images.shape[-1]
        # A warp fills with 0 from outside the tile. 0 means no weight, not valid and, as codes are
        # counted from nodata here, nodata.
        both = ops.concatenate([images * weights, weights], axis=-1)
        smooth = _warp(both, warp, "bilinear", self.fill)
        codes = ops.cast(as_channels(labels) - self.nodata, images.dtype)
        count = codes.shape[-1]
        nearest = _warp(ops.concatenate([codes, weights], axis=-1), warp, "nearest", self.fill)
        # Where the nearest pixel is valid, the weight is at least 0.25. The lower bound 0.125 only
        # avoids a division by 0 at other pixels.
        pixels = smooth[..., :bands] / ops.maximum(smooth[..., bands:], 0.125)
        if not self.has_gaps:
            pixels = ops.clip(pixels, 0.0, 255.0)
        is_there = nearest[..., count:] > 0.5
        pixels = ops.where(is_there, pixels, float("nan") if self.has_gaps else 0.0)
        return pixels, from_channels(ops.round(nearest[..., :count]), labels) + self.nodata

    def _draw(self, batch: int, height: int, width: int) -> Any:
        """Draw eight numbers per tile that map (x, y) in the result to (x, y) in the tile."""

        def draw(low: float, high: float) -> Any:
            return random.uniform((batch,), low, high, seed=self.generator)

        angle = draw(-math.radians(self.rotation), math.radians(self.rotation))
        scale = ops.exp(-draw(*(math.log(factor) for factor in self.zoom)))
        column, row = (width - 1) / 2, (height - 1) / 2
        # Coordinates count from the centre of the tile's first pixel.
        from_x = column + draw(-self.shift, self.shift) * width
        from_y = row + draw(-self.shift, self.shift) * height
        cosine, sine = ops.cos(angle) * scale, ops.sin(angle) * scale
        zero = ops.zeros_like(angle)
        return ops.stack(
            [
                *(cosine, -sine, column - cosine * from_x + sine * from_y),
                *(sine, cosine, row - sine * from_x - cosine * from_y),
                *(zero, zero),
            ],
            axis=1,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodata": self.nodata,
            "rotation": self.rotation,
            "zoom": self.zoom,
            "shift": self.shift,
            "seed": self.seed,
            "has_gaps": self.has_gaps,
            "fill": self.fill,
        }


def _warp(layers: Any, warp: Any, interpolation: str, fill: Fill) -> Any:
    return ops.image.affine_transform(
        layers,
        warp,
        interpolation=interpolation,
        fill_mode="constant" if fill == "nodata" else "reflect",
        fill_value=0.0,
        data_format="channels_last",
    )


def geometry_layers(
    options: AugmentOptions, *, nodata: int, seed: int, has_gaps: bool = False
) -> list[keras.layers.Layer]:
    """List the layers that move pixels; empty if the recipe asks for none."""
    layers: list[keras.layers.Layer] = []

    def add(layer: keras.layers.Layer, share: float, own_seed: int) -> None:
        # A layer for all tiles draws no numbers about shares, so a seed gives what it always gave.
        layers.append(layer if share == 1 else ForShare(layer, share=share, seed=own_seed))

    if options.dihedral:
        add(RandomDihedral(seed), options.dihedral_share, seed + 4)
    if options.flip_horizontal > 0 or options.flip_vertical > 0:
        layers.append(
            RandomFlips(
                horizontal=options.flip_horizontal, vertical=options.flip_vertical, seed=seed + 5
            )
        )
    if options.rotation > 0 or options.shift > 0 or options.zoom != (1.0, 1.0):
        affine = RandomAffine(
            nodata=nodata,
            rotation=options.rotation,
            zoom=options.zoom,
            shift=options.shift,
            # A seed of its own, so this layer doesn't change the sky that a seed gives.
            seed=seed + 2,
            has_gaps=has_gaps,
            fill=options.fill,
        )
        add(affine, options.warp_share, seed + 6)
    return layers

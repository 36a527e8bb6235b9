"""The first part of a model, on its bands: indices, missing values, scaling.

It consists of Keras' own operations on the model's input. So it is saved with the model, runs on
every back end, and is the same for maps as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from polynya.errors import RecipeError
from polynya.recipe.features import FeatureOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.indices import SpectralIndex, find_index

Features = Callable[[Any], Any]
"""Function from the model's input, float32 (B, H, W, bands), to features, float32 (B, H, W, F)."""

_LEAST_WIDTH = 1e-6
"""Lower bound of a range or deviation, because a constant band has a range of 0."""


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of each feature over the valid pixels of the training tiles, float64 (F,)."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    low: NDArray[np.float64]
    """Value at the lower quantile of the recipe."""
    high: NDArray[np.float64]


@dataclass(frozen=True)
class FeaturePlan:
    """The features that a recipe makes from the bands of its scenes."""

    bands: tuple[str, ...]
    indices: tuple[SpectralIndex, ...]
    options: FeatureOptions
    is_colors: bool
    """Whether images are 8-bit colours, black where nodata; else float32, NaN where missing."""
    fixed_range: tuple[float, float]
    """Range of the bands, for the scaling "range"."""

    @classmethod
    def of(cls, recipe: Recipe) -> FeaturePlan:
        """Read the plan from a recipe; RecipeError for an unknown index or for a missing band."""
        scene = recipe.scene
        for name in recipe.features.missing_where:
            if name not in scene.seen_bands:
                raise RecipeError(
                    f"The recipe's key 'features.missing_where' names the band '{name}';"
                    f" 'scene.inputs' names {', '.join(scene.seen_bands)}."
                )
        return cls(
            scene.seen_bands,
            tuple(find_index(name, scene.seen_bands) for name in recipe.features.indices),
            recipe.features,
            scene.sees_colors,
            (0.0, 255.0) if scene.sees_colors else scene.stretch,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features: bands, then indices."""
        return (*self.bands, *(index.name for index in self.indices))

    @property
    def scaling(self) -> str:
        return self.options.scaling or ("range" if self.is_colors else "z_score")

    @property
    def needs_statistics(self) -> bool:
        """Whether statistics of the data set are needed to build the model."""
        if self.options.of_image or self.is_plain:
            return False
        return self.scaling not in ("range", "none") or isinstance(self.options.fill, str)

    @property
    def is_plain(self) -> bool:
        """Whether features are only 8-bit colours in their fixed range, as in the first models."""
        options = self.options
        extra = options.indices or options.missing_where
        return self.is_colors and self.scaling == "range" and not extra

    def raw(self, images: Any) -> Any:
        """Compute bands and indices, (B, H, W, F): not finite where missing.

        Formulas of indices expect reflectance, so they get colours scaled to 0..1.
        """
        if self.is_colors:
            # Scenes are black where they have nodata.
            seen = ops.any(ops.not_equal(images, 0), axis=-1, keepdims=True)
            images = ops.where(seen, images, float("nan"))
        images = self._without_bad(images)
        if not self.indices:
            return images
        unit = 1.0 / 255.0 if self.is_colors else 1.0
        layers = [images[..., place : place + 1] * unit for place in range(len(self.bands))]
        values = dict(zip(self.bands, layers, strict=True))
        return ops.concatenate([images, *(i.compute(values) for i in self.indices)], axis=-1)

    def _without_bad(self, images: Any) -> Any:
        """Make values missing where the bands of `missing_where` say that they are bad."""
        bad: Any = False
        for name, limits in self.options.missing_where.items():
            place = self.bands.index(name)
            band = images[..., place : place + 1]
            if limits.above is not None:
                bad = ops.logical_or(bad, band > limits.above)
            if limits.below is not None:
                bad = ops.logical_or(bad, band < limits.below)
        if bad is False:
            return images
        judged = np.array([name not in self.options.missing_where for name in self.bands])
        return ops.where(ops.logical_and(bad, judged), float("nan"), images)


def make_features(plan: FeaturePlan, statistics: FeatureStatistics | None) -> Features | None:
    """Make the function before a model's first layer.

    Args:
        plan: Plan of the recipe.
        statistics: Statistics of the data set, if the plan needs them.

    Returns:
        The function; None for 8-bit colours in their fixed range, which models scale themselves.
    """
    if plan.is_plain:
        return None
    options = plan.options

    def features(images: Any) -> Any:
        raw = plan.raw(images)
        finite = ops.isfinite(raw)
        known = ops.where(finite, raw, 0.0)
        found = None
        if options.of_image:
            found = _Found.of_image(known, finite, options.statistics == "image_all_bands")
        fill = _fill(plan, statistics, found)
        filled = ops.where(finite, raw, fill)
        low, width = _scale(plan, statistics, found, filled)
        scaled = (filled - low) / width
        if options.clip and plan.scaling in ("min_max", "quantile"):
            scaled = ops.clip(scaled, 0.0, 1.0)
        return scaled

    return features


@dataclass(frozen=True)
class _Found:
    """Statistics of each image over its finite values, (B, 1, 1, F), or (B, 1, 1, 1) of all F."""

    mean: Any
    deviation: Any
    minimum: Any
    maximum: Any
    axes: tuple[int, ...]
    """Axes over which the statistics were taken."""
    least_deviation: Any
    """Lower bound of the deviation that the z-score divides by."""

    @classmethod
    def of_image(cls, known: Any, finite: Any, all_bands: bool) -> _Found:
        axes = (1, 2, 3) if all_bands else (1, 2)
        weight = ops.cast(finite, "float32")
        count = ops.maximum(ops.sum(weight, axis=axes, keepdims=True), 1.0)
        mean = ops.sum(known, axis=axes, keepdims=True) / count
        square = ops.sum(weight * ops.square(known - mean), axis=axes, keepdims=True)
        some = ops.any(finite, axis=axes, keepdims=True)

        def extreme(reduce: Any, beyond: float) -> Any:
            found = reduce(ops.where(finite, known, beyond), axis=axes, keepdims=True)
            return ops.where(some, found, 0.0)

        return cls(
            mean,
            ops.sqrt(square / count),
            extreme(ops.min, float("inf")),
            extreme(ops.max, float("-inf")),
            axes,
            1.0 / ops.sqrt(count / finite.shape[-1]) if all_bands else _LEAST_WIDTH,
        )


def _fixed(plan: FeaturePlan) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find both ends of the fixed range of each feature; 0..1 keeps indices as they are."""
    low, high = plan.fixed_range
    bands, indices = len(plan.bands), len(plan.indices)
    return (
        np.array([low] * bands + [0.0] * indices, np.float32),
        np.array([high] * bands + [1.0] * indices, np.float32),
    )


def _fill(plan: FeaturePlan, statistics: FeatureStatistics | None, found: _Found | None) -> Any:
    fill = plan.options.fill
    if not isinstance(fill, str):
        return float(fill)
    if found is not None:
        return getattr(found, fill)
    if statistics is not None:
        return np.asarray(getattr(statistics, fill), np.float32)
    low, high = _fixed(plan)
    return {"minimum": low, "maximum": high, "mean": (low + high) / 2}[fill]


def _scale(
    plan: FeaturePlan, statistics: FeatureStatistics | None, found: _Found | None, filled: Any
) -> tuple[Any, Any]:
    """Find the value that becomes 0, and the width that becomes 1."""
    match plan.scaling:
        case "none":
            return 0.0, 1.0
        case "range":
            low, high = _fixed(plan)
        case "z_score" if found is not None:
            return found.mean, ops.maximum(found.deviation, found.least_deviation)
        case "min_max" if found is not None:
            return found.minimum, ops.maximum(found.maximum - found.minimum, _LEAST_WIDTH)
        case "quantile" if found is not None:
            # From the filled image: usually few pixels are missing, and if many are missing, the
            # quantiles mean little.
            low, high = (
                ops.quantile(filled, share, axis=found.axes, keepdims=True)
                for share in plan.options.quantiles
            )
            return low, ops.maximum(high - low, _LEAST_WIDTH)
        case "z_score":
            assert statistics is not None
            width = np.maximum(statistics.deviation, _LEAST_WIDTH)
            return np.asarray(statistics.mean, np.float32), width.astype(np.float32)
        case kind:
            assert statistics is not None
            ends = ("minimum", "maximum") if kind == "min_max" else ("low", "high")
            low, high = (getattr(statistics, end) for end in ends)
    width = np.maximum(np.asarray(high) - np.asarray(low), _LEAST_WIDTH)
    return np.asarray(low, np.float32), width.astype(np.float32)

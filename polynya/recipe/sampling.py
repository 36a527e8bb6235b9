"""Key `training.sampling` of the recipe: which tiles an epoch sees, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from polynya.errors import RecipeError
from polynya.recipe.base import Options, Positive, Tagged

CLASS_FEATURES = ("has", "share")
"""Features of a class, written as has:CLASS and share:CLASS."""
QA_FEATURES = ("qa_ok", "bad")
ELEVATION_FEATURES = ("water", "all_water", "nan", "zero")
FEATURES = (*(f"{name}:CLASS" for name in CLASS_FEATURES), "nodata", *QA_FEATURES)
FEATURES += ELEVATION_FEATURES
"""Named features of a tile (`training.input.tile_features`)."""
COMPLEMENT = "1 - "
"""Beginning of a name that stands for 1 minus the feature."""

Coefficient = Annotated[float, Field(ge=-1e6, le=1e6)]


class EachOptions(Options):
    """Every training tile once an epoch."""

    name: Literal["each"] = "each"


class _DrawnOptions(Options):
    samples: Positive | None = None
    """Number of tiles drawn for an epoch, each with replacement. Default: as many as there are
    training tiles."""


class BalancedOptions(_DrawnOptions):
    """Tiles of all classes equally often: a class at random, then a tile by its share of it."""

    name: Literal["balanced"] = "balanced"


class FeatureSamplingOptions(_DrawnOptions):
    """Tiles by a weighted sum of features, brought to 0..1; the tile with the least is not drawn.

    The formula is that of a solution for DrivenData's kelp forests (docs/splits.md).
    """

    name: Literal["features"] = "features"
    weights: Annotated[dict[str, Coefficient], Field(min_length=1, max_length=64)]
    """Factor of each feature: has:CLASS, share:CLASS, nodata, qa_ok, bad, water, all_water, nan or
    zero, or 1 minus one of them, such as '1 - share:kelp'."""
    qa: str = "qa"
    """Band for qa_ok and bad: 0 where a pixel is good."""
    elevation: str = "elevation"
    """Band for water, all_water, nan and zero."""

    @field_validator("weights")
    @classmethod
    def _features_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        for name in map(feature_of, value):
            kind, _, class_name = name.partition(":")
            if name not in FEATURES and not (kind in CLASS_FEATURES and class_name):
                raise ValueError(f"'{name}' is no feature; take some of {', '.join(FEATURES)}")
        return value

    def check(self, classes: Sequence[str], bands: Sequence[str]) -> None:
        """Raise RecipeError if a feature is of an unknown class or of a missing band."""
        for name in map(feature_of, self.weights):
            kind, _, class_name = name.partition(":")
            if kind in CLASS_FEATURES and class_name not in classes:
                raise RecipeError(
                    f"The recipe key 'training.sampling.weights' has '{name}', and there is no"
                    f" class '{class_name}'; take one of {', '.join(classes)}."
                )
            for key, features in (("qa", QA_FEATURES), ("elevation", ELEVATION_FEATURES)):
                band = getattr(self, key)
                if name in features and band not in bands:
                    raise RecipeError(
                        f"The recipe key 'training.sampling.weights' has '{name}', which needs the"
                        f" band '{band}'; name one of {', '.join(bands)} as"
                        f" 'training.sampling.{key}', or add it to 'scene.inputs'."
                    )


def feature_of(name: str) -> str:
    """Name of the feature itself, without `COMPLEMENT`."""
    return name.removeprefix(COMPLEMENT)


SamplingOptions = Annotated[
    EachOptions | BalancedOptions | FeatureSamplingOptions, Tagged("name", default="each")
]

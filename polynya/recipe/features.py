"""Section `features` of the recipe: what a model makes of its bands before it looks at them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from polynya.recipe.base import Options, Share

Scaling = Literal["range", "z_score", "min_max", "quantile", "none"]
FiniteNumber = Annotated[float, Field(ge=-1e9, le=1e9)]


class FeatureOptions(Options):
    """Indices, missing values and scaling: a part of the saved model, so maps use them too."""

    indices: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Spectral indices by their names in Awesome Spectral Indices (NDVI, NDWI, NDSI ..), computed
    of the bands that 'scene.inputs' names and seen beside them."""
    scaling: Scaling | None = None
    """range: a fixed range becomes 0..1 (8-bit colours: 0..255; other bands: 'scene.stretch';
    indices stay). z_score: mean 0, standard deviation 1. min_max: least and greatest become 0 and
    1. quantile: two quantiles become 0 and 1. none: as they are. Default: range for 8-bit colours,
    z_score for other bands."""
    statistics: Literal["data_set", "image"] = "data_set"
    """Over what statistics are taken, of each band for itself. data_set: all valid pixels of the
    training scenes. image: the tile or window that the model sees."""
    quantiles: tuple[Share, Share] = (0.02, 0.98)
    """Shares of pixels below what becomes 0 and 1."""
    clip: bool = True
    """Cut off what min_max and quantile bring below 0 or above 1."""
    fill: Literal["mean", "minimum", "maximum"] | FiniteNumber = "mean"
    """What stands for a missing value of a band or index: one of its statistics, or a number in
    units of the band. With the fixed range: its middle and its ends."""

    @field_validator("quantiles")
    @classmethod
    def _quantiles_rise(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] <= value[0]:
            raise ValueError("the second value must be greater than the first")
        return value

    @field_validator("indices")
    @classmethod
    def _indices_occur_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each index may be named once")
        return value

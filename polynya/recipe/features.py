"""Section `features` of the recipe: how the first layer of a model prepares its bands."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from polynya.recipe.base import Options, Share

Scaling = Literal["range", "z_score", "min_max", "quantile", "none"]
FiniteNumber = Annotated[float, Field(ge=-1e9, le=1e9)]


class Limits(Options):
    """Values of a band that count as bad: above one limit, or below the other."""

    above: FiniteNumber | None = None
    """Values greater than this number."""
    below: FiniteNumber | None = None
    """Values less than this number."""

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give 'above', 'below', or both")
        return self


class FeatureOptions(Options):
    """Indices, missing values and scaling. The saved model contains them, so maps also use them."""

    missing_where: dict[str, Limits] = Field(default_factory=dict, max_length=16)
    """Bands that say where other bands are bad, such as {qa: {above: 0}, elevation: {above: 0}} for
    defective pixels and land. There, all bands that aren't named here count as missing, before
    indices are computed."""
    indices: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    """Spectral indices by their names in Awesome Spectral Indices (such as NDVI, NDWI, NDSI), or
    those of the kelp study (such as kelp_AVI). They are computed from the bands of 'scene.inputs',
    and the model sees them in addition."""
    scaling: Scaling | None = None
    """Scaling of bands and indices. range: a fixed range becomes 0..1 (8-bit colours: 0..255;
    other bands: 'scene.stretch'; indices are not scaled). z_score: mean 0, standard deviation 1.
    min_max: least and greatest value become 0 and 1. quantile: two quantiles become 0 and 1. none:
    no scaling. Default: range for 8-bit colours, z_score for other bands."""
    statistics: Literal["data_set", "image", "image_all_bands"] = "data_set"
    """Pixels from which the statistics of each band are computed. data_set: all valid pixels of
    the training scenes. image: the tile or window that the model sees. image_all_bands: the same,
    but one statistic for all bands and indices together, as Segmentation Gym standardises; z_score
    then divides by at least 1 / sqrt(number of pixels)."""

    @property
    def of_image(self) -> bool:
        """Whether statistics are those of the tile or window, so that none must be found before."""
        return self.statistics != "data_set"

    quantiles: tuple[Share, Share] = (0.02, 0.98)
    """The two quantiles that become 0 and 1, as shares of pixels."""
    clip: bool = True
    """Clip results of min_max and quantile to 0..1."""
    fill: Literal["mean", "minimum", "maximum"] | FiniteNumber = "mean"
    """Replacement for a missing value of a band or index: a statistic of the band or index, or a
    number in units of the band. With the scaling range: the middle or an end of the range."""

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

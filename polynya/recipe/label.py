"""Section `label` of the recipe: how tiles get their labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from polynya.errors import RecipeError
from polynya.recipe.base import STEM, Options, Share
from polynya.recipe.thresholds import Profile

_NAME_TAG, _RANGES_TAG = "<name>", "<ranges>"


def _profile_tag(content: object) -> str:
    return _RANGES_TAG if isinstance(content, (dict, Profile)) else _NAME_TAG


ProfileChoice = Annotated[
    Annotated[str, Tag(_NAME_TAG)] | Annotated[Profile, Tag(_RANGES_TAG)],
    Discriminator(_profile_tag),
]
"""Colour thresholds: the name of a set, or the ranges themselves."""


FilterName = Literal["none", "published", "illumination"]
"""Filters that run before the colour thresholds; `autolabel.filters` defines them."""

FIND_CLOUD: tuple[FilterName, ...] = ("illumination",)
"""Filters that know where cloud is thick and how certain a label is."""


class LabelOptions(Options):
    """How tiles get their labels."""

    method: FilterName = "illumination"
    """Filter for thin cloud and shadow before the colour thresholds. illumination: estimates the
    light of a scene. published: the filter of the paper. none: no filter."""
    profile: ProfileChoice = "ross-sea-summer"
    """Colour thresholds: the name of a set that comes with Polynya, or your own set with the keys
    name, ranges and allow_gaps (`polynya.recipe.thresholds`)."""
    scope: Literal["scene", "tile"] = "scene"
    """Part that the filter sees at once: the whole scene, or each single tile (as in the published
    job)."""
    images: Literal["original", "filtered"] = "original"
    """Image in the shards beside the label; a model learns from it and sees the same in scenes."""
    thick_cloud: Literal["label", "nodata"] = "label"
    """Label of pixels under thick cloud: keep it, or nodata. Thick cloud is found from the
    product's cloud layer or the short-wave infrared (`scene.layers`), or by `most_haze`. The value
    nodata needs the method "illumination"."""
    most_haze: Share = 0.6
    """Opacity of haze above which cloud is thick."""
    uncertain: Literal["label", "nodata"] = "label"
    """Label of pixels with a confidence below `least_confidence`: keep it, or nodata. The value
    nodata needs the method "illumination"."""
    least_confidence: Annotated[float, Field(ge=0.0, le=0.98)] = 0.8
    """Least estimated probability, 0.5..0.98, that a label is correct. No label has more than
    0.985, because no light is sure."""
    raster: str | None = None
    """Your own labels instead of filter and thresholds: file name of a raster beside each scene,
    with the scene's name in it, such as "{stem}_labels.tif". The raster has one band of class
    codes; for masks (`classes.kind`), one band of 0 and 1 per mask. The nodata value of the raster
    or of the classes means unknown. Only `images: filtered` still runs the filter, for the images.
    Default: none."""

    soft: bool = False
    """Whether the raster has a float band for each class: the share of the class in a pixel, or
    its probability, 0..1. The shares of exclusive classes add up to 1."""

    @model_validator(mode="after")
    def _labels_are_made_once(self) -> LabelOptions:
        if self.raster is None:
            if self.soft:
                raise RecipeError(
                    "The recipe key 'label.soft' is true, but thresholds give no shares; name the"
                    " rasters that have them in 'label.raster', or leave 'label.soft' out."
                )
            return self
        if STEM not in self.raster:
            raise RecipeError(
                f"The recipe key 'label.raster' is '{self.raster}', which is one file for all"
                f" scenes; put {STEM} where the name of a scene belongs, such as"
                f' "{STEM}_labels.tif".'
            )
        for key in ("thick_cloud", "uncertain"):
            if getattr(self, key) != "label":
                raise RecipeError(
                    f"The recipe key 'label.{key}' is '{getattr(self, key)}', which is for labels"
                    " of a filter, and 'label.raster' names others; set"
                    f" 'label.{key}' to label, or leave 'label.raster' out."
                )
        return self

    @model_validator(mode="after")
    def _nodata_needs_the_sky(self) -> LabelOptions:
        if self.method in FIND_CLOUD and self.scope == "scene":
            return self
        able = " or ".join(f"'{name}'" for name in FIND_CLOUD)
        for key, value in (("thick_cloud", self.thick_cloud), ("uncertain", self.uncertain)):
            if value == "nodata":
                raise RecipeError(
                    f"The recipe key 'label.{key}' is 'nodata', which only the method"
                    f" {able} with the scope 'scene' can find; set 'label.method' and"
                    f" 'label.scope' to these, or 'label.{key}' to 'label'."
                )
        return self

    @property
    def runs_filter(self) -> bool:
        """Whether filter and thresholds are used: for labels, or for images beside other labels."""
        return self.raster is None or self.images == "filtered"

    @property
    def source(self) -> str:
        """Where labels come from, as written beside each tile."""
        if self.raster is not None:
            return f"raster/{self.raster}"
        return f"{self.method}/{self.scope}/{self.profile_name}"

    @property
    def profile_name(self) -> str:
        """Name of the colour thresholds, also of your own set."""
        return self.profile if isinstance(self.profile, str) else self.profile.name

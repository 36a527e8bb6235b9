"""Section `label` of the recipe: how tiles get their labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Tag, model_validator

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
"""Thresholds by name, or as they are."""


FilterName = Literal["none", "published", "illumination"]
"""Filters before the colour thresholds; each is defined in `autolabel.filters`."""

FIND_CLOUD: tuple[FilterName, ...] = ("illumination",)
"""Those that know where cloud is thick and how sure a label is."""


class LabelOptions(Options):
    """How tiles get their labels."""

    method: FilterName = "illumination"
    """Thin-cloud and shadow filter before the colour thresholds: the one that finds the light, the
    paper's, or none."""
    profile: ProfileChoice = "ross-sea-summer"
    """Colour thresholds: the name of a set that comes with the labelling, or a set of its own with
    the keys name, ranges and allow_gaps (`polynya.recipe.thresholds`)."""
    scope: Literal["scene", "tile"] = "scene"
    """What the filter sees at once: the whole scene, or each tile alone as the published job."""
    images: Literal["original", "filtered"] = "original"
    """Which image goes into the shards beside the label, and so what a model learns and sees."""
    thick_cloud: Literal["label", "nodata"] = "label"
    """What pixels become whose ground cloud hides: by the product's cloud layer or the short-wave
    infrared (`scene.layers`), or by `most_haze`. Needs the method "illumination"."""
    most_haze: Share = 0.6
    """Opacity of haze above which cloud is thick."""
    uncertain: Literal["label", "nodata"] = "label"
    """What pixels become whose label is less sure than `least_confidence`; likewise."""
    least_confidence: Share = 0.8
    """Least estimated chance, 0.5..1, that a label is right."""
    raster: str | None = None
    """Labels that you have already, in the place of filter and thresholds: a raster beside each
    scene, with the scene's name in its own, such as "{stem}_labels.tif". One band of class codes;
    for masks (`classes.kind`) a band each, 0 or 1. Its nodata value, or that of the classes, means
    unknown. Default: none."""

    soft: bool = False
    """The raster has a band of floats for each class, with the share of the class in a pixel, or
    the chance that it has it, 0..1; those of classes that exclude each other add up to 1."""

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
        for key, instead in (
            ("images", "original"), ("thick_cloud", "label"), ("uncertain", "label"),
        ):  # fmt: skip
            if getattr(self, key) != instead:
                raise RecipeError(
                    f"The recipe key 'label.{key}' is '{getattr(self, key)}', which a filter would"
                    " have to find, and with 'label.raster' none runs; set"
                    f" 'label.{key}' to {instead}, or leave 'label.raster' out."
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
    def source(self) -> str:
        """Where labels come from, as it stands beside each tile."""
        if self.raster is not None:
            return f"raster/{self.raster}"
        return f"{self.method}/{self.scope}/{self.profile_name}"

    @property
    def profile_name(self) -> str:
        """Name of the colour thresholds, however they are given."""
        return self.profile if isinstance(self.profile, str) else self.profile.name

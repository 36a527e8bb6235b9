"""The recipe: one YAML file that says everything a run depends on.

Unknown keys are errors, so that a misspelt key can't silently become a default. The digest of the
complete recipe (defaults filled in) goes into every product.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.rasters.references import References
from polynya.rasters.scaling import FARTHEST_STRETCH, LEAST_STRETCH, Offset, Scale
from polynya.recipe.acquire import AcquireOptions
from polynya.recipe.base import Options, Share
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.features import FeatureOptions
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.messages import describe_errors
from polynya.recipe.model import ModelOptions, UnetOptions
from polynya.recipe.thresholds import Profile
from polynya.recipe.training import TrainingOptions
from polynya.recipe.yaml_files import read_yaml, write_yaml

_SHIPPED = files("polynya") / "recipes"
_NAME = re.compile(r"[\w-]+")

COLORS = ("red", "green", "blue")
"""What thresholds, filters and pictures look at, as 8-bit numbers."""

LayerBand = int | str | None
"""1-based band number, band description, or None."""


class LayerOptions(Options):
    """What a scene holds beside its colours, for filters that can use it. All is optional."""

    nir: LayerBand = None
    """Near infrared: 1-based band number or band description; "auto": the band named B08, if there
    is one."""
    swir: LayerBand = None
    """Short-wave infrared, about 1.6 micrometres; "auto": B11."""
    cirrus: LayerBand = None
    """Cirrus band, about 1.38 micrometres; "auto": B10."""
    clouds: LayerBand = None
    """The product's own cloud layer: band number or description, or a file beside the scene whose
    name is made from the scene's, such as "{stem}_SCL.tif"."""
    cloud_values: Annotated[tuple[int, ...], Field(min_length=1)] = (8, 9)
    """Values of the cloud layer that mean opaque cloud; default: those of Sentinel-2's scene
    classification."""
    sun_azimuth: Annotated[float, Field(ge=0.0, le=360.0)] | None = None
    """Direction of the sun in degrees clockwise from north; default: the file's metadata."""
    sun_elevation: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    """Degrees above the horizon; default: the file's metadata."""


class SceneOptions(Options):
    """How a file becomes an 8-bit RGB image."""

    bands: tuple[int | str, int | str, int | str] | None = None
    """Red, green, blue: 1-based band numbers or band descriptions; default: found by the names of
    bands, their wavelengths or colours, else bands 1, 2, 3 (`polynya.scenes.bands`)."""
    inputs: Annotated[tuple[int | str, ...], Field(min_length=1, max_length=64)] | None = None
    """Bands that go into the shards and that a model sees, in this order: common names (nir,
    swir16 ..), names in the file, numbers of the sensor (B08) or 1-based numbers. They keep the
    type of the file, with what is missing in each band. Default: the 8-bit colours."""
    scale: Scale | None = None
    """Reflectance per digital number; default: the product's own metadata."""
    offset: Offset | None = None
    """Reflectance at digital number 0; default: the product's own metadata."""
    stretch: tuple[float, float] = (0.0, 1.0)
    """Reflectances that become 0 and 255 (uint8 images are taken as they are)."""

    zero_is_nodata: bool = True
    """In files without alpha, mask or nodata value of their own: pixels that are 0 in all three
    bands are nodata, as in Sentinel-2 products. Set it to false where black is a real colour."""
    layers: LayerOptions | None = None
    """Other layers of the scene that are read with it; default: none."""
    land: str | None = None
    """Map of land: its pixels are nodata. Polygons (GeoPackage, GeoJSON, Shapefile) or a raster, in
    any coordinate system; a path, or one beside the scene with the scene's name in it, such as
    "{stem}_land.tif". Default: none."""
    land_values: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Values of a raster of land that are land; default: all but 0 and its nodata value."""
    references: References = "inside"
    """Where files may lie that a virtual raster (.vrt) refers to. inside: in its own folder or
    below, or anywhere if `polynya scenes --in-place` wrote it for this user. anywhere: also
    elsewhere and on servers, for files that you trust: what they refer to is read."""

    @property
    def sees_colors(self) -> bool:
        """Whether models see the 8-bit colours, and no bands by name."""
        return self.inputs is None

    @property
    def seen_bands(self) -> tuple[str, ...]:
        """Names of what shards hold and models see, in order."""
        return COLORS if self.inputs is None else tuple(map(str, self.inputs))

    @field_validator("stretch")
    @classmethod
    def _stretch_rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] <= value[0]:
            raise ValueError("the second value must be greater than the first")
        if value[1] - value[0] < LEAST_STRETCH:
            raise ValueError(f"the values must be at least {LEAST_STRETCH:g} apart")
        if max(map(abs, value)) > FARTHEST_STRETCH:
            raise ValueError(
                f"reflectances must be between -{FARTHEST_STRETCH:g} and {FARTHEST_STRETCH:g}"
            )
        return value


class TileOptions(Options):
    """How scenes are cut."""

    size: Annotated[int, Field(ge=1, le=16384)] = 256
    """Edge of a tile in pixels."""
    min_valid: Share = 0.0
    """Tiles with a smaller share of valid pixels are counted as nodata and not written; tiles
    without any valid pixel never are."""


def _profile_tag(content: object) -> str:
    return _RANGES_TAG if isinstance(content, (dict, Profile)) else _NAME_TAG


_UNSEEN = {"references"}
"""Keys of a scene that say what may be read, not what becomes of it: no part of any digest."""

_LATER = (("training", ("loss", "optimizer")), ("model", ("batch_norm",)))
"""Keys that came later. As long as they aren't used, digests of older recipes stay as they were."""


def _unused(options: Options, keys: tuple[str, ...]) -> set[str]:
    """Those of some keys that have their default value."""
    fields = type(options).model_fields
    used = {key for key in keys if key in fields and getattr(options, key) != fields[key].default}
    return set(keys) - used


_NAME_TAG, _RANGES_TAG = "<name>", "<ranges>"

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
    def profile_name(self) -> str:
        """Name of the colour thresholds, however they are given."""
        return self.profile if isinstance(self.profile, str) else self.profile.name


class SplitOptions(Options):
    """Which scenes validate a model: whole scenes, as tiles of one scene resemble each other."""

    validation: Share = 0.2
    """Share of the scenes (or groups)."""
    group: str | None = None
    """Regular expression on the scene id; scenes with the same first group stay together."""

    @field_validator("group")
    @classmethod
    def _group_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
            if groups < 1:
                raise ValueError("the expression needs one (group)")
        return value


class Recipe(Options):
    """Everything a run depends on, except the scenes themselves."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    classes: ClassScheme = SEA_ICE
    scene: SceneOptions = SceneOptions()
    tiles: TileOptions = TileOptions()
    label: LabelOptions = LabelOptions()
    split: SplitOptions = SplitOptions()
    features: FeatureOptions = FeatureOptions()
    model: ModelOptions = UnetOptions()
    training: TrainingOptions = TrainingOptions()
    inference: InferenceOptions = InferenceOptions()
    acquire: AcquireOptions | None = None
    """Where `polynya scenes` gets scenes from; no part of any digest, as nothing that is made from
    a scene depends on how it came."""

    @model_validator(mode="after")
    def _one_weight_per_class(self) -> Recipe:
        weights = self.training.class_weights
        if not isinstance(weights, str) and len(weights) != self.classes.n_classes:
            raise ValueError(
                "training.class_weights must have as many values as there are classes"
                f" ({self.classes.n_classes})"
            )
        return self

    @model_validator(mode="after")
    def _ranks_can_exchange_batch_sums(self) -> Recipe:
        if getattr(self.model, "batch_norm", "none") != "synchronised":
            return self
        for key, is_in_the_way, remedy in (
            ("jit", self.training.jit, "false"),
            ("horovod.reduction", self.training.horovod.reduction == "adasum", "sum"),
        ):
            if is_in_the_way:
                raise RecipeError(
                    "The recipe key 'model.batch_norm' is 'synchronised', so ranks exchange sums in"
                    f" the middle of the model, which 'training.{key}' doesn't allow; set"
                    f" 'training.{key}' to {remedy}, or 'model.batch_norm' to local."
                )
        return self

    @model_validator(mode="after")
    def _maps_are_filtered_as_tiles_are(self) -> Recipe:
        learnt = self.training.augment.filter
        if learnt not in ("none", self.inference.filter):
            raise RecipeError(
                f"The recipe key 'training.augment.filter' is '{learnt}', so the model would know"
                f" filtered scenes only; set 'inference.filter' to '{learnt}' too."
            )
        return self

    @model_validator(mode="after")
    def _what_needs_colours_has_them(self) -> Recipe:
        if self.scene.inputs is None:
            return self
        augment = self.training.augment
        wrong = {
            "label.images": (self.label.images == "filtered", "original"),
            "training.augment.filter": (augment.filter != "none", "none"),
            "inference.filter": (self.inference.filter not in ("as-trained", "none"), "as-trained"),
            **{
                f"training.augment.{key}": (bool(getattr(augment, key)), 0)
                for key in ("haze", "shade", "noise")
            },
            **{f"model.{key}": (True, value) for key, value in self.model.for_colors.items()},
        }
        for key, (is_set, instead) in wrong.items():
            if is_set:
                raise RecipeError(
                    f"The recipe key '{key}' is for 8-bit colours, and 'scene.inputs' names bands;"
                    f" set '{key}' to {instead}, or leave 'scene.inputs' out."
                )
        return self

    @model_validator(mode="after")
    def _own_profile_has_known_classes(self) -> Recipe:
        if isinstance(self.label.profile, Profile):
            self.label.profile.check_classes(self.classes.names, self.classes.name)
        return self

    @model_validator(mode="after")
    def _ice_has_known_classes(self) -> Recipe:
        for group, names in (self.inference.concentration.ice or {}).items():
            for name in names:
                if name not in self.classes.names:
                    raise RecipeError(
                        f"The recipe key 'inference.concentration.ice.{group}' has the class"
                        f" '{name}', which '{self.classes.name}' lacks; take some of"
                        f" {', '.join(self.classes.names)}."
                    )
        return self

    def labels_digest(self) -> str:
        """Digest of what shards depend on; training and prediction options don't change labels."""
        return self._labels_digest

    @property
    def shown_classes(self) -> ClassScheme:
        """The classes in the colours of maps and pictures.

        Raises:
            RecipeError: The palette has too few colours.
        """
        return self.classes.in_palette(self.inference.palette)

    @cached_property
    def _labels_digest(self) -> str:
        # Every tile has it, and finding it takes as long as labelling one.
        return self.digest("classes", "scene", "tiles", "label")

    def digest(self, *sections: str) -> str:
        """SHA-256 (first 16 hex digits) of the recipe with all defaults filled in.

        Args:
            *sections: Only these sections, for example those that shards depend on; default all.
        """
        later = {"land", "land_values"} if self.scene.land is None else set()
        later |= {"inputs"} if self.scene.inputs is None else set()
        content = self.model_dump(
            mode="json",
            include=set(sections) or None,
            exclude={
                "acquire": True,
                "scene": _UNSEEN | later,
                **{section: _unused(getattr(self, section), keys) for section, keys in _LATER},
            },
        )
        if self.features == FeatureOptions():
            content.pop("features", None)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def text(self) -> str:
        """The complete recipe, defaults included, as YAML."""
        return write_yaml(self.model_dump(mode="json"))

    def save(self, path: str | Path) -> None:
        """Write the complete recipe as YAML."""
        Path(path).write_text(self.text(), encoding="utf-8")


def load_recipe(path: str | Path | None) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML file, or the name of a recipe that ships; None gives the defaults.

    Raises:
        RecipeError: The file is missing, is no YAML mapping, or has an unknown key or wrong value.
    """
    return Recipe() if path is None else parse_recipe(_read(path), source=printable(path))


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that ship, each of which stands for its file."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir()))


def _read(path: str | Path) -> dict[str, Any]:
    # What could be a name is a file where there is one, so no file of a user's is ever hidden.
    if not _NAME.fullmatch(str(path)) or os.path.isfile(path):
        return read_yaml(path)
    if str(path) not in shipped_recipes():
        raise RecipeError(
            f"There is neither a file {path} nor a recipe of that name; give a YAML file or one of:"
            f" {', '.join(shipped_recipes())}."
        )
    with as_file(_SHIPPED / f"{path}.yaml") as file:
        return read_yaml(file)


def parse_recipe(content: dict[str, Any], source: str) -> Recipe:
    """Check a mapping and make a recipe of it; `source` names it in errors (RecipeError)."""
    try:
        return Recipe.model_validate(content)
    except RecipeError as error:  # Of a profile, which knows its own sentence.
        message = str(error)
        raise RecipeError(
            f"The recipe {source} can't be used: {message[0].lower()}{message[1:]}"
        ) from None
    except ValidationError as error:
        raise RecipeError(
            f"The recipe {source} {describe_errors(error, content, Recipe)}."
        ) from None

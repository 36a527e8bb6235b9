"""The recipe: one YAML file with everything that a run depends on.

Unknown keys are errors, so that a misspelt key can't silently become a default. Every product
contains the digest of the complete recipe (with defaults filled in).
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from polynya.errors import RecipeError
from polynya.names import printable
from polynya.recipe.acquire import AcquireOptions
from polynya.recipe.base import STEM, Options
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.features import FeatureOptions
from polynya.recipe.imports import ImportOptions
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.label import LabelOptions
from polynya.recipe.messages import describe_errors
from polynya.recipe.model import ModelOptions, UnetOptions, XgboostOptions
from polynya.recipe.sampling import FeatureSamplingOptions
from polynya.recipe.scene import AUTO, SceneOptions, TileOptions
from polynya.recipe.shipped import read_named
from polynya.recipe.split import SplitOptions
from polynya.recipe.thresholds import Profile
from polynya.recipe.training import TrainingOptions
from polynya.recipe.weights import check_frozen
from polynya.recipe.yaml_files import write_yaml

_UNSEEN = {"references"}
"""Keys of `scene` that only allow reading and never change a result; no digest includes them."""

_LATER = (
    (
        "training",
        (
            "loss",
            "optimizer",
            "sampling",
            "start_from",
            "freeze_encoder_epochs",
            "averaging",
            "metrics",
        ),
    ),
    ("model", ("batch_norm", "dropout_up", "dropout_type", "head_dropout")),
    ("label", ("raster", "soft")),
    ("features", ("missing_where",)),
    ("inference", ("size", "slice", "tta", "merge", "threshold")),
    ("split", ("held_out", "file", "fold")),
    ("imports", ("prefix", "overlap")),
)
_LATER_AUGMENT = (
    *("dihedral_share", "flip_horizontal", "flip_vertical", "warp_share", "fill", "brightness"),
    *("brightness_share", "contrast", "contrast_share", "hue", "hue_share"),
)
"""Keys of later versions; digests include them only if used, so that old digests stay valid."""


def _unused(options: Options, keys: tuple[str, ...]) -> set[str]:
    """Keys, out of `keys`, that have their default value."""
    fields = type(options).model_fields
    known = [key for key in keys if key in fields]
    default = {key: fields[key].get_default(call_default_factory=True) for key in known}
    return set(keys) - {key for key in known if getattr(options, key) != default[key]}


class Recipe(Options):
    """Everything that a run depends on, except the scenes."""

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
    """Where `polynya scenes` gets scenes from. No digest includes it, because results don't depend
    on the way that a scene was fetched."""
    imports: ImportOptions | None = None
    """How `polynya import` reads a data set with labels; default: `polynya label` makes them."""

    @model_validator(mode="after")
    def _one_weight_per_class(self) -> Recipe:
        weights = self.training.class_weights
        if not isinstance(weights, str) and len(weights) != self.classes.n_classes:
            raise ValueError(
                "training.class_weights must have as many values as there are classes"
                f" ({self.classes.n_classes})"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _masks_have_a_loss_of_their_own(cls, content: Any) -> Any:
        """Fill in the default loss of masks, if the recipe names no loss."""
        classes = content.get("classes") if isinstance(content, dict) else None
        kind = classes.get("kind") if isinstance(classes, dict) else getattr(classes, "kind", None)
        training = content.get("training", {}) if kind == "masks" else None
        if isinstance(training, TrainingOptions):
            training = training.model_dump(exclude_unset=True)
        if isinstance(training, dict) and "loss" not in training:
            return content | {"training": training | {"loss": "binary_crossentropy"}}
        return content

    @model_validator(mode="after")
    def _masks_have_a_loss_that_suits_them(self) -> Recipe:
        if self.classes.has_masks and not self.training.loss.suits_masks:
            raise RecipeError(
                f"The recipe key 'training.loss' is '{self.training.loss.name}', which is for"
                " classes that exclude each other, and 'classes.kind' is masks; set 'training.loss'"
                " to binary_crossentropy, focal with binary: true, dice, jaccard or a sum of these."
            )
        return self

    @model_validator(mode="after")
    def _soft_labels_have_a_loss_that_takes_them(self) -> Recipe:
        if self.label.soft and not self.training.loss.takes_soft_labels:
            raise RecipeError(
                f"The recipe key 'training.loss' is '{self.training.loss.name}', which does not"
                " lead to the shares of soft labels ('label.soft'); set 'training.loss' to"
                " crossentropy, or for masks binary_crossentropy, or leave 'label.soft' out."
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
                for key in ("haze", "shade", "noise", "brightness", "contrast", "hue")
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

    @model_validator(mode="before")
    @classmethod
    def _imported_labels_have_no_filter(cls, content: Any) -> Any:
        """Set the filter to none, if labels are imported and the recipe names no filter."""
        if not isinstance(content, dict) or content.get("imports") is None:
            return content
        label = content.get("label", {})
        if isinstance(label, LabelOptions):
            label = label.model_dump(exclude_unset=True)
        if isinstance(label, dict) and "method" not in label:
            return content | {"label": label | {"method": "none"}}
        return content

    @model_validator(mode="before")
    @classmethod
    def _trees_run_with_xgboost(cls, content: Any) -> Any:
        """Set the back end to xgboost for decision trees, if the recipe names no back end."""
        if not isinstance(content, dict):
            return content
        model, inference = content.get("model"), content.get("inference", {})
        name = model.get("name") if isinstance(model, dict) else getattr(model, "name", model)
        if name == "xgboost" and isinstance(inference, dict) and "backend" not in inference:
            return content | {"inference": inference | {"backend": "xgboost"}}
        return content

    @model_validator(mode="after")
    def _trees_get_what_they_can_use(self) -> Recipe:
        if not isinstance(self.model, XgboostOptions):
            return self
        augment = self.training.augment
        wrong = {
            "label.soft": (self.label.soft, "false"),
            "training.class_weights": (
                self.classes.has_masks and self.training.class_weights != "none",
                "none; trees of one mask know nothing of the others",
            ),
            **{
                f"training.augment.{key}": (bool(getattr(augment, key)), 0)
                for key in ("haze", "shade", "noise")
            },
            "training.augment.filter": (augment.filter != "none", "none"),
            "training.start_from": (self.training.start_from is not None, "null"),
            "training.averaging": (self.training.averaging is not None, "null"),
            "training.metrics.training": (self.training.metrics.training, "false"),
            "inference.backend": (self.inference.backend != "xgboost", "xgboost"),
            "inference.precision": (self.inference.precision != "float32", "float32"),
        }
        for key, (is_set, instead) in wrong.items():
            if is_set:
                raise RecipeError(
                    f"The recipe key '{key}' is for networks, and 'model.name' is"
                    f" '{self.model.name}'; set '{key}' to {instead}."
                )
        return self

    @model_validator(mode="after")
    def _imports_fit_the_recipe(self) -> Recipe:
        if self.imports is None:
            return self
        for key, is_set in (
            ("method", self.label.method != "none"),
            ("raster", self.label.raster is not None),
        ):
            if is_set:
                raise RecipeError(
                    f"The recipe key 'label.{key}' is '{getattr(self.label, key)}', and 'imports'"
                    f" brings labels that need no filter and no raster; leave 'label.{key}' out."
                )
        for key, name in self.imports.class_names:
            if name not in self.classes.names:
                raise RecipeError(
                    f"The recipe key 'imports.{key}' has the class '{name}', which"
                    f" '{self.classes.name}' lacks; take some of {', '.join(self.classes.names)}."
                )
        return self

    @model_validator(mode="after")
    def _frozen_encoder_exists(self) -> Recipe:
        check_frozen(self.model, self.training.freeze_encoder_epochs)
        return self

    @model_validator(mode="after")
    def _sampling_knows_classes_and_bands(self) -> Recipe:
        if isinstance(self.training.sampling, FeatureSamplingOptions):
            self.training.sampling.check(self.classes.names, self.scene.seen_bands)
        return self

    @model_validator(mode="after")
    def _own_profile_has_known_classes(self) -> Recipe:
        if isinstance(self.label.profile, Profile) and self.label.runs_filter:
            self.label.profile.check_classes(self.classes.names, self.classes.name)
        return self

    @model_validator(mode="after")
    def _threshold_suits_classes(self) -> Recipe:
        self.inference.check_classes(self.classes)
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

    @property
    def companions(self) -> tuple[str, ...]:
        """Name patterns, with {stem} for the scene's name, of files that belong to a scene."""
        layers = self.scene.layers
        named = (self.label.raster, self.scene.land, layers and layers.clouds)
        return tuple(name for name in named if isinstance(name, str) and STEM in name)

    @property
    def label_source(self) -> str:
        """Where labels come from, as written beside each tile."""
        return self.label.source if self.imports is None else f"import/{self.imports.kind}"

    def labels_digest(self) -> str:
        """Digest of everything that shards depend on: no options of training and prediction."""
        return self._labels_digest

    @property
    def shown_classes(self) -> ClassScheme:
        """The classes with the colours of maps and pictures.

        Raises:
            RecipeError: The palette has too few colours.
        """
        return self.classes.in_palette(self.inference.palette)

    @cached_property
    def _labels_digest(self) -> str:
        # Cached: every tile has it, and computing it takes as long as labelling a tile.
        return self.digest("classes", "scene", "tiles", "label", "imports")

    def digest(self, *sections: str) -> str:
        """SHA-256 (first 16 hex digits) of the recipe with all defaults filled in.

        Args:
            *sections: Sections to include, for example the sections that change shards; default:
                all.
        """
        later = {"land", "land_values"} if self.scene.land is None else set()
        later |= {"inputs"} if self.scene.inputs is None else set()
        unused: dict[str, dict[str, Any]] = {
            section: dict.fromkeys(_unused(getattr(self, section), keys), True)
            for section, keys in _LATER
            if getattr(self, section) is not None
        }
        unused["training"]["augment"] = _unused(self.training.augment, _LATER_AUGMENT)
        unused["training"]["tracking"] = True
        content = self.model_dump(
            mode="json",
            include=set(sections) or None,
            exclude={
                "acquire": True,
                "classes": {"kind"} if not self.classes.has_masks else set(),
                "scene": _UNSEEN | later,
                **unused,
            },
        )
        if self.features == FeatureOptions():
            content.pop("features", None)
        if self.imports is None:
            content.pop("imports", None)
        layers = content.get("scene", {}).get("layers") or {}
        if AUTO in layers.values():
            # Earlier versions looked for the names of Sentinel-2 only. Their labels may differ.
            layers["auto"] = "common names"
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
        path: YAML file, or the name of a recipe that comes with Polynya; None: all defaults.

    Raises:
        RecipeError: The file is missing, is no YAML mapping, or has an unknown key or wrong value.
    """
    return Recipe() if path is None else parse_recipe(read_named(path), source=printable(path))


def parse_recipe(content: dict[str, Any], source: str) -> Recipe:
    """Check a mapping and make a recipe of it; errors (RecipeError) name the recipe `source`."""
    try:
        return Recipe.model_validate(content)
    except RecipeError as error:  # A check raised it with a complete sentence.
        message = str(error)
        raise RecipeError(
            f"The recipe {source} can't be used: {message[0].lower()}{message[1:]}"
        ) from None
    except ValidationError as error:
        raise RecipeError(
            f"The recipe {source} {describe_errors(error, content, Recipe)}."
        ) from None

"""The options of a run of `polynya predict`, for the driver and the workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from inference.predict.predict import open_model
from inference.products.registry import product_tags
from polynya.errors import RecipeError
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.overrides import resolve

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

_BESIDE_THE_MAP = ("inference.products", "inference.concentration.cell")
"""Keys that change only products, not maps. The provenance of a map takes these keys from the
model's recipe, so a finished map stays valid if a run asks for fewer products."""


@dataclass(frozen=True)
class MapOptions:
    """Options for making maps. Small and picklable."""

    model: Path
    """Absolute path of the model's folder."""
    folder: Path
    """Absolute path of the folder for the products."""
    overwrite: bool = False
    """Predict again the scenes that an earlier run finished with this model."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Options of the command that replace keys of the model's recipe (`resolve`)."""


def model_of(options: MapOptions) -> TrainedModel:
    """Open the model; its recipe includes the options of the command that change maps.

    Raises:
        ModelError: There is no usable model.
    """
    said = {key: v for key, v in options.overrides.items() if key not in _BESIDE_THE_MAP}
    return _opened(options.model, tuple((k, v) for k, v in said.items() if v is not None))


def wanted_of(options: MapOptions) -> InferenceOptions:
    """Find the products of a run and their options.

    Raises:
        RecipeError: A product or the threshold doesn't fit the model's classes, or slices don't fit
            the recipe.
    """
    recipe = resolve(model_of(options).recipe, options.overrides)
    recipe.inference.check_classes(recipe.classes)
    if recipe.inference.slice and recipe.inference.size:
        raise RecipeError(
            "The model's recipe has the key 'inference.size', so whole scenes are resized; leave"
            " --slices out, or remove the key."
        )
    product_tags(recipe.inference, recipe.classes)  # Raises RecipeError.
    return recipe.inference


@lru_cache(maxsize=1)
def _opened(folder: Path, said: tuple[tuple[str, object], ...]) -> TrainedModel:
    """Open the model once per process, because loading takes seconds."""
    model = open_model(folder)
    return replace(model, recipe=resolve(model.recipe, dict(said)))


def take_one_core() -> None:
    """Limit this worker process to one core, because more threads would compete for cores."""
    os.environ.setdefault("GDAL_NUM_THREADS", "1")
    # TensorFlow reads these two variables when it is imported.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

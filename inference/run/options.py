"""What a run of `polynya predict` is told, for its driver and its workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from inference.predict.predict import open_model
from inference.products.registry import product_tags
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.overrides import resolve

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel

_BESIDE_THE_MAP = ("inference.products", "inference.concentration.cell")
"""Keys that change no map, only what lies beside it. The provenance of a map has those of the
model's recipe, so that a finished map stays when fewer products are asked for."""


@dataclass(frozen=True)
class MapOptions:
    """How scenes become maps. Small and picklable."""

    model: Path
    """Absolute path of the model's folder."""
    folder: Path
    """Absolute path of the folder for the products."""
    overwrite: bool = False
    """Predict even what an earlier run finished with this model."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """What the command says in place of keys of the model's recipe (`resolve`)."""


def model_of(options: MapOptions) -> TrainedModel:
    """The model, with all that changes a map in its recipe: options of the command too.

    Raises:
        ModelError: There is no usable model.
    """
    said = {key: v for key, v in options.overrides.items() if key not in _BESIDE_THE_MAP}
    return _opened(options.model, tuple((k, v) for k, v in said.items() if v is not None))


def wanted_of(options: MapOptions) -> InferenceOptions:
    """Which products a run writes, and how.

    Raises:
        RecipeError: A product doesn't fit the model's classes.
    """
    recipe = resolve(model_of(options).recipe, options.overrides)
    product_tags(recipe.inference, recipe.classes)  # Raises the error.
    return recipe.inference


@lru_cache(maxsize=1)
def _opened(folder: Path, said: tuple[tuple[str, object], ...]) -> TrainedModel:
    """The model of this process: loading takes seconds, so a worker does it once."""
    model = open_model(folder)
    return replace(model, recipe=resolve(model.recipe, dict(said)))


def take_one_core() -> None:
    """Make this process, a worker, use one core: more threads only fight."""
    os.environ.setdefault("GDAL_NUM_THREADS", "1")
    # TensorFlow reads its two when it is imported.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

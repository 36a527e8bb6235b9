"""What a run of `polynya predict` is told, for its driver and its workers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from inference.predict.predict import open_model
from inference.run.product_choice import inference_options
from polynya.recipe.classes import Palette
from polynya.recipe.inference import (
    Backend,
    FirstFilter,
    InferenceOptions,
    Precision,
    ProductName,
)

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


@dataclass(frozen=True)
class MapOptions:
    """How scenes become maps. Small and picklable."""

    model: Path
    """Absolute path of the model's folder."""
    folder: Path
    """Absolute path of the folder for the products."""
    overwrite: bool = False
    """Predict even what an earlier run finished with this model."""
    batch_size: int | None = None
    """Windows per call of the model; default from its recipe."""
    overlap: float | None = None
    """Share that neighbouring windows have in common; default from the recipe."""
    products: tuple[ProductName, ...] | None = None
    """What is written beside the map; default from the recipe."""
    cell: float | None = None
    """Edge of a cell of the ice concentration in metres; default from the recipe."""
    backend: Backend | None = None
    """What runs the model; default from the recipe."""
    precision: Precision | None = None
    """Arithmetic of its layers; default from the recipe."""
    first_filter: FirstFilter | None = None
    """Filter before the model sees a scene; default from the recipe."""
    palette: Palette | None = None
    """Colours of classes; default from the recipe."""


def model_of(options: MapOptions) -> TrainedModel:
    """The model, with what the command says of how it is run in its recipe.

    Raises:
        ModelError: There is no usable model.
    """
    said = {
        "backend": options.backend,
        "precision": options.precision,
        "filter": options.first_filter,
        "palette": options.palette,
    }
    return _opened(options.model, tuple((k, v) for k, v in said.items() if v is not None))


def wanted_of(options: MapOptions) -> InferenceOptions:
    """Which products a run writes, and how.

    Raises:
        RecipeError: A product doesn't fit the model's classes.
    """
    return inference_options(model_of(options).recipe, options.products, options.cell)


@lru_cache(maxsize=1)
def _opened(folder: Path, said: tuple[tuple[str, str], ...]) -> TrainedModel:
    """The model of this process: loading takes seconds, so a worker does it once."""
    return open_model(folder).run_with(**dict(said))


def take_one_core() -> None:
    """Make this process, a worker, use one core: more threads only fight."""
    os.environ.setdefault("GDAL_NUM_THREADS", "1")
    # TensorFlow reads its two when it is imported.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

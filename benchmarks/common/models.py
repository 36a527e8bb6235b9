"""Untrained models: the time of a step or a map doesn't depend on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from polynya.recipe.inference import InferenceOptions
    from polynya.recipe.model import ModelOptions

N_CLASSES = 3
DEMO = Path("runs/demo")
"""Folder of the results of `make demo`."""

ARCHITECTURES = ("paper", "lean")
"""The paper's U-Net, and the demo's U-Net, which works on patches of 4 x 4 pixels."""


def plain_unet(filters: Sequence[int], tile: int, dtype: str | None = None) -> keras.Model:
    """Make the untrained U-Net without dropout: random numbers would add to the measured time."""
    from training.models import build

    return build(
        "unet",
        input_shape=(tile, tile, 3),
        n_classes=N_CLASSES,
        filters=tuple(filters),
        dropout=(0.0,) * len(filters),
        dtype=dtype,
    )


def model_of(
    options: ModelOptions, size: int | None = None, dtype: str | None = None
) -> keras.Model:
    """Make the untrained model of a recipe for one tile size; None for any size."""
    from training.models import build

    chosen = options.model_dump(exclude={"name"})
    shape = (size, size, 3)
    return build(options.name, input_shape=shape, n_classes=N_CLASSES, dtype=dtype, **chosen)


def save_untrained(folder: Path, name: str) -> Path:
    """Write the folder of a model of `ARCHITECTURES` with initial weights, by a fixed seed.

    Speed doesn't depend on the weights.
    """
    from polynya.recipe.model import UnetOptions
    from polynya.recipe.recipe import Recipe, load_recipe
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    import keras

    from training.model_folder.folder import save_model

    keras.utils.set_random_seed(1)
    lean = load_recipe(Path(__file__).parents[2] / "data_samples/demo.yaml").model
    recipe = Recipe(model=lean if name == "lean" else UnetOptions())
    save_model(folder, model_of(recipe.model), recipe)
    return folder


def with_inference(source: Path, folder: Path, options: InferenceOptions) -> Path:
    """Copy a model and replace the section `inference` of its recipe."""
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.model_folder.folder import load_model, save_model

    model = load_model(source)
    recipe = model.recipe.model_copy(update={"inference": options})
    save_model(folder, model.keras_model, recipe)
    return folder

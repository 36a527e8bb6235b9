"""Models to map with, and options that say which."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common.commands import ROOT
from benchmarks.common.models import model_of
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.model import ModelOptions, UnetOptions
from polynya.recipe.recipe import Recipe, load_recipe

DEMO = Path("runs/demo")
"""What `make demo` leaves."""

ARCHITECTURES = ("paper", "lean")
"""The paper's U-Net, and the demo's, which has patches of 4 x 4 pixels at full resolution."""


def save_untrained(folder: Path, name: str) -> Path:
    """Write the folder of one of `ARCHITECTURES` with the weights it begins with, by a fixed seed.

    Speed doesn't depend on the weights.
    """
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    import keras

    from training.model_folder.folder import save_model

    keras.utils.set_random_seed(1)
    lean = load_recipe(ROOT / "data_samples/demo.yaml").model
    recipe = Recipe(model=lean if name == "lean" else ModelOptions())
    save_model(folder, model_of(recipe.model), recipe)
    return folder


def with_inference(source: Path, folder: Path, options: InferenceOptions) -> Path:
    """The same model with another section `inference` of its recipe."""
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    from training.model_folder.folder import load_model, save_model

    model = load_model(source)
    recipe = model.recipe.model_copy(update={"inference": options})
    save_model(folder, model.keras_model, recipe)
    return folder

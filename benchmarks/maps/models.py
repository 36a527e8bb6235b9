"""Models to measure: speed doesn't depend on the weights, so these needn't be trained."""

from __future__ import annotations

from pathlib import Path

from polynya.recipe.inference import InferenceOptions
from polynya.recipe.model import ModelOptions, UnetOptions
from polynya.recipe.recipe import Recipe, load_recipe

_LEAN = Path(__file__).parents[2] / "data_samples/demo.yaml"

ARCHITECTURES = ("paper", "lean")
"""The paper's U-Net, and the demo's, which has patches of 4 x 4 pixels at full resolution."""


def architecture(name: str) -> ModelOptions:
    """Options of one of `ARCHITECTURES`."""
    return load_recipe(_LEAN).model if name == "lean" else UnetOptions()


def save_untrained(folder: Path, name: str) -> Path:
    """Write the folder of a model with the weights it begins with, from a fixed seed."""
    from training.ranks.devices import import_tensorflow

    import_tensorflow()
    import keras

    from training.model_folder.folder import save_model
    from training.models import build

    keras.utils.set_random_seed(1)
    recipe = Recipe(model=architecture(name))
    options = recipe.model.model_dump(exclude={"name"})
    model = build(recipe.model.name, input_shape=(None, None, 3), n_classes=3, **options)
    save_model(folder, model, recipe)
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

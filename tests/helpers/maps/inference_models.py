"""Small Keras models with known behaviour, in real model folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polynya.recipe.recipe import Recipe

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


def make_recipe(tile_size: int = 64, **sections: Any) -> Recipe:
    """A recipe for windows of this size that overlap by half."""
    inference = {"window": tile_size, "overlap": 0.5, "batch_size": 4}
    return Recipe.model_validate({"tiles": {"size": tile_size}, "inference": inference, **sections})


def save_threshold_model(folder: Path, recipe: Recipe) -> Path:
    """A 1 x 1 convolution with the paper's thresholds on blue, the brightest of `ice_image`.

    It looks at each pixel alone, so its map of a scene is known: `autolabel.label_image` with the
    method "none".
    """
    import keras

    from training.model_folder.folder import save_model

    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    convolution = keras.layers.Conv2D(3, 1, activation="softmax", name="probabilities")
    model = keras.Model(inputs, convolution(x))
    # Class 1 beats class 0 above 30.5, class 2 beats class 1 above 204.5.
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 2] = [0, 0.5 * 255, 1.0 * 255]
    convolution.set_weights([kernel, np.float32([0, -0.5 * 30.5, -0.5 * (30.5 + 204.5)])])
    save_model(folder, model, recipe)
    return folder


def mask_model(folder: Path, recipe: Recipe) -> TrainedModel:
    """A model of three masks: the k-th is where the k-th colour is 100 at least.

    Its probability is the sigmoid of half the colour's distance from 99.5.
    """
    import keras

    from training.model_folder.folder import TrainedModel, save_model

    inputs = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(3, 1, activation="sigmoid", name="probabilities")
    model = keras.Model(inputs, convolution(inputs))
    kernel = np.eye(3, dtype=np.float32)[None, None] / 2
    convolution.set_weights([kernel, np.full(3, -99.5 / 2, np.float32)])
    save_model(folder, model, recipe)
    return TrainedModel(model, recipe, folder)


def save_unet(folder: Path, recipe: Recipe, seed: int = 0) -> Path:
    """A small U-Net of random weights, with pooling and so a stride of 4."""
    import keras

    from training.model_folder.folder import save_model
    from training.models import build

    keras.utils.set_random_seed(seed)
    model = build(
        "unet", input_shape=(None, None, 3), n_classes=3, filters=(4, 6, 8), dropout=(0, 0, 0)
    )
    save_model(folder, model, recipe)
    return folder

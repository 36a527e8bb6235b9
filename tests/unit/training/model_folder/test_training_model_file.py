"""Keras files that open but are no models to be used, and files made to do harm."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from polynya.errors import ModelError
from polynya.recipe.model import UnetOptions
from polynya.recipe.recipe import Recipe
from training.model_folder.model_file import open_keras_file
from training.models import build

RECIPE = Recipe(model=UnetOptions(filters=(4, 8), dropout=(0.0, 0.0)))
SMALL: dict[str, Any] = {"filters": (4, 8), "dropout": (0, 0)}


def _model(bands: int = 3, n_classes: int = 3, **options: Any) -> keras.Model:
    shape = (None, None, bands)
    return build("unet", input_shape=shape, n_classes=n_classes, **{**SMALL, **options})


def _saved(tmp_path: Path, model: keras.Model) -> Path:
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def _ending_in(layer: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layer(inputs))


def _spoilt(value: float, weight: int) -> keras.Model:
    model = _model()
    weights = model.get_weights()
    weights[weight].flat[-1] = value
    model.set_weights(weights)
    return model


def _two_inputs() -> keras.Model:
    inputs = [keras.Input((None, None, 3)) for _ in range(2)]
    return keras.Model(inputs, keras.layers.Conv2D(3, 1)(keras.layers.Add()(inputs)))


NO_MODELS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "one weight is nan": (lambda: _spoilt(np.nan, 0), "down0_conv1/kernel.* not finite numbers"),
    "one weight is infinite": (lambda: _spoilt(-np.inf, -1), "probabilities/bias.* not finite"),
    "four bands": (lambda: _model(bands=4), r"needs images of 4 bands.*\(red, green, blue\)"),
    "two classes": (lambda: _model(n_classes=2), "2 output channels but its recipe has 3 classes"),
    "two inputs": (_two_inputs, "doesn't turn images into classes"),
    "a class of a whole image": (
        lambda: _ending_in(keras.layers.GlobalAveragePooling2D()),
        "doesn't turn images into classes",
    ),
    "logits": (lambda: _ending_in(keras.layers.Conv2D(3, 1)), "not with probabilities"),
    "sigmoids": (
        lambda: _ending_in(keras.layers.Conv2D(3, 1, activation="sigmoid")),
        "not with probabilities",
    ),
    "half the size": (
        lambda: _ending_in(keras.layers.Conv2D(3, 2, strides=2, activation="softmax")),
        r"returns an array of \(1, 32, 32, 3\) for an image of \(1, 64, 64, 3\)",
    ),
    "more levels than the recipe says": (
        lambda: _model(filters=(2,) * 8, dropout=(0,) * 8),
        "can't be run on an image of 64 x 64 pixels",
    ),
}


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_opens_but_is_no_model_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, sentence = NO_MODELS[name]
    with pytest.raises(ModelError, match=sentence) as error:
        open_keras_file(_saved(tmp_path, make()), RECIPE)
    assert "\n" not in str(error.value)


def test_models_of_one_size_and_of_any_open(tmp_path: Path) -> None:
    for model in (_model(), build("unet", input_shape=(96, 96, 3), n_classes=3, **SMALL)):
        opened = open_keras_file(_saved(tmp_path, model), RECIPE)
        for one, other in zip(model.get_weights(), opened.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def _bomb_in_the_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(100 * 2**20))


def _bomb_in_the_weights(path: Path) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        zeros = {"shape": (2**33,), "dtype": "f4", "chunks": (2**20,)}
        file.create_dataset("layers/conv2d/vars/0", compression="gzip", **zeros)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", content.getvalue())


def _hdf5(path: Path) -> None:
    _model().save(path.with_suffix(".h5"))
    path.with_suffix(".h5").rename(path)


def _another_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "archive bomb": (_bomb_in_the_archive, "made to exhaust memory"),
    "weights bomb": (_bomb_in_the_weights, "made to exhaust memory"),
    "hdf5": (_hdf5, "can't be opened as a Keras model"),
    "another archive": (_another_archive, "can't be opened as a Keras model"),
    "empty": (lambda path: path.write_bytes(b""), "can't be opened as a Keras model"),
    "text": (lambda path: path.write_text("keras"), "can't be opened as a Keras model"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_file_that_is_no_keras_model_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    damage, sentence = DAMAGES[name]
    path = _saved(tmp_path, _model())
    damage(path)
    with pytest.raises(ModelError, match=sentence):
        open_keras_file(path, RECIPE)

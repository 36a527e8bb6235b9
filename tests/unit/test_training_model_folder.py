"""Model folders: written whole, read in safe mode."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from polynya.classes import ClassScheme, LabelClass
from polynya.errors import ModelError, OutputError
from polynya.recipe import Recipe
from polynya.training_options import ModelOptions
from training import model_folder
from training.models import build

RECIPE = Recipe(model=ModelOptions(filters=(4, 8), dropout=(0.0, 0.0)))


def _model(n_classes: int = 3) -> keras.Model:
    return build(
        "unet", input_shape=(None, None, 3), n_classes=n_classes, filters=(4, 8), dropout=(0, 0)
    )


def test_a_saved_model_comes_back_with_its_recipe_and_classes(tmp_path: Path) -> None:
    model = _model()
    model_folder.save_model(tmp_path / "model", model, RECIPE)
    trained = model_folder.load_model(tmp_path / "model")
    assert trained.recipe == RECIPE
    assert trained.classes == RECIPE.classes
    assert trained.folder == tmp_path / "model"
    for one, other in zip(model.get_weights(), trained.keras_model.get_weights(), strict=True):
        assert (one == other).all()
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.keras", "recipe.yaml", "classes.json"}
    assert json.loads((tmp_path / "model/classes.json").read_text())["nodata"] == 255


def _say(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        model_folder.load_model(folder)
    return str(error.value)


def test_what_is_no_model_is_said_in_one_sentence(tmp_path: Path) -> None:
    assert "There is no model folder" in _say(tmp_path / "missing")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no model (model.keras is missing)" in _say(empty)

    damaged = tmp_path / "damaged"
    model_folder.save_model(damaged, _model(), RECIPE)
    content = (damaged / "model.keras").read_bytes()
    (damaged / "model.keras").write_bytes(content[: len(content) // 2])
    assert "can't be opened as a Keras model" in _say(damaged)

    other = tmp_path / "other"
    model_folder.save_model(other, _model(n_classes=2), RECIPE)
    assert "2 output channels" in _say(other)


def test_code_in_a_model_file_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Conv2D(3, 1)(keras.layers.Lambda(lambda x: x)(inputs))
    model_folder.save_model(tmp_path / "model", keras.Model(inputs, outputs), RECIPE)
    assert "can't be opened" in _say(tmp_path / "model")


def test_a_folder_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="holds other files"):
            model_folder.start_folder(other, overwrite)

    finished = tmp_path / "finished"
    model_folder.save_model(finished, _model(), RECIPE)
    (finished / "README.md").write_text("card")
    with pytest.raises(OutputError, match="add --overwrite"):
        model_folder.start_folder(finished)
    assert (finished / "model.keras").is_file()
    model_folder.start_folder(finished, overwrite=True)
    assert list(finished.iterdir()) == []


def test_an_unfinished_model_makes_way(tmp_path: Path) -> None:
    model_folder.save_model(tmp_path / "model", _model(), RECIPE)
    assert list(model_folder.start_folder(tmp_path / "model")[0].iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Can't write to"):
        model_folder.start_folder(tmp_path / "file" / "model")


def test_json_has_null_for_what_is_undefined(tmp_path: Path) -> None:
    model_folder.write_json(tmp_path / "a.json", {"x": [float("nan"), 1.5], "y": {"z": np.inf}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [None, 1.5], "y": {"z": None}}


def test_another_class_scheme_travels_with_the_model(tmp_path: Path) -> None:
    classes = ClassScheme(
        name="kelp",
        classes=(
            LabelClass(code=0, name="sea", title="Sea", color=(0, 0, 9)),
            LabelClass(code=1, name="kelp", title="Kelp", color=(0, 9, 0)),
        ),
    )
    recipe = RECIPE.model_copy(update={"classes": classes})
    model_folder.save_model(tmp_path / "model", _model(2), recipe)
    assert model_folder.load_model(tmp_path / "model").classes.names == ("sea", "kelp")

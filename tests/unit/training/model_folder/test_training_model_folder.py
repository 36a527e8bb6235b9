"""Model folders: written whole, read in safe mode."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from polynya.errors import ModelError, OutputError
from polynya.recipe.classes import ClassScheme, LabelClass
from polynya.recipe.model import UnetOptions
from polynya.recipe.recipe import Recipe
from polynya.storage.ledger import LEDGER_FILE
from training.model_folder import folder as model_folder
from training.models import build

RECIPE = Recipe(model=UnetOptions(filters=(4, 8), dropout=(0.0, 0.0)))


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
    assert _names(tmp_path / "model") == {"model.keras", "recipe.yaml", "classes.json"}
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


def _finished(folder: Path) -> Path:
    with model_folder.claimed(folder):
        model_folder.save_model(folder, _model(), RECIPE)
        model_folder.write_json(folder / model_folder.CARD_FILE, "card")
    return folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LEDGER_FILE}


@pytest.mark.parametrize("name", ["thesis.txt", "recipe.yaml", "model.keras", "README.md", ".git"])
def test_a_folder_of_others_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with (
            pytest.raises(OutputError, match=f"holds other files .{name}"),
            model_folder.claimed(tmp_path / "mine", **options),
        ):
            pass
    assert _names(tmp_path / "mine") == {name}
    assert (tmp_path / "mine" / name).read_text() == "mine"


def test_a_finished_model_makes_way_on_request_and_all_else_stays(tmp_path: Path) -> None:
    finished = _finished(tmp_path / "finished")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/data.txt").write_text("mine")
    (finished / "link").symlink_to(tmp_path / "precious")
    (finished / "notes").mkdir()
    (finished / "notes/a.txt").write_text("mine")
    for options in ({}, {"resume": True}):
        with (
            pytest.raises(OutputError, match="add --overwrite"),
            model_folder.claimed(finished, **options),
        ):
            pass
    with model_folder.claimed(finished, overwrite=True):
        assert (finished / "model.keras").is_file()
        model_folder.clear(finished)
    assert _names(finished) == {"link", "notes"}
    assert (finished / "notes/a.txt").read_text() == "mine"
    assert (tmp_path / "precious/data.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "model.keras", "decision.yaml", "tuning.csv"])
def test_a_file_of_the_user_s_is_never_replaced(tmp_path: Path, name: str) -> None:
    finished = _finished(tmp_path / "finished")
    (finished / name).write_text("mine")
    before = _names(finished)
    with (
        pytest.raises(OutputError, match=f"{name} is not a file that Polynya wrote"),
        model_folder.claimed(finished, overwrite=True),
    ):
        pass
    assert _names(finished) == before
    assert (finished / name).read_text() == "mine"


def test_a_link_as_out_is_emptied_where_it_leads(tmp_path: Path) -> None:
    finished = _finished(tmp_path / "disk/model")
    (tmp_path / "out").symlink_to(finished)
    with model_folder.claimed(tmp_path / "out", overwrite=True):
        model_folder.clear(tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert _names(finished) == set()


def test_checkpoints_behind_a_link_are_left_alone(tmp_path: Path) -> None:
    finished = _finished(tmp_path / "model")
    (tmp_path / "others").mkdir()
    (finished / "_checkpoints").symlink_to(tmp_path / "others")
    with (
        pytest.raises(OutputError, match="_checkpoints is a link"),
        model_folder.claimed(finished, overwrite=True),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(OutputError, match="--out"), model_folder.claimed(place):
            pass


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

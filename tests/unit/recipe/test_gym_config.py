"""Recipes from configurations of Segmentation Gym: the answer to each key, and wrong files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from autolabel.importers.prepare import grow
from autolabel.run import run_import
from helpers.shards.gym_sets import PUBLISHED
from helpers.shards.import_sets import HEIGHT, WIDTH, image, labels, write_raster
from polynya.cli import build_app
from polynya.errors import RecipeError
from polynya.recipe.gym.__main__ import table
from polynya.recipe.gym.config import Data, Fate
from polynya.recipe.gym.convert import Converted, from_gym
from polynya.recipe.gym.keys import KEYS
from polynya.recipe.recipe import load_recipe
from polynya.shards.dataset import open_shards

ROOT = Path(__file__).parents[3]

OTHERS: dict[str, Any] = {
    # Further keys, with values of published configurations.
    "LOSS": "dice", "LOSS_WEIGHTS": False, "INITIAL_EPOCH": 0, "MODE": "all",
    "REMAP_CLASSES": {"0": 0, "1": 1, "2": 2, "3": 3, "4": 3}, "TESTTIMEAUG": False,
    "OTSU_THRESHOLD": False, "WRITE_MODELMETADATA": True, "SET_GPU": "0", "SET_PCI_BUS_ID": True,
    "LOAD_DATA_WITH_CPU": False, "CLEAR_MEMORY": True, "DO_CRF": False,
    "HOT_START": "weights.h5",
}  # fmt: skip


def converted(folder: Path, changes: dict[str, Any] | None = None, data: Data = "npz") -> Converted:
    file = folder / "config.json"
    file.write_text(json.dumps(PUBLISHED | (changes or {})))
    return from_gym(file, data)


def fates(of: Converted) -> dict[str, str]:
    return {row.key: row.fate.value for row in of.rows}


def test_the_published_example_is_carried_key_by_key(tmp_path: Path) -> None:
    done = converted(tmp_path)
    recipe = done.recipe
    model = recipe.model.model_dump(exclude={"batch_norm"})
    assert model == {
        "name": "gym_resunet", "filters": 8, "kernel": 7, "stride": 1, "dropout": 0.1,
        "dropout_change": 0.0, "dropout_type": "standard", "dropout_up": False,
    }  # fmt: skip
    assert (recipe.classes.n_classes, recipe.classes.has_masks) == (4, False)
    assert (recipe.tiles.size, recipe.inference.size) == (768, (768, 768))
    assert recipe.scene.inputs == (1, 2, 3)
    assert (recipe.features.scaling, recipe.features.statistics) == ("z_score", "image_all_bands")
    training = recipe.training
    assert (training.batch_size, training.epochs, training.early_stopping) == (7, 100, 10)
    assert (training.loss.name, training.monitor) == ("crossentropy", "loss")
    assert training.learning_rate == 1e-4
    assert training.schedule.model_dump() == {
        "name": "ramp", "start": 1e-3, "end": 1e-3, "ramp": 10, "sustain": 0, "decay": 0.9,
        "initial_epoch": 0,
    }  # fmt: skip
    assert recipe.split.held_out == "^val-"
    assert recipe.imports.model_dump(exclude_unset=True) == {
        "kind": "gym", "prefix": "hatteras_l8_aug_768", "augmented": True, "overlap": "first",
    }  # fmt: skip
    assert training.augment.zoom == (1.0, 1.0)  # The copies in the data set have it.
    found = fates(done)
    assert set(PUBLISHED) <= set(found)
    assert found["STRIDE"] == found["FILTER_VALUE"] == "approximated"
    assert found["DOPLOT"] == found["AUG_LOOPS"] == "refused"


def test_the_documentation_has_a_row_for_each_key_and_what_usually_becomes_of_it(
    tmp_path: Path,
) -> None:
    lines = (ROOT / "docs" / "gym.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `") and "|" in line[3:]]
    assert [row for row in rows if row.split("`")[1] in KEYS] == [
        row for row in table() if row.startswith("| `")
    ]
    usual = PUBLISHED | OTHERS | {"STRIDE": 2, "FILTER_VALUE": 0}
    assert set(usual) == set(KEYS)
    found = fates(converted(tmp_path, usual))
    assert found == {key.name: key.usual.value for key in KEYS.values()}


def test_without_copies_training_augments(tmp_path: Path) -> None:
    changes = {"AUG_ROT": 5, "AUG_HFLIP": True, "AUG_WIDTHSHIFT": 77, "AUG_ZOOM": 0.25}
    done = converted(tmp_path, changes, "originals")
    augment = done.recipe.training.augment
    assert (augment.rotation, augment.flip_horizontal, augment.flip_vertical) == (5.0, 0.5, 0.0)
    assert augment.zoom == pytest.approx((0.8, 4 / 3))
    assert (augment.shift, augment.fill) == (pytest.approx(77 / 768), "reflect")
    assert done.recipe.imports.augmented is False
    assert fates(done)["AUG_WIDTHSHIFT"] == "approximated"  # Not the same along rows.
    none = converted(tmp_path, changes | {"MODE": "noaug"}, "originals").recipe
    assert none.training.augment.rotation == 0.0
    assert converted(tmp_path, {"MODE": "noaug"}).recipe.imports.augmented is False


def test_images_are_remapped_resized_and_dilated_by_the_import(tmp_path: Path) -> None:
    changes = {
        "REMAP_CLASSES": {"0": 0, "1": 2, "2": 3, "7": 9}, "USEMASK": True,
        "TARGET_SIZE": [512, 768],
    }  # fmt: skip
    done = converted(tmp_path, changes, "images")
    imports = done.recipe.imports
    assert imports.codes == {0: "class_0", 1: "class_2", 2: "class_3", 7: None}
    assert imports.masks == "masks/{stem}.*"
    assert (imports.size, imports.padding, imports.background) == (
        (512, 768), "background", "class_0",
    )  # fmt: skip
    assert (done.recipe.tiles.size, done.recipe.split.validation) == (768, 0.2)
    assert "1 may change twice" in next(r.reason for r in done.rows if r.key == "REMAP_CLASSES")


def test_images_are_imported_as_the_recipe_says(tmp_path: Path) -> None:
    changes = {
        "TARGET_SIZE": [64, 64], "NCLASSES": 2, "FILTER_VALUE": 0,
        "REMAP_CLASSES": {"0": 0, "1": 0, "2": 1},
    }  # fmt: skip
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(converted(tmp_path, changes, "images").text())
    source = tmp_path / "data"
    for number in range(2):
        write_raster(source / "images" / f"{number}.png", image(number))
        write_raster(source / "labels" / f"{number}.png", labels(number, 3))
    run_import("folder", [str(source)], str(tmp_path / "shards"), recipe, False, "here")
    shards = open_shards(tmp_path / "shards")
    images, found = shards.load(("1",), 64)
    assert images.shape == (1, 64, 64, 3)
    rows = round(HEIGHT * 64 / WIDTH)
    assert (found[0, rows:] == 0).all()  # Padding is the first class, as in the Gym.
    assert set(np.unique(found)) == {0, 1}
    share = (labels(1, 3) == 2).mean()
    assert (found[0, :rows] == 1).mean() == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("count", [2, 4])
def test_dilation_is_that_of_the_gym(tmp_path: Path, count: int) -> None:
    recipe = converted(tmp_path, {"NCLASSES": count, "FILTER_VALUE": 2}, "images").recipe
    made = labels(0, count)
    # Each class by a disc, and the first that is there; of two classes the second, if it is there.
    rows, columns = np.indices(made.shape)
    hot = np.zeros((*made.shape, count), bool)
    for row, column in np.argwhere(made >= 0):
        near = (rows - row) ** 2 + (columns - column) ** 2 <= 2**2
        hot[near, made[row, column]] = True
    expected = hot[..., 1] if count == 2 else hot.argmax(axis=-1)
    assert (grow(made, recipe.classes, recipe.imports.dilate) == expected).all()


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"NCLASSES": 1}, "classes.n_classes", 2),
        ({"LOSS": "categorical_crossentropy"}, "training.loss.name", "crossentropy"),
        ({"LOSS": "kld"}, "training.loss.name", "kullback_leibler"),
        ({"LOSS": "hinge"}, "training.loss.name", "hinge"),
        ({"LOSS": "dice"}, "training.loss.smoothing", 1e-5),
        ({"LOSS": "dice"}, "training.loss.per_image", False),
        ({"LOSS": "dice", "LOSS_WEIGHTS": True}, "training.class_weights", "one_minus_share"),
        (
            {"LOSS": "dice", "LOSS_WEIGHTS": [6, 2, 1, 1]},
            "training.class_weights",
            pytest.approx((0.4, 0.8, 0.9, 0.9)),
        ),
        ({"LOSS": "cat", "LOSS_WEIGHTS": True}, "training.class_weights", "none"),
        ({"MODEL": "simple_unet", "KERNEL": 9}, "model.kernel", 2),
        ({"MODEL": "segformer", "LOSS": "dice"}, "training.loss.name", "crossentropy"),
        ({"MODEL": "segformer"}, "model.size", "b0"),
        ({"N_DATA_BANDS": 5}, "scene.inputs", (1, 2, 3, 4, 5)),
        ({"SUSTAIN_EPOCHS": 3}, "training.schedule.sustain", 3),
        ({"INITIAL_EPOCH": 30}, "training.schedule.initial_epoch", 30),
        ({"INITIAL_EPOCH": 30}, "training.epochs", 70),
        ({"TESTTIMEAUG": True}, "inference.tta", "flips"),
        ({"OTSU_THRESHOLD": True, "NCLASSES": 1}, "inference.threshold", "otsu"),
        ({"OTSU_THRESHOLD": True}, "inference.threshold", "as-tuned"),
        ({"WRITE_MODELMETADATA": True}, "inference.products", ("probability",)),
        ({"NCLASSES": 40}, "classes.n_classes", 40),
    ],
)
def test_a_value_becomes_a_value_of_the_recipe(
    tmp_path: Path, changes: dict[str, Any], key: str, expected: object
) -> None:
    value: Any = converted(tmp_path, changes).recipe
    for name in key.split("."):
        value = getattr(value, name)
    assert value == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"BATCHSIZE": 3}', r"unknown key 'BATCHSIZE' \(perhaps 'BATCH_SIZE' is meant\); correct"),
        ('{"aug_rot": 3}', "perhaps 'AUG_ROT' is meant"),
        ('{"xyz": 3}', "known: TARGET_SIZE, "),
        ('{"NCLASSES": 2}', "lacks the key 'TARGET_SIZE'; add it"),
        ('{"TARGET_SIZE": [3]}', r"value for 'TARGET_SIZE' \(\[3\]\); give a list of rows and"),
        ('{"TARGET_SIZE": 3, }', "not valid JSON at line 1"),
        ("[3]", "is no JSON object"),
        ('{"START_LR": NaN}', "number NaN, which JSON doesn't know"),
        ("[" * 9999, "too many brackets"),
        ('{"a": "\udce4"}', "not a text file in UTF-8"),
        (" " * 300_000, "more than 256 KiB"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecipeError, match=f"^The Gym configuration .*config.json .*{problem}"):
        from_gym(file)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"MODEL": "unett"}, "give one of unet, resunet, simple_unet"),
        ({"MODEL": "satunet"}, "older network of the Gym.*set MODEL to unet or resunet"),
        ({"NCLASSES": 0}, "give a whole number from 1 to 254"),
        ({"BATCH_SIZE": 2.5}, "give a whole number from 1"),
        ({"BATCH_SIZE": True}, "give a whole number from 1"),
        ({"DROPOUT": 1}, "give a number from 0 to less than 1"),
        ({"DROPOUT_TYPE": "none"}, "give one of standard, spatial"),
        ({"DO_TRAIN": "yes"}, "give true or false"),
        ({"LOSS": "iou"}, r"give dice, cat \(categorical cross-entropy\)"),
        ({"LOSS": "dice", "LOSS_WEIGHTS": [1, 2]}, "has 2 numbers and there are 4 classes"),
        ({"LOSS_WEIGHTS": [1, "a"]}, "true, false or a list of numbers"),
        ({"REMAP_CLASSES": {"a": 1}}, "give an object of numbers"),
        ({"SET_GPU": "first"}, "give numbers of GPUs"),
        ({"START_LR": 1}, "START_LR is 1, more than its MAX_LR, 0.0001; make it less"),
        ({"INITIAL_EPOCH": 100}, "no epoch is left; set MAX_EPOCHS to more"),
        ({"HOT_START": "w.h5"}, "HOT_START and no INITIAL_EPOCH, which the Gym needs too; add it"),
        ({"ROOT_STRING": ""}, "give a text"),
        ({"MAX_LR": 1e999}, "number Infinity"),
    ],
)
def test_a_wrong_value_is_one_sentence(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(RecipeError, match=f"The Gym configuration .*{problem}"):
        converted(tmp_path, changes)


def run(*words: object) -> Result:
    words = ("recipe", "from-gym", *words)
    result: Result = CliRunner().invoke(build_app(["recipe"]), [str(word) for word in words])
    return result


def test_the_command_writes_the_recipe_and_says_what_became_of_each_key(tmp_path: Path) -> None:
    file, out = tmp_path / "config.json", tmp_path / "recipe.yaml"
    text = json.dumps(PUBLISHED)
    file.write_text(text[:-1] + ', "NCLASSES": 5}')
    printed = run(file, "--set", "training.epochs=3")
    assert printed.exit_code == 0, printed.output
    done = run(file, "--out", out, "--set", "training.epochs=3")
    assert done.exit_code == 0, done.output
    assert out.read_text() == printed.stdout
    recipe = load_recipe(out)
    assert (recipe.training.epochs, recipe.classes.n_classes) == (3, 5)
    rows = done.stdout.splitlines()
    assert "carried      NCLASSES 5 (the key is there 2 times, and the last one counts)" in rows
    assert "carried      BATCH_SIZE 7 -> training.batch_size: 7" in rows
    assert {row.split()[0] for row in rows[:-1]} == {fate.value for fate in Fate}
    assert f"# {rows[0]}" in out.read_text().splitlines()
    wrong = run(file, "--set", "training.epoch=3")
    assert "perhaps 'epochs' is meant" in " ".join(wrong.output.split())
    words = ["recipe", "show", "kelp", "--out", str(out)]
    wrong = CliRunner().invoke(build_app(["recipe"]), words)
    assert wrong.exit_code == 1
    assert "--out is for `polynya recipe from-gym`; leave it out." in wrong.output

"""`polynya model`: facts of families, recipes and model folders, the list, and what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from polynya.cli import build_app
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.yaml_files import write_yaml
from training.model_folder.folder import save_model
from training.models import NETWORKS, build_from

PAGE = (Path(__file__).parents[3] / "docs" / "models.md").read_text("utf-8")


def run(*words: str) -> Result:
    result: Result = CliRunner().invoke(build_app(["model"]), ["model", *words])
    return result


def facts(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_facts_of_a_family_are_numbers_and_words(tmp_path: Path) -> None:
    words = ["gym_unet", "--bands", "5", "--classes", "4", "--set", "filters=8"]
    found = facts(*words, "--size", "500")
    assert (found["name"], found["filters"], found["kernel"]) == ("gym_unet", 8, 7)
    assert (found["bands"], found["classes"], found["multiple"]) == (5, 4, 16)
    assert (found["height"], found["width"]) == (512, 512)
    assert found["parameters"] == 4_006_276
    drawing = tmp_path / "net.svg"
    done = run(*words, "--draw", str(drawing))
    assert re.search(r"parameters +4,006,276", done.stdout)
    assert drawing.read_text().startswith("<svg")
    assert run("gym_unet", "--set", "filters=2", "--markdown").stdout.startswith(
        "**gym_unet, bands 3"
    )


def test_a_recipe_and_a_model_folder_have_the_facts_of_their_model(tmp_path: Path) -> None:
    content = {
        "model": {"name": "unet", "filters": [2, 3], "dropout": [0, 0]},
        "scene": {"inputs": ["red", "nir", "green"]},
        "features": {"indices": ["NDVI"]},
    }
    (tmp_path / "recipe.yaml").write_text(write_yaml(content), "utf-8")
    found = facts(str(tmp_path / "recipe.yaml"), "--size", "32")
    first = 9 * 4 * 2 + 2  # Three bands and an index.
    assert (found["bands"], found["classes"]) == (3, 3)
    assert found["parameters"] == first + facts(
        "unet", "--set", "filters=[2, 3]", "--set", "dropout=[0, 0]", "--size", "32"
    )["parameters"] - (9 * 3 * 2 + 2)
    recipe = parse_recipe(
        {"model": {"name": "unet_short", "filters": [2, 3], "convolutions": [1, 1]}}, ""
    )
    model = build_from(recipe.model, input_shape=(None, None, 3), n_classes=3)
    save_model(tmp_path / "model", model, recipe)
    found = facts(str(tmp_path / "model"), "--size", "32")
    assert (found["name"], found["parameters"]) == ("unet_short", model.count_params())


def test_a_step_and_a_prediction_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.ranks.devices.configure_devices", lambda collective: 1)
    monkeypatch.setattr("training.families.measured._LEAST_SECONDS", 0.0)
    words = [
        "unet_short",
        "--classes",
        "1",
        "--set",
        "filters=[8, 8]",
        "--set",
        "convolutions=[1, 1]",
    ]
    measured = facts(*words, "--size", "256", "--measure", "--batch", "4")["measured"]
    assert measured["batch"] == 4
    assert 0 < measured["inference_s"] < measured["step_s"]
    one = 4 * 256 * 256 * 8 * 4 / 2**20  # An output of a layer, in MB.
    assert measured["step_mb"] is None or measured["step_mb"] > one


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unett"], "model folder 'unett'; perhaps 'unet' is meant"),
        (
            ["unet", "--set", "filterz=8"],
            r"unknown key 'model\.filterz'.*perhaps 'filters' is meant",
        ),
        (["gym_unet", "--set", "dropout_change=0.4"], r"a rate of 1\.3 in the deepest block"),
        (["unet_base", "--set", "filters=[2, 4]"], "as many values as filters"),
        (["xgboost"], "'xgboost' is of decision trees"),
        (["kelp", "--bands", "4"], "kelp says its own; leave them out"),
        (["unet", "--list"], "--list is for all families"),
        (["unet", "--draw", "net.png"], r"ends in \.svg"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: list[str], message: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert re.search(message, " ".join(done.output.split()))
    assert done.output.count("Error:") == 1


@pytest.mark.slow
def test_the_page_has_the_table_that_the_command_prints() -> None:
    printed = run("--markdown").stdout.strip()
    assert printed in PAGE
    rows = {row["model.name"]: row for row in json.loads(run("--json").stdout)}
    assert tuple(rows) == NETWORKS
    assert rows["unet"]["parameters"] == "7,775,635"

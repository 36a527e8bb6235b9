"""Learning curves on tiny shards."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from helpers.maps.inference_commands import names, run
from helpers.shards.tiny_shards import write_tiny_shards
from inference.studies.learning_curve import plan_subsets, run_curve
from polynya.recipe.overrides import resolve
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.dataset import open_shards
from polynya.splits.split_file import read_split, write_split
from training.input.split import recipe_split, split_by_file
from training.ranks.port import SingleProcess
from training.run.session import Session

TINY: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.2},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01},
}


def _recipe(**sections: Any) -> Recipe:
    return parse_recipe({**TINY, **sections}, source="test")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curve") / "shards"
    return write_tiny_shards(folder, _recipe(), nodata_shares=(0,) * 10)


@pytest.mark.parametrize("way", ["scenes", "held out", "file"])
def test_subsets_are_nested_and_validate_on_the_same(
    way: str, shards: Path, tmp_path: Path
) -> None:
    split: dict[str, Any] = {"validation": 0.2}
    if way == "held out":
        split = {"held_out": "scene[01]$"}
    elif way == "file":
        words = ["--by", "blocks", "--block", "300m", "--buffer", "1m", "--folds", 5]
        run("split", shards, *words, "--out", tmp_path / "folds.json")
        split = {"file": str(tmp_path / "folds.json"), "fold": 3}
    recipe, data = _recipe(split=split, seed=5), open_shards(shards)
    whole = recipe_split(data, recipe)
    trainings = plan_subsets(data, recipe, tmp_path, 2)
    sizes = sorted({training.groups for training in trainings})
    assert len(trainings) == 2 * len(sizes)
    if way != "file":
        assert sizes == [1, 2, 4, 8]
    subsets: dict[int, list[set[tuple[str, int]]]] = {5: [], 6: []}
    for training in trainings:
        write_split(training.split, training.file)
        own = resolve(recipe, training.plan.overrides)
        # The model's folder has a recipe that can be read again.
        parse_recipe(own.model_dump(mode="json"), source="test")
        made = split_by_file(data, own.split)
        assert set(made.validation) == set(whole.validation)
        if way == "file":
            assert made.validation_tiles == whole.validation_tiles
        keys = [key for key in training.split.tiles if training.split.trains(key, 0)]
        assert len(keys) == training.tiles
        assert len({training.split.tiles[key].group for key in keys}) == training.groups
        subsets[own.seed].append(set(keys))
    for of_seed in subsets.values():
        assert all(less < more for less, more in pairwise(of_seed))
    assert subsets[5][-1] == subsets[6][-1]
    assert subsets[5][0] != subsets[6][0]
    if way == "file":
        known = read_split(tmp_path / "folds.json")
        assert subsets[5][-1] == {key for key in known.tiles if known.trains(key, 3)}


def test_every_training_has_as_many_steps(shards: Path, tmp_path: Path) -> None:
    training = {
        **TINY["training"],
        "early_stopping": 3,
        "warmup_epochs": 0.5,
        "schedule": {"name": "step", "epochs": 5},
    }
    recipe = _recipe(training=training)
    found = {}
    for one in plan_subsets(open_shards(shards), recipe, tmp_path, 2):
        options = resolve(recipe, one.plan.overrides).training
        steps = -(-one.tiles // 4)
        assert options.epochs * steps == 2 * 8
        assert options.warmup_epochs * steps == 0.5 * 8
        found[one.groups] = (options.early_stopping, getattr(options.schedule, "epochs", None))
    assert found == {1: (24, 40), 2: (12, 20), 4: (6, 10), 8: (3, 5)}
    drawn = _recipe(training={**TINY["training"], "sampling": {"name": "balanced", "samples": 8}})
    for one in plan_subsets(open_shards(shards), drawn, tmp_path, 2):
        assert resolve(drawn, one.plan.overrides).training == drawn.training


@pytest.mark.slow
def test_a_curve_ends_in_a_table_a_picture_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe(split={"validation": 0.3}, training={**TINY["training"], "epochs": 1})
    shards = write_tiny_shards(tmp_path / "shards", recipe, nodata_shares=(0,) * 3)
    session, out = Session(SingleProcess(), trains_often=True), tmp_path / "out"
    points = run_curve(session, str(shards), out, None, 2)
    said = capsys.readouterr().out
    assert [(point.groups, point.tiles) for point in points] == [(1, (4, 4)), (2, (8, 8))]
    one = json.loads((out / "seed-1-groups-2" / "metrics.json").read_text())
    assert points[1].mean_ious[1] == one["validation"]["mean_iou"]
    with (out / "learning_curve.csv").open() as file:
        assert [row["trainings"] for row in csv.DictReader(file)] == ["2", "2"]
    sentence = (out / "learning_curve.md").read_text().splitlines()[-1]
    assert "from 1 to 2 training groups" in sentence
    assert sentence in said
    assert (out / "learning_curve.png").stat().st_size > 5000
    assert "seed-0-groups-1" in names(out)

    def refuse(*words: Any, **options: Any) -> None:
        raise AssertionError("nothing is left to train")

    picture = (out / "learning_curve.png").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "train", refuse)
        assert run_curve(session, str(shards), out, None, 2, resume=True)[0].groups == 1
        other = _recipe(seed=0, model={"filters": [5, 8], "dropout": [0.0, 0.0]})
        other.save(tmp_path / "other.yaml")
        with pytest.raises(typer.Exit):
            run_curve(session, str(shards), out, tmp_path / "other.yaml", 2, resume=True)
        assert "groups-1 holds a finished model of another recipe" in capsys.readouterr().err
        trains = recipe_split(open_shards(shards), recipe).training[0]
        _recipe(split={"held_out": trains}).save(tmp_path / "other.yaml")
        with pytest.raises(typer.Exit):
            run_curve(session, str(shards), out, tmp_path / "other.yaml", 2, resume=True)
        assert "groups-1.json is of a learning curve with another" in capsys.readouterr().err
    assert (out / "learning_curve.png").read_bytes() == picture


@pytest.mark.parametrize(
    ("sections", "lay", "message"),
    [
        ({"split": {"validation": 0}}, None, "'split.validation' is 0"),
        ({"split": {"held_out": "scene[0-8]"}}, None, "at least two groups that train"),
        ({}, "seed-0-groups-4.json", "not a file that Polynya wrote"),
        ({}, "learning_curve.png", "not a file that Polynya wrote"),
        ({}, "seed-1-groups-8/mine.txt", "holds other files"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_the_first_training(
    sections: dict[str, Any],
    lay: str | None,
    message: str,
    shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _recipe(**sections).save(tmp_path / "recipe.yaml")
    if lay is not None:
        (tmp_path / "out" / lay).parent.mkdir(parents=True)
        (tmp_path / "out" / lay).write_text("mine")
    session = Session(SingleProcess(), trains_often=True)
    with pytest.raises(typer.Exit):
        run_curve(session, str(shards), tmp_path / "out", tmp_path / "recipe.yaml", 2)
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert said.startswith("Error: ")
    assert not (tmp_path / "out" / "seed-0-groups-1").exists()
    assert lay is None or (tmp_path / "out" / lay).read_text() == "mine"

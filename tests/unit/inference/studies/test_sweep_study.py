"""Study files: what is wrong with one is a sentence, and its trials are known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.maps.inference_commands import run
from inference.studies.sweep.data_sets import Places, read_places
from inference.studies.sweep.planning import check_study
from inference.studies.sweep.scores import find_scores
from inference.studies.sweep.study import load_study
from inference.studies.sweep.trials import check_trials, listed_trials, trainings
from polynya.errors import RecipeError, ShardError
from polynya.recipe.recipe import Recipe
from polynya.recipe.yaml_files import write_yaml

BATCHES: dict[str, Any] = {"training.batch_size": [8, 16]}


def _write(folder: Path, parameters: Any = BATCHES, **keys: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(write_yaml({"parameters": parameters, **keys}))
    return path


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"paramters": {}}, "unknown key 'paramters'.*'parameters' is meant"),
        ({"parameters": {}}, "wrong value for 'parameters'"),
        ({"parameters": {"a.b": {"rnge": [1, 2]}}}, "'parameters.a.b.rnge'.*'range' is meant"),
        ({"parameters": {"a": {"range": [2, 1]}}}, "second number must be greater"),
        ({"parameters": {"a": {"log_range": [0, 1]}}}, "numbers above 0"),
        ({"parameters": {"a": [8, 8]}}, "may be there once"),
        ({"parameters": {"a": {"range": [1, 2]}}}, "grid has no ranges"),
        ({"parameters": {"a..b": [1]}}, "no dotted key"),
        ({"parameters": {"split.validation": [0.1, 0.2]}}, "share the split"),
        ({"parameters": {"seed": [1, 2]}}, "set 'seeds'"),
        ({"parameters": {"a": [1], "b": {"together": {"x": {"a": 2}}}}}, "a and b both set 'a'"),
        ({"search": {"kind": "randm"}}, "grid, random, tpe"),
        ({"search": {"kind": "random", "trials": 3}}, "only 2 combinations"),
        ({"search": {"kind": "grid", "trials": 3}}, "unknown key 'search.trials'"),
        ({"parameters": {"a": {"steps": {"x": {"b": 1}, "y": ["c"]}}}}, "'y' gives 'c' back"),
        ({"parameters": {"shards": {"choices": {"x": "y"}}}}, "'shards' must be a list of names"),
        ({"set": {"shards": "x"}}, "'shards' is no key of the recipe"),
        ({"evaluate": {"x": {}}}, "set 'augment' to true"),
        ({"evaluate": {"classes": {"augment": True}}}, "the name of a score"),
        ({"evaluate": {"x": {"augment": True}}}, "evaluate.x' changes tiles .* asks for no change"),
        ({"evaluate": {"x": {"shards": "y"}}, "metrics": ["x.iou"]}, r"'x.iou', .*\(perhaps 'x\."),
        ({"evaluate": {"x": {"shards": "y"}}, "metrics": ["x.mean_iou"],
          "search": {"kind": "tpe", "trials": 2}}, "known at the end only"),
        ({"published": {"training.batch_size": {"Dice": {"9": 1.0}}}}, "number for '9'"),
        ({"lines": "model.name"}, "'lines' is 'model.name', which is no parameter"),
        ({"parameters": {"training.loss": ["dice"]}, "metrics": ["loss"]}, "can't compare"),
        ({"seeds": 0}, "'seeds'"),
        # What the recipe's own checks say of a trial.
        ({"set": {"trainin.epochs": 3}}, "'set' of the study.*unknown key 'trainin'"),
        ({"parameters": {"training.batch_sise": [8]}}, "trial 0000 .*'batch_size' is meant"),
        ({"parameters": {"training.batch_size": [8, -1]}}, r"0001 \(training.batch_size -1\)"),
        ({"parameters": {"training.schedule.epochs": [8]}, "set": {"training.schedule": "step"}},
         "'step' and has no parts; set 'schedule' as a whole"),
        ({"parameters": {"training.learning_rate": {"log_range": [0.1, 200]}},
          "search": {"kind": "tpe"}}, "learning_rate 200"),
        ({"metrics": ["mean_iuo"]}, "'mean_iuo', which its trainings don't measure .*'mean_iou'"),
        ({"metrics": ["kullback_leibler"]}, "training.metrics.further"),
        ({"metrics": ["classes.kelp.iou"]}, "such as classes.open_water.iou"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = _write(tmp_path, **keys) if "paramters" not in keys else tmp_path / "study.yaml"
    if not path.exists():
        path.write_text(write_yaml(keys))
    with pytest.raises(RecipeError, match=message) as caught:
        check_study(load_study(path), None)
    assert "\n" not in str(caught.value)


def test_a_grid_has_all_combinations_in_order_and_seeds_come_last(tmp_path: Path) -> None:
    parameters = {
        "model.dropout": {"choices": {"none": [0, 0], "half": [0.5, 0.5]}},
        "size": {"together": {"small": {"model.filters": [4, 8]}, "large": {
            "model.filters": [8, 16], "training.batch_size": 4}}},
    }  # fmt: skip
    study = load_study(_write(tmp_path, parameters), seeds=2)
    trials = listed_trials(study.options)
    assert [trial.key for trial in trials] == [
        ("none", "small"), ("none", "large"), ("half", "small"), ("half", "large"),
    ]  # fmt: skip
    names = [training.name for training in trainings(trials, 2)]
    assert names == [*(f"000{n}" for n in range(4)), *(f"000{n}-seed-1" for n in range(4))]
    recipes = [recipe for _, recipe in check_trials(Recipe(), study)]
    assert [recipe.model.dropout for recipe in recipes[1:3]] == [(0, 0), (0.5, 0.5)]
    assert [recipe.training.batch_size for recipe in recipes[:2]] == [32, 4]


def test_random_trials_follow_from_their_numbers_and_none_is_there_twice(tmp_path: Path) -> None:
    parameters = {
        "training.learning_rate": {"log_range": [1e-5, 1e-1]},
        "training.batch_size": {"log_range": [1, 64]},
        "training.epochs": {"range": [3, 5]},
        "training.jit": [True, False],
    }
    path = _write(tmp_path, parameters, search="random")
    many = listed_trials(load_study(path, trials=400).options)
    assert many[:20] == listed_trials(load_study(path).options)
    drawn = {name: [trial.levels[name] for trial in many] for name in parameters}
    rates = np.log10(np.array(drawn["training.learning_rate"], float))
    assert -5 <= rates.min() < -4.9
    assert rates.mean() == pytest.approx(-3, abs=0.15)
    assert set(drawn["training.epochs"]) == {3, 4, 5}
    assert set(drawn["training.jit"]) == {"true", "false"}
    batches = np.array(drawn["training.batch_size"], float)
    assert np.median(batches) == pytest.approx(8, abs=2)
    # All of a small space, each once.
    path = _write(tmp_path, {"training.epochs": {"range": [3, 5]}, **BATCHES}, search="random")
    assert len({trial.key for trial in listed_trials(load_study(path, trials=6).options)}) == 6


def test_options_of_the_command_go_into_the_study(tmp_path: Path) -> None:
    path = _write(tmp_path, {**BATCHES, "training.epochs": [50, 70]})
    words = ["--set", "training.learning_rate=0.1", "--vary", "training.epochs=[2, 3]"]
    said = run("sweep", path, "--list", *words, "--seeds", 2).output
    assert "4 trials (grid) with 2 seeds" in said
    assert "0003-seed-1" in said
    assert "50" not in said
    assert "give --shards and --out" in " ".join(run("sweep", path, expect=1).output.split())
    wrong = run("sweep", path, "--list", "--vary", "training.epochs", expect=1).output
    assert "--vary training.epochs has another form" in wrong


def test_steps_keep_those_before_or_give_back_to_the_recipe(tmp_path: Path) -> None:
    steps = {
        "first": {"training.loss": "dice", "model": {"filters": [4, 8], "dropout": [0, 0]}},
        "second": {"training.batch_size": 4},
        "third": ["training.loss", "model"],
    }
    study = load_study(_write(tmp_path, {"ladder": {"steps": steps}}))
    recipes = [recipe for _, recipe in check_trials(Recipe(), study)]
    assert [recipe.training.loss.name for recipe in recipes] == ["dice", "dice", "crossentropy"]
    assert [recipe.training.batch_size for recipe in recipes] == [32, 4, 4]
    assert [len(recipe.model.filters) for recipe in recipes] == [2, 2, 6]


def test_a_small_version_changes_the_study_and_options_change_that(tmp_path: Path) -> None:
    change = {
        "set": {"training.epochs": 2},
        "parameters": {"training.batch_size": None, "loss": {"together": {"b": None}}},
        "seeds": 3,
    }
    both = {"a": {"training.loss": "dice"}, "b": {"training.loss": "jaccard"}}
    parameters = {**BATCHES, "loss": {"together": both}}
    small = {"data": ["make tiles"], "change": change}
    path = _write(tmp_path, parameters, small=small, set={"training.learning_rate": 0.5})
    full, options = load_study(path).options, load_study(path, small=True, seeds=2).options
    assert (len(listed_trials(full)), full.seeds) == (4, 1)
    assert [trial.key for trial in listed_trials(options)] == [("a",)]
    assert (options.set, options.seeds) == (
        {"training.learning_rate": 0.5, "training.epochs": 2}, 2,
    )  # fmt: skip
    assert (
        "Tiles for its small version: make tiles" in run("sweep", path, "--small", "--list").output
    )
    said = run("sweep", _write(tmp_path), "--small", "--list", expect=1).output
    assert "has no small version" in said


def test_named_tiles_are_given_by_name(tmp_path: Path) -> None:
    parameters = {"shards": ["man", "auto"]}
    evaluate = {"other": {"shards": "more"}}
    options = load_study(_write(tmp_path, parameters, evaluate=evaluate)).options
    places = read_places(["auto=b", "man=a=1", "more=c"], options)
    assert places is not None
    assert places.main == "a=1"
    assert [places.of(trial) for trial in listed_trials(options)] == ["a=1", "b"]
    assert read_places([], options) is None
    for given, words in (
        (["man=a"], "add --shards auto=FOLDER"),
        (["man=a", "man=b"], "--shards man= is given twice"),
        (["man=a", "auto=b", "more=c", "d"], "--shards d is neither"),
    ):
        with pytest.raises(ShardError, match=words):
            read_places(given, options)
    plain = load_study(_write(tmp_path)).options
    assert read_places(["x=y"], plain) == Places("x=y")
    with pytest.raises(ShardError, match="nor the only other one"):
        read_places(["x", "y"], plain)


def test_scores_know_which_way_is_better_and_how_they_are_shown() -> None:
    recipe = Recipe.model_validate({"training": {"metrics": {"further": ["kullback_leibler"]}}})
    names = ["mean_iou", "kullback_leibler", "per_image.mean_f1", "loss", "classes.open_water.f1"]
    scores = find_scores(names, recipe)
    assert [score.less_is_better for score in scores] == [False, True, False, True, False]
    assert scores[0].heading == "mean IoU, %"
    assert scores[1].heading == "Kullback-Leibler divergence, nats"
    assert [score.text(0.5) for score in scores[:2]] == ["50.00", "0.5000"]

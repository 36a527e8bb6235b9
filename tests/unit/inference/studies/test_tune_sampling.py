"""Search for the weights of tiles: trials known beforehand, a sentence that knows chance."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml

from helpers.shards.tiny_shards import write_tiny_shards
from inference.studies.gains import NOISE, interval, verdict
from inference.studies.results import validation_scores
from inference.studies.sampling_search import (
    OTHERS,
    PRESENCE,
    Trial,
    answer,
    best_of,
    draw_weights,
    feature_names,
    trials_table,
)
from inference.studies.tune_sampling import Search, run_search
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from training.ranks.port import SingleProcess
from training.run.session import Session

TINY: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 1, "batch_size": 4, "learning_rate": 0.01},
}


def _recipe(**sections: Any) -> Recipe:
    return parse_recipe({**TINY, **sections}, source="test")


def test_intervals_are_students() -> None:
    mean, half = interval([0.70, 0.72, 0.77])
    assert mean == pytest.approx(0.73)
    assert half == pytest.approx(4.302653 * 0.0360555 / np.sqrt(3), rel=1e-5)
    assert verdict([0.02, 0.021, 0.019]) == "gain"
    assert verdict([-0.02, -0.021, -0.019]) == "loss"
    assert verdict([0.02, -0.01, 0.03]) == NOISE
    assert verdict([0.0, 0.0, 0.0]) == NOISE


def test_trials_are_known_beforehand_and_more_of_them_begin_with_the_same() -> None:
    names = ["has:kelp", "1 - share:kelp", "qa_ok"]
    few, many = draw_weights(names, 3, seed=4), draw_weights(names, 300, seed=4)
    assert few == many[:3] != draw_weights(names, 3, seed=5)
    assert all(list(weights) == names for weights in many)
    assert {weights["has:kelp"] for weights in many} == set(PRESENCE)
    assert {weights["qa_ok"] for weights in many} == set(OTHERS)


def test_features_are_those_of_the_recipe_or_of_the_kelp_study() -> None:
    kelp = load_recipe("kelp")
    study = [
        "has:kelp", "1 - share:kelp", "qa_ok", "1 - bad", "1 - water", "1 - nan", "1 - zero"
    ]  # fmt: skip
    assert feature_names(kelp) == study
    own = {"name": "features", "weights": {"nodata": -1.0}}
    assert feature_names(_recipe(training={**TINY["training"], "sampling": own})) == ["nodata"]
    assert "qa_ok" not in feature_names(_recipe())


def test_the_best_trial_is_one_with_weights_and_a_score() -> None:
    trials = [
        Trial("each", None, 0.9),
        Trial("trial-0", {"nodata": 1.0}, float("nan")),
        Trial("trial-1", {"nodata": -1.0}, 0.5),
        Trial("trial-2", {"nodata": 0.5}, 0.5),
    ]
    assert best_of(trials) == trials[2]
    assert best_of(trials[:2]) is None
    rows = trials_table(trials, ["nodata"]).rows
    assert rows[0] == ("each", "90.00", "")
    assert rows[-1] == ("trial-0", "", "1")


def test_the_answer_knows_chance() -> None:
    assert "inside the noise; keep `each`" in answer([0.5, 0.6, 0.7], [0.6, 0.5, 0.8])
    assert "help: +10.00 ± 0.00 %" in answer([0.5, 0.6], [0.6, 0.7])
    assert "make it worse" in answer([0.6, 0.7], [0.5, 0.6])
    assert "Nobody can tell" in answer([0.5, float("nan")], [0.6, 0.7])


@pytest.mark.slow
def test_a_search_ends_in_a_table_and_a_recipe_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = write_tiny_shards(tmp_path / "shards", _recipe(), nodata_shares=(0,) * 4)
    session, out = Session(SingleProcess(), trains_often=True), tmp_path / "out"
    trials = run_search(session, str(shards), out, None, Search(1, None, 2))
    assert [trial.name for trial in trials] == ["each", "trial-0"]
    with (out / "sampling.csv").open() as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    score = validation_scores(out / "trial-0", _recipe())[0]
    assert float(rows["trial-0"]["mean IoU"]) == pytest.approx(100 * score, abs=0.005)
    snippet = yaml.safe_load((out / "sampling.yaml").read_text())
    assert snippet["training"]["sampling"]["weights"] == trials[1].weights
    _recipe(training={**TINY["training"], **snippet["training"]})
    capsys.readouterr()
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/model.keras")}
    assert len(times) == 6
    again = run_search(session, str(shards), out, None, Search(1, None, 2), resume=True)
    assert again == trials
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/model.keras")} == times
    said = capsys.readouterr()
    assert (said.out + said.err).count("is finished") == 6
    more = run_search(session, str(shards), out, None, Search(2, None, 2), resume=True)
    assert more[:2] == trials
    assert len(more) == 3


def test_a_search_without_validation_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe(split={"validation": 0.0})
    shards = write_tiny_shards(tmp_path / "shards", recipe, nodata_shares=(0,))
    session = Session(SingleProcess(), trains_often=True)
    with pytest.raises(typer.Exit):
        run_search(session, str(shards), tmp_path / "out", None, Search(1, None, 2))
    assert "needs tiles that validate" in " ".join(capsys.readouterr().err.split())

"""Tables of a sweep: what differs, what is noise, what matters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from inference.studies.gains import NOISE
from inference.studies.sweep.comparison import (
    UNKNOWN,
    answer,
    compared,
    effects_table,
    trainings_table,
    trials_table,
)
from inference.studies.sweep.importance import importances
from inference.studies.sweep.scores import Result, Score
from inference.studies.sweep.study import StudyOptions
from inference.studies.sweep.trials import Training, Trial

IOU, LOSS = Score("mean_iou", "mean IoU"), Score("loss", "validation loss")
GRID = {"model.name": ["a", "b"], "model.filters": [2, 4, 8]}


def _results(score: Callable[..., float], seeds: int, grid: Any = GRID) -> list[Result]:
    """A finished training of each combination and seed."""
    levels = [dict(zip(grid, own, strict=True)) for own in itertools.product(*grid.values())]
    return [
        Result(
            Training(Trial(number, {k: str(v) for k, v in own.items()}), seed),
            "finished",
            scores=(score(seed, *own.values()),),
            best_epoch=3,
            stop_epoch=4,
            parameters=100 * number,
            seconds=1.5,
        )
        for seed in range(seeds)
        for number, own in enumerate(levels)
    ]


def _rows(table: Any) -> list[dict[str, str]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_a_difference_is_real_if_it_is_there_with_every_seed() -> None:
    seeds = [0.0, 0.03, -0.02]  # The same for all trials, as seeds and split are shared.
    chance = [0.01, -0.01, 0.0]

    def score(seed: int, name: str, filters: int) -> float:
        value = 0.6 + seeds[seed] + {2: 0.0, 4: 0.10, 8: 0.101}[filters]
        return value + (chance[seed] if filters == 4 else 0.0) - 0.05 * (name == "b")

    trials = compared(_results(score, 3), [IOU], 3)
    rows = _rows(trials_table(trials, [IOU]))
    assert [row["trial"] for row in rows] == ["0002", "0001", "0005", "0004", "0000", "0003"]
    assert [row["verdict"] for row in rows] == ["best", NOISE, "worse", "worse", "worse", "worse"]
    assert rows[0]["mean IoU, %"].startswith("70.43 ± ")
    assert rows[2]["against the best"] == "-5.00 ± 0.00"
    assert "1 of the other 5 trials are inside the noise, 4 are worse" in answer(trials, IOU)
    effects = _rows(effects_table(trials, IOU))
    assert [(row["value"], row["pairs"], row["verdict"]) for row in effects] == [
        ("a", "", "best"), ("b", "3", "worse"), ("2", "2", "worse"), ("4", "2", "worse"),
        ("8", "", "best"),
    ]  # fmt: skip


def test_one_parameter_is_compared_by_its_seeds_and_one_seed_says_nothing() -> None:
    def score(seed: int, filters: int) -> float:
        return 0.5 + 0.1 * seed + 0.001 * filters

    grid = {"model.filters": [2, 4]}
    trials = compared(_results(score, 2, grid), [IOU], 2)
    assert _rows(effects_table(trials, IOU))[0]["pairs"] == "2"
    alone = compared(_results(score, 1, grid), [IOU], 1)
    assert _rows(trials_table(alone, [IOU]))[1]["verdict"] == UNKNOWN
    assert "--seeds 3" in answer(alone, IOU)


def test_less_loss_is_better_and_unfinished_trainings_come_last() -> None:
    results = _results(lambda seed, filters: filters / 10 + seed / 1000, 3, {"f": [4, 2, 8]})
    nothing = Result(Training(Trial(3, {"f": "9"}), 0), "failed", "Why.", (np.nan,))
    trials = compared([*results, nothing], [LOSS], 3)
    rows = _rows(trials_table(trials, [LOSS]))
    assert [row["f"] for row in rows] == ["2", "4", "8", "9"]
    assert [row["verdict"] for row in rows] == ["best", "worse", "worse", UNKNOWN]
    assert rows[1]["against the best"] == "+0.2000 ± 0.0000"
    table = _rows(trainings_table([*results, nothing], [LOSS]))
    assert table[-1]["state"] == "failed"
    assert table[0]["stop epoch"] == "4"
    assert "No trial has a score" in answer(compared([nothing], [LOSS], 3), LOSS)


@pytest.mark.parametrize("seeds", [1, 2])
def test_importance_in_a_grid_is_the_share_of_variance_of_the_means(seeds: int) -> None:
    def score(seed: int, name: str, filters: int) -> float:
        return (name == "a") * 0.2 + filters * 0.01

    options = StudyOptions.model_validate({"parameters": GRID})
    found = importances(compared(_results(score, seeds), [IOU], seeds), options)
    assert not isinstance(found, str)
    of_name, of_filters = 0.1**2, float(np.var([0.02, 0.04, 0.08]))
    assert found[0]["model.name"] == pytest.approx(of_name / (of_name + of_filters))
    assert sum(found[0].values()) == pytest.approx(1)
    same = importances(compared(_results(lambda *_: 0.5, 1), [IOU], 1), options)
    assert "don't differ" in str(same)


def test_a_forest_finds_what_matters_in_a_random_search() -> None:
    options = StudyOptions.model_validate(
        {
            "parameters": {"x": {"range": [0.0, 1.0]}, "y": {"log_range": [1, 100]}, "z": ["a"]},
            "search": {"kind": "random", "trials": 40},
        }
    )
    rng = np.random.default_rng(0)

    def results(count: int) -> Sequence[Result]:
        drawn = [{"x": float(rng.uniform()), "y": int(rng.integers(1, 101)), "z": "a"}
                 for _ in range(count)]  # fmt: skip
        return [
            Result(Training(Trial(n, own), 0), "finished", scores=(own["x"] ** 2,))
            for n, own in enumerate(drawn)
        ]

    found = importances(compared(results(40), [IOU], 1), options)
    assert not isinstance(found, str)
    assert found[0]["x"] > 0.9 > found[0]["y"]
    assert "needs 10 finished trials" in str(importances(compared(results(5), [IOU], 1), options))


def test_of_two_trials_one_sentence_says_all() -> None:
    def trials(gain: float) -> Any:
        grid = {"model.name": ["a", "b"]}
        return compared(_results(lambda seed, name: 0.6 + gain * (name == "b"), 2, grid), [IOU], 2)

    assert answer(trials(-0.1), IOU).endswith("; the other trial is worse.")


def test_steps_are_compared_with_the_step_before_and_with_the_paper() -> None:
    scores = {"first": 0.5, "second": 0.7, "third": 0.7}
    chance = [0.0, 0.01]

    def score(seed: int, step: str) -> float:
        return scores[step] + chance[seed] * (step == "third")

    steps = {"first": {"x": 1}, "second": {"x": 2}, "third": {"x": 3}}
    options = StudyOptions.model_validate(
        {
            "parameters": {"ladder": {"steps": steps}},
            "published": {"ladder": {"Dice": {"first": 0.25}}},
        }
    )
    trials = compared(_results(score, 2, {"ladder": list(scores)}), [IOU], 2)
    rows = _rows(effects_table(trials, IOU, options))
    assert [row["verdict"] for row in rows] == ["first step", "better", NOISE]
    assert rows[1]["against the step before"].startswith("+20.00")
    assert [row["published: Dice"] for row in rows] == ["0.25", "", ""]

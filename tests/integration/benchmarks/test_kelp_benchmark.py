"""Kelp tiles as a user goes through them, small: from files with faults to a submission."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks.kelp.groups import score_pairs, score_seed
from benchmarks.kelp.ladder import Plan, rungs

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_every_fault_is_found_and_two_ranks_learn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kelp", "flow", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    with (tmp_path / "faults.csv").open() as file:
        faults = [row for row in csv.DictReader(file) if row["planted"] != "0"]
    assert len(faults) == 9
    assert all(row["found"] == row["planted"] == "1" for row in faults)
    work = tmp_path / "flow"
    assert json.loads((work / "model" / "provenance.json").read_text())["ranks"] == "2"
    with tarfile.open(work / "submission.tar") as tar:
        assert len(tar.getnames()) == 2
    cleaned = json.loads((work / "shards" / "_dropped.json").read_text())
    assert len(cleaned["tiles"]) >= 6


@pytest.mark.parametrize("seed", [11, 12])
def test_duplicates_are_grouped(seed: int) -> None:
    (score,) = score_seed(seed, 60, 160, ["elevation"])
    assert min(score.precision, score.recall) >= 0.95
    assert score.planted > 10


def test_pairs_have_their_hand_values() -> None:
    score = score_pairs("x", [0, 0, 0, 1], ["a", "a", "b", "b"])
    assert (score.planted, score.found, score.both) == (3, 2, 1)
    assert (score.precision, score.recall) == (0.5, pytest.approx(1 / 3))


def test_each_step_keeps_those_before(tmp_path: Path) -> None:
    plan = Plan(64, 10, 10, 1, 2)
    steps = rungs(plan.filters)
    recipes = [plan.recipe(steps[: n + 1], tmp_path / "s.json", 1) for n in range(len(steps))]
    assert [recipe.training.loss.name for recipe in recipes[1:3]] == ["binary_crossentropy", "dice"]
    assert recipes[-1].training.loss.name == "dice"
    assert recipes[-1].training.sampling.name == "features"
    assert len(recipes[-1].features.indices) == 17
    assert recipes[-1].model.filters == tuple(2 * n for n in plan.filters)
    assert recipes[-1].model.batch_norm == recipes[0].model.batch_norm == "local"

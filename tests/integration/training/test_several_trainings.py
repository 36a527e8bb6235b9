"""Cross-validation on real ranks: one is told to stop, and the same command goes on."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from helpers.maps.inference_commands import run
from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import Job, launch_polynya
from polynya.recipe.recipe import parse_recipe
from training.model_folder.checkpoints import last_step

RECIPE: dict[str, Any] = {
    "tiles": {"size": 32},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {
        "epochs": 12,
        "batch_size": 2,
        "learning_rate": 0.01,
        "learning_rate_scaling": "none",
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_shards(tmp_path / "shards", parse_recipe(RECIPE, source="test"))
    run("split", tmp_path / "shards", "--folds", 2, "--out", tmp_path / "folds.json")
    return tmp_path


def test_two_ranks_stop_together_and_go_on_with_the_fold_that_was_cut(folder: Path) -> None:
    out = folder / "cv"
    words = ["cross-validate", str(folder / "shards"), "--split", str(folder / "folds.json")]
    command = launch_polynya("mpirun", 2, *words, "--out", str(out))
    with Job(command, folder / "stopped.log") as job:
        job.wait_for(lambda: last_step(out / "fold-1") >= 2)
        job.signal_rank(1, signal.SIGTERM)
        assert job.end(60) == 75, job.log.read_text()
    said = job.log.read_text()
    assert said.count("Error: Training was told to stop") == 1
    assert f"{' '.join(words)} --out {out} --resume\n" in said
    assert "Traceback" not in said

    with Job([*command, "--resume"], folder / "resumed.log") as job:
        assert job.end(120) == 0, job.log.read_text()
    said = job.log.read_text()
    assert f"Training 1 of 2 is finished: {out / 'fold-0'}" in said
    assert "Going on after step" in said
    assert said.count("Out-of-fold scores") == 1
    assert "Traceback" not in said
    with (out / "folds.csv").open() as file:
        rows = {row["fold"]: row for row in csv.DictReader(file)}
    for fold in range(2):
        about = json.loads((out / f"fold-{fold}" / "provenance.json").read_text())
        assert about["ranks"] == "2"
        found = json.loads((out / f"fold-{fold}" / "metrics.json").read_text())["validation"]
        # The ranks validated on the same tiles, each on its part.
        assert rows[str(fold)]["mean IoU"] == f"{100 * found['mean_iou']:.2f}"
    assert (out / "ensemble" / "model.keras").is_file()

"""Two workers of a sweep as processes; one is killed with its training, and nothing is lost."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import psutil

from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import Job
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.yaml_files import write_yaml
from training.model_folder.checkpoints import last_step

RECIPE: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.1, 0.1]},
    "training": {"epochs": 20, "learning_rate": 0.01},
}
STUDY: dict[str, Any] = {
    "about": "Are small batches better?",
    "parameters": {"training.batch_size": [4, 6, 8]},
}


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "trainings.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def test_a_killed_worker_costs_nothing_and_each_trial_is_there_once(tmp_path: Path) -> None:
    shards = write_tiny_shards(tmp_path / "shards", parse_recipe(RECIPE, source="test"))
    (tmp_path / "study.yaml").write_text(write_yaml(STUDY))
    out = tmp_path / "out"
    polynya = str(Path(sys.executable).with_name("polynya"))
    command = [polynya, "sweep", str(tmp_path / "study.yaml")]
    command += ["--shards", str(shards), "--out", str(out)]
    with (
        Job(command, tmp_path / "killed.log") as killed,
        Job(command, tmp_path / "left.log") as left,
    ):
        begun = "Trial {} begins"
        names = ("0000", "0001", "0002")
        killed.wait_for(lambda: any(begun.format(n) in killed.log.read_text() for n in names))
        (cut,) = [name for name in names if begun.format(name) in killed.log.read_text()]
        killed.wait_for(lambda: last_step(out / "trials" / cut) >= 2)
        worker = psutil.Process(killed.process.pid)
        for process in (worker, *worker.children(recursive=True)):
            process.kill()  # As `kill -9`.
        assert not (out / "trials" / cut / "README.md").exists()
        assert left.end(240) == 0, left.log.read_text()
    said = left.log.read_text()
    assert "Traceback" not in said
    # The other worker has trained all three, also the one that was cut.
    assert [said.count(f"Trial {name} finished") for name in names] == [1, 1, 1]
    assert "Going on after step" in (out / "work" / cut / "log.txt").read_text()
    rows, page = _rows(out), (out / "sweep.html").stat()
    assert [(row["trial"], row["state"], row["stop epoch"]) for row in rows] == [
        (name, "finished", "20") for name in names
    ]
    assert (out / "models.png").stat().st_size > 5000
    assert page.st_size > 50_000

    with Job([*command, "--jobs", "2"], tmp_path / "again.log") as again:
        assert again.end(120) == 0, again.log.read_text()
    assert "begins" not in again.log.read_text()
    assert _rows(out) == rows

    # The training that was cut is the same as one that was not.
    whole = [sys.executable, "-m", "training.train", "--shards", str(shards)]
    whole += ["--recipe", str(out / "work" / cut / "recipe.yaml"), "--out", str(tmp_path / "whole")]
    with Job(whole, tmp_path / "whole.log") as job:
        assert job.end(120) == 0, job.log.read_text()
    metrics = [json.loads((folder / "metrics.json").read_text())
               for folder in (tmp_path / "whole", out / "trials" / cut)]  # fmt: skip
    assert metrics[0] == metrics[1]

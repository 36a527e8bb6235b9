"""Workers of a sweep with trainings that take no time: each trial once, whatever happens."""

from __future__ import annotations

import csv
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer

from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training import fake_training
from inference.studies.sweep import report
from inference.studies.sweep.command import run_sweep
from inference.studies.sweep.data_sets import Places
from inference.studies.sweep.folder import SweepFolder
from inference.studies.sweep.study import load_study
from inference.studies.sweep.trials import Training
from inference.studies.sweep.worker import Command
from polynya.errors import ModelError, OutputError, ShardError
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.yaml_files import write_yaml
from training.run.ending import STOPPED_EXIT_CODE

pytestmark = pytest.mark.slow  # TensorFlow's import.

TINY: dict[str, Any] = {
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 3},
}


class FakeCommand(Command):
    def words(self, folder: SweepFolder, training: Training) -> list[str]:
        script = str(fake_training.__file__)
        return [sys.executable, script, str(folder.model(training)), str(folder.recipe(training))]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "shards"
    return write_tiny_shards(folder, parse_recipe(TINY, "test"), nodata_shares=(0,) * 4)


@pytest.fixture(autouse=True)
def _no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_draw_models", lambda plan, trials: [])


def _sweep(
    shards: Path, out: Path, parameters: Any, *, jobs: int = 1, retry: bool = False, **keys: Any
) -> list[Any]:
    path = out.parent / "study.yaml"
    path.write_text(write_yaml({"parameters": parameters, **keys}))
    command = FakeCommand(Places(str(shards)))
    return run_sweep(load_study(path), command, out, jobs=jobs, retry=retry)


def _starts(out: Path) -> dict[str, int]:
    files = out.glob("trials/*/starts.txt")
    return {path.parent.name: path.read_text().count("start") for path in files}


def _rows(out: Path, table: str = "trainings") -> list[dict[str, str]]:
    with (out / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


@contextmanager
def _meanwhile(ready: Callable[[], bool], act: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as something is the case, while the block runs."""

    def watch() -> None:
        end = time.monotonic() + 30
        while not ready() and time.monotonic() < end:
            time.sleep(0.02)
        act()

    thread = Thread(target=watch)
    thread.start()
    yield
    thread.join()


def test_a_grid_is_trained_once_and_what_failed_is_named(shards: Path, tmp_path: Path) -> None:
    out, grid = tmp_path / "out", {"training.batch_size": [2, 3, 5, 9], "training.epochs": [2, 3]}
    with pytest.raises(ModelError, match="4 of 16 trainings failed, the others .*not a finite"):
        _sweep(shards, out, grid, jobs=2, seeds=2)
    rows = {row["trial"]: row for row in _rows(out)}
    assert len(rows) == 16
    assert {row["state"] for row in rows.values() if row["training.batch_size"] == "3"} == {
        "failed"
    }
    # A process that was killed is started again.
    killed = {name for name, row in rows.items() if row["training.batch_size"] == "5"}
    assert _starts(out) == {name: 1 + (name in killed) for name in rows}
    assert rows["0007-seed-1"] == {
        "trial": "0007-seed-1", "training.batch_size": "9", "training.epochs": "3", "seed": "1",
        "state": "finished", "mean IoU, %": "9.10", "best epoch": "1", "stop epoch": "3",
        "model parameters": "9000", "seconds": "1.5",
    }  # fmt: skip
    assert [row["trial"] for row in _rows(out, "trials")][:2] == ["0006", "0007"]
    page = (out / "sweep.html").read_text()
    for words in ("Best: trial 0006", "Trial 0002: The loss is not", "mean of 2 seeds"):
        assert words in page
    assert page.count("<img") == 5
    tables = {path.name: path.read_bytes() for path in out.glob("*.csv") if path.name[0] != "_"}
    with pytest.raises(ModelError, match="--retry-failed"):
        _sweep(shards, out, grid, seeds=2)
    assert _starts(out) == {name: 1 + (name in killed) for name in rows}
    assert tables == {name: (out / name).read_bytes() for name in tables}
    with pytest.raises(ModelError):
        _sweep(shards, out, grid, seeds=2, retry=True)
    assert sum(_starts(out).values()) == 16 + 4 + 4
    # Further seeds are added; another study is refused.
    with pytest.raises(ModelError, match="6 of 24 trainings failed"):
        _sweep(shards, out, grid, seeds=3)
    with pytest.raises(OutputError, match="holds a sweep with another study"):
        _sweep(shards, out, {"training.batch_size": [2, 4]})
    with pytest.raises(OutputError, match="holds a sweep with another recipe"):
        _sweep(shards, out, grid, set={"training.learning_rate": 0.5})
    # The folder has all that repeats it.
    again = load_study(out / "study.yaml")
    assert again.options.seeds == 3
    assert again.recipe == out / "recipe.yaml"


def test_a_worker_that_is_told_to_stop_leaves_the_rest_for_later(
    shards: Path, tmp_path: Path
) -> None:
    out, grid = tmp_path / "out", {"training.batch_size": [2, 7, 9]}
    waits = out / "trials" / "0001" / "history.csv"
    stop = _meanwhile(waits.exists, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with stop, pytest.raises(typer.Exit) as caught:
        _sweep(shards, out, grid)
    assert caught.value.exit_code == STOPPED_EXIT_CODE
    assert set(_starts(out)) == {"0000", "0001"}
    (waits.parent / "let_go").touch()
    results = _sweep(shards, out, grid)
    assert [result.state for result in results] == ["finished"] * 3
    assert _starts(out) == {"0000": 1, "0001": 2, "0002": 1}


def test_a_training_that_outlives_its_worker_is_left_alone(shards: Path, tmp_path: Path) -> None:
    from polynya.storage.locks import locked

    out, grid = tmp_path / "out", {"training.batch_size": [2, 9]}
    held = out / "trials" / "0000"
    held.mkdir(parents=True)
    with locked(held):
        results = _sweep(shards, out, grid)
    assert [result.state for result in results] == ["running", "finished"]
    assert not (out / "sweep.html").exists()
    assert [result.state for result in _sweep(shards, out, grid)] == ["finished"] * 2
    assert (out / "sweep.html").exists()


def test_tpe_tries_no_combination_twice_and_goes_on(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "out"
    space = {"training.batch_size": [2, 4, 7, 9], "training.epochs": {"range": [2, 4]}}

    def search(trials: int, jobs: int = 2) -> list[Any]:
        found = {"kind": "tpe", "trials": trials, "seed": 3}
        return _sweep(shards, out, space, jobs=jobs, search=found, seeds=2)

    def waits() -> bool:
        return any("batch_size: 7" in (out / "work" / path.parent.name / "recipe.yaml").read_text()
                   for path in out.glob("trials/*/history.csv"))  # fmt: skip

    with _meanwhile(waits, lambda: os.kill(os.getpid(), signal.SIGTERM)):  # noqa: SIM117
        with pytest.raises(typer.Exit):
            search(12)
    for path in out.glob("work/*/recipe.yaml"):
        if "batch_size: 7" in path.read_text():
            (out / "trials" / path.parent.name).mkdir(exist_ok=True)
            (out / "trials" / path.parent.name / "let_go").touch()

    def let_go() -> bool:
        for path in out.glob("trials/*/history.csv"):
            (path.parent / "let_go").touch()
        return (out / "sweep.html").exists()

    with _meanwhile(let_go, lambda: None):
        results = search(12)
    assert [result.state for result in results] == ["finished"] * 24
    firsts = [result.training for result in results if result.training.repeat == 0]
    assert len({one.trial.key for one in firsts}) == 12  # All that there are.
    assert [one.trial.number for one in firsts] == list(range(12))
    assert _rows(out, "trials")[0]["training.batch_size"] == "9"
    # Numbers of a range are no values to compare.
    assert {row["parameter"] for row in _rows(out, "parameters")} == {"training.batch_size"}


def test_trials_that_are_worse_than_the_median_are_pruned(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out, space = tmp_path / "out", {"training.batch_size": [7, 8, 9, 20]}
    pruning = {"startup_trials": 1, "warmup_epochs": 1}
    search = {"kind": "tpe", "trials": 4, "seed": 5, "pruning": pruning}

    def let_go() -> bool:
        # If it is the first one, nothing prunes it.
        for path in out.glob("trials/0000/history.csv"):
            (path.parent / "let_go").touch()
        return (out / "sweep.html").exists()

    with _meanwhile(let_go, lambda: None):
        results = _sweep(shards, out, space, search=search)
    states = {result.training.trial.levels["training.batch_size"]: result for result in results}
    assert states["7"].state == "pruned"
    assert states["7"].stop_epoch == 3
    assert states["20"].state == "finished"


def test_shards_without_validation_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="A sweep needs tiles that validate"):
        _sweep(
            shards, tmp_path / "out", {"training.batch_size": [2]}, set={"split.validation": 0.0}
        )

"""A training that is cut short and goes on, on one rank."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ModelError, OutputError
from polynya.recipe.recipe import Recipe, parse_recipe
from training.errors import StoppedError
from training.model_folder import checkpoints
from training.model_folder.training_log import TrainingSummary
from training.ranks.port import SingleProcess
from training.run.epochs import Run
from training.run.start import start_run

RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.25},
    "model": {"filters": [4, 8], "dropout": [0.2, 0.2]},
    "training": {
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "augment": {"dihedral": True, "haze": 0.5},
        "checkpoints": {"every_steps": 2, "every_epochs": 1, "keep": 3},
    },
}
TIMES = ("images_per_second", "seconds", "waiting_share")


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def at_step(number: int, act: Callable[[], bool]) -> Callable[[], bool]:
    """For `Run.train`: do something in the step of this number, from 1."""
    steps = iter(range(1, 10**6))
    return lambda: next(steps) == number and act()


def killed() -> bool:
    raise Killed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards, and in `whole` the model of a training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("resume")
    write_tiny_shards(folder / "shards", parse_recipe(RECIPE, source="test"))
    start(folder, "whole").train()
    return folder


def start(place: Path, out: str, changed: dict[str, Any] | None = None, **options: bool) -> Run:
    recipe: Recipe = parse_recipe({**RECIPE, **(changed or {})}, source="test")
    recipe.save(place / f"{out}.yaml")
    return start_run(
        place / "shards", place / out, place / f"{out}.yaml", SingleProcess(), **options
    )


def table(model: Path, name: str) -> list[dict[str, str]]:
    with (model / name).open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def assert_same(place: Path, summary: TrainingSummary, kept: Sequence[str] = ()) -> None:
    """That a model is the undisturbed one, to the last bit; `kept` is what is left beside it."""
    whole = place / "whole"
    assert table(summary.folder, "steps.csv") == table(whole, "steps.csv")
    assert table(summary.folder, "history.csv") == table(whole, "history.csv")
    one, two = (
        keras.saving.load_model(folder / "model.keras").get_weights()
        for folder in (whole, summary.folder)
    )
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert summary.weights_digest in (whole / "provenance.json").read_text()
    left = summary.folder / "_checkpoints"
    assert [path.name for path in left.glob("*.*") if path.name[0] != "_"] == [*kept]
    assert left.exists() == bool(kept)


@pytest.mark.slow
def test_told_to_stop_it_leaves_a_checkpoint_and_goes_on_to_the_same_model(place: Path) -> None:
    with pytest.raises(StoppedError, match=r"after step 5; .* --resume"):
        start(place, "stopped").train(at_step(5, lambda: True))
    assert len(table(place / "stopped", "steps.csv")) == 5
    with pytest.raises(OutputError, match="--resume"):
        start(place, "stopped")
    assert_same(place, start(place, "stopped", resume=True).train())


@pytest.mark.slow
def test_killed_twice_and_with_a_torn_checkpoint_it_comes_to_the_same_model(place: Path) -> None:
    with pytest.raises(Killed):
        start(place, "killed").train(at_step(6, killed))
    assert checkpoints.last_step(place / "killed") == 4
    with pytest.raises(Killed):
        start(place, "killed", resume=True).train(at_step(5, killed))
    torn = place / "killed/_checkpoints/step-00000008.npz"
    torn.write_bytes(torn.read_bytes()[:-100])
    run = start(place, "killed", resume=True)
    assert len(run.position.steps) == 6
    assert_same(place, run.train())


@pytest.mark.slow
def test_a_checkpoint_that_was_changed_stays_and_the_one_before_it_is_taken(place: Path) -> None:
    with pytest.raises(Killed):
        start(place, "spoilt").train(at_step(6, killed))
    changed = place / "spoilt/_checkpoints/step-00000004.npz"
    content = changed.read_bytes()
    content = content[:5000] + b"?" + content[5001:]
    changed.write_bytes(content)
    run = start(place, "spoilt", resume=True)
    assert len(run.position.steps) == 3
    # It may be anything by now.
    assert_same(place, run.train(), kept=[changed.name])
    assert changed.read_bytes() == content


@pytest.mark.slow
def test_without_a_checkpoint_resuming_begins_at_the_start(place: Path) -> None:
    with pytest.raises(Killed):
        start(place, "early").train(at_step(1, killed))
    assert_same(place, start(place, "early", resume=True).train())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-100],
    "empty": lambda content: b"",
    "other bytes": lambda content: content[:5000] + b"?" + content[5001:],
}


@pytest.fixture(scope="module")
def stopped(place: Path) -> Path:
    """A model folder of a training that was stopped at step 5; copy it."""
    with pytest.raises(StoppedError):
        start(place, "at five").train(at_step(5, lambda: True))
    return place / "at five"


@pytest.mark.parametrize("damage", [*DAMAGES, "no checksum", "checksum of odd bytes"])
def test_when_no_checkpoint_is_whole_nothing_is_lost(
    place: Path, stopped: Path, damage: str
) -> None:
    name = f"damaged {damage}"
    shutil.copytree(stopped, place / name)
    for path in (place / name / "_checkpoints").glob("step-*"):
        if damage in DAMAGES and path.suffix == ".npz":
            path.write_bytes(DAMAGES[damage](path.read_bytes()))
        if damage not in DAMAGES and path.suffix == ".sha256":
            path.unlink() if damage == "no checksum" else path.write_bytes(b"\xff\xfe\x00")
    before = contents(place / name)
    with pytest.raises(ModelError, match=r"None of the 3 checkpoints .*--start-from.*--overwrite"):
        start(place, name, resume=True)
    assert contents(place / name) == before
    assert "model.keras" in before


def test_a_model_without_a_checkpoint_is_replaced_on_request_only(place: Path) -> None:
    training = {**RECIPE["training"], "checkpoints": {"every_epochs": None}}
    with pytest.raises(Killed):
        start(place, "bare", {"training": training}).train(at_step(5, killed))
    before = contents(place / "bare")
    for options in ({}, {"resume": True}):
        with pytest.raises(OutputError, match=r"no checkpoint to go on from.*--start-from"):
            start(place, "bare", {"training": training}, **options)
    assert contents(place / "bare") == before
    start(place, "bare", {"training": training}, overwrite=True).held.close()
    assert not (place / "bare/model.keras").exists()


@pytest.mark.parametrize("name", ["model.keras", "history.csv", "recipe.yaml"])
def test_a_file_that_was_changed_is_named_and_stays(place: Path, stopped: Path, name: str) -> None:
    out = f"changed {name}"
    shutil.copytree(stopped, place / out)
    whole = (place / out / name).read_bytes()
    (place / out / name).write_bytes(whole[1:])
    before = contents(place / out)
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputError, match=rf"{name} is not a file that Polynya wrote"):
            start(place, out, **options)
    assert contents(place / out) == before
    # The remedy.
    (place / out / name).rename(place / f"{name} moved")
    run = start(place, out, resume=True)
    run.held.close()
    assert len(run.position.steps) == 5
    assert len(run.best_weights) > 0


def test_a_second_start_is_kept_out(place: Path) -> None:
    first = start(place, "twice")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputError, match="Another run uses"):
            start(place, "twice", **options)
    first.held.close()
    start(place, "twice", resume=True).held.close()


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the ledgers and the lock, by their paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("_polynya.csv", ".polynya"))
    }


@pytest.mark.slow
def test_another_model_or_other_data_cannot_go_on(place: Path) -> None:
    with pytest.raises(StoppedError):
        start(place, "fixed").train(at_step(2, lambda: True))
    with pytest.raises(ModelError, match=r"recipe \(section 'seed'\)"):
        start(place, "fixed", {"seed": 2}, resume=True)
    training = {**RECIPE["training"], "epochs": 1}
    summary = start(place, "fixed", {"training": training}, resume=True).train()
    assert len(summary.history) == 1


def test_checkpoints_of_another_version_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoppedError):
        start(place, "old").train(at_step(1, lambda: True))
    monkeypatch.setattr(checkpoints, "_FORMAT", 0)
    with pytest.raises(ModelError, match="another version"):
        start(place, "old", resume=True)


def _model_weights(folder: Path) -> list[np.ndarray]:
    return keras.saving.load_model(folder / "model.keras").get_weights()


@pytest.mark.slow
def test_weights_that_are_no_numbers_are_found_behind_a_relu(place: Path) -> None:
    run = start(place, "nan")

    def spoil() -> bool:
        kernel = run.trainer.model.get_layer("down0_conv1").kernel
        kernel.assign(np.full(kernel.shape, np.nan))
        return False

    with pytest.raises(
        ModelError, match=r"weight is not a finite number after step 6 \(epoch 2\); lower"
    ):
        run.train(at_step(5, spoil))
    assert all(np.isfinite(weight).all() for weight in _model_weights(place / "nan"))
    assert checkpoints.last_step(place / "nan") == 4


def test_a_learning_rate_that_is_too_high_ends_with_the_last_good_weights(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Higher than recipes may have it, so that the first steps are enough.
    monkeypatch.setattr("training.run.build.scaled_learning_rate", lambda *_: 1e25)
    training = {**RECIPE["training"], "warmup_epochs": 0}
    run = start(place, "high", {"training": training})
    with pytest.raises(ModelError, match=r"'training.learning_rate'"):
        run.train()
    assert all(np.isfinite(weight).all() for weight in run.trainer.model.get_weights())


@pytest.mark.slow
def test_early_stopping_and_plateaus_follow_the_monitor(place: Path) -> None:
    training = {
        **RECIPE["training"],
        "epochs": 9,
        "learning_rate": 1e-12,
        "monitor": "accuracy",
        "schedule": "plateau",
        "warmup_epochs": 0,
        "plateau_epochs": 1,
        "early_stopping": 2,
        "class_weights": "balanced",
    }
    summary = start(place, "flat", {"training": training}).train()
    rates = [record.learning_rate for record in summary.history]
    assert rates == pytest.approx([1e-12, 1e-12, 5e-13])
    assert summary.best_epoch == 1

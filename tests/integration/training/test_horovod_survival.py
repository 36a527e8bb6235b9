"""Ranks that are killed or told to stop, and trainings that go on."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from helpers.training.ranks import Job, launch_command, losses, model_arguments
from polynya.recipe.recipe import parse_recipe
from training.model_folder.checkpoints import last_step

# 14 of 18 scenes train: 56 tiles, 3 global batches of 24.
NODATA_SHARES = (0.0, 0.9, 0.5, 0.0, 0.97, 0.2) * 3
TRAINING: dict[str, Any] = {
    "epochs": 9,
    "learning_rate": 0.005,
    "learning_rate_scaling": "none",
    "checkpoints": {"every_steps": 2, "every_epochs": None},
}
RECIPE: dict[str, Any] = {
    "seed": 1,
    "tiles": {"size": 32},
    "split": {"validation": 0.2},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": TRAINING,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("survival")
    recipe = parse_recipe(RECIPE, source="test")
    write_tiny_shards(path / "shards", recipe, nodata_shares=NODATA_SHARES)
    return path


def _arguments(folder: Path, name: str, dropout: float = 0.0, **training: Any) -> list[str]:
    return model_arguments(
        folder,
        name,
        {
            **RECIPE,
            "model": {**RECIPE["model"], "dropout": [dropout, dropout]},
            "training": {**TRAINING, **training},
        },
    )


def _has_step(model: Path, step: int) -> Callable[[], bool]:
    return lambda: last_step(model) >= step


def _finished(model: Path) -> dict[str, str]:
    return json.loads((model / "provenance.json").read_text())


def test_two_runs_are_the_same_bits_though_one_was_killed_and_told_to_stop(folder: Path) -> None:
    options: dict[str, Any] = {
        "batch_size": 12,
        "augment": {"dihedral": True, "haze": 0.5},
        "horovod": {"timeline": "timeline.json"},
    }
    whole, broken = folder / "whole", folder / "broken"
    arguments = _arguments(folder, "whole", dropout=0.2, **options)
    with Job(launch_command("gloo", 2, *arguments), folder / "whole.log") as job:
        assert job.end(600) == 0, job.log.read_text()
    assert "ALLREDUCE" in (whole / "timeline.json").read_text()

    arguments = _arguments(folder, "broken", dropout=0.2, **options)
    with Job(launch_command("mpirun", 2, *arguments), folder / "killed.log") as job:
        job.wait_for(_has_step(broken, 4))
        job.signal_rank(1, signal.SIGKILL)
        assert job.end(60) != 0
    assert not (broken / "README.md").exists()
    told = (folder / "killed.log").read_text()
    assert "from its last checkpoint: mpirun --oversubscribe -np 2 " in told
    assert f"{' '.join(arguments)} --resume\n" in told

    command = launch_command("mpirun", 2, *arguments, "--resume")
    with Job(command, folder / "stopped.log") as job:
        job.wait_for(_has_step(broken, last_step(broken) + 4))
        job.signal_rank(1, signal.SIGTERM)
        assert job.end(60) == 75, job.log.read_text()
    said = (folder / "stopped.log").read_text()
    assert said.count("Error: Training was told to stop") == 1
    assert "Traceback" not in said

    with Job(command, folder / "resumed.log") as job:
        assert job.end(600) == 0, job.log.read_text()
    assert losses(broken) == losses(whole)
    digests = [_finished(model)["last_weights_digest"] for model in (whole, broken)]
    assert digests[0] == digests[1]


def test_a_kill_while_a_checkpoint_is_written_loses_that_one_only(folder: Path) -> None:
    # State of 100 MB, so that writing it takes long enough to be met.
    large = {"filters": [4, 4, 4, 1024], "dropout": [0.0] * 4}
    training = {**TRAINING, "epochs": 3, "batch_size": 12}
    arguments = model_arguments(folder, "caught", {**RECIPE, "model": large, "training": training})
    command, model = launch_command("alone", 1, *arguments), folder / "caught"

    def is_writing() -> bool:
        return any(model.glob("_checkpoints/.*.npz"))

    with Job(command, folder / "caught.log") as job:
        job.wait_for(_has_step(model, 2))
        stopped = False
        while not stopped:
            job.wait_for(is_writing)
            job.process.send_signal(signal.SIGSTOP)
            stopped = is_writing()
            if not stopped:
                job.process.send_signal(signal.SIGCONT)
        job.process.kill()
        job.end(60)
    assert is_writing()
    kept = last_step(model)
    with Job([*command, "--resume"], folder / "caught_resumed.log") as job:
        assert job.end(600) == 0, job.log.read_text()
    assert f"Going on after step {kept}" in job.log.read_text()
    assert not is_writing()
    assert len(losses(model)) == 3 * 5


def test_ctrl_c_leaves_a_checkpoint_and_says_the_command_that_goes_on(folder: Path) -> None:
    arguments, model = _arguments(folder, "ctrl", batch_size=12, epochs=900), folder / "ctrl"
    with Job(launch_command("alone", 1, *arguments), folder / "ctrl.log") as job:
        job.wait_for(_has_step(model, 4))
        job.process.send_signal(signal.SIGINT)
        assert job.end(60) == 75, job.log.read_text()
    said = job.log.read_text()
    assert "Stopping after this step, with a checkpoint; Ctrl-C again ends at once." in said
    command = f"python training/train.py {' '.join(arguments)} --resume\n"
    assert f"a checkpoint after step {last_step(model)}; " in said
    assert f"goes on from there: {command}" in said
    assert "Traceback" not in said

    # Before the first step there is nothing to wait for.
    with Job(launch_command("alone", 1, *arguments, "--resume"), folder / "ctrl2.log") as job:
        job.wait_for(lambda: (model / ".polynya.lock").exists())
        job.process.send_signal(signal.SIGINT)
        assert job.end(60) in (75, 130), job.log.read_text()
    assert f"{' '.join(arguments)} --resume\n" in job.log.read_text()
    assert "Traceback" not in job.log.read_text()


def test_kills_at_any_moment_cost_no_step_and_touch_no_file_of_the_user_s(folder: Path) -> None:
    options: dict[str, Any] = {"batch_size": 12, "epochs": 6}
    whole, killed = folder / "calm", folder / "killed"
    with Job(
        launch_command("alone", 1, *_arguments(folder, "calm", **options)), folder / "calm.log"
    ) as job:
        assert job.end(600) == 0, job.log.read_text()
    command = launch_command("alone", 1, *_arguments(folder, "killed", **options), "--resume")
    mine = {killed / name: name.encode() for name in ("notes.txt", "_checkpoints/notes.txt")}
    random = np.random.default_rng(4)
    for number in range(3):
        with Job(command, folder / f"killed{number}.log") as job:
            job.wait_for(lambda: (killed / ".polynya.lock").exists())
            begun = last_step(killed)
            if number:
                job.wait_for(lambda begun=begun: last_step(killed) > begun)
            time.sleep(random.uniform(0, 0.5))
            job.process.kill()
            job.end(60)
        for path, content in mine.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    with Job(command, folder / "killed.log") as job:
        assert job.end(600) == 0, job.log.read_text()
    assert losses(killed) == losses(whole)
    digests = [_finished(model)["last_weights_digest"] for model in (whole, killed)]
    assert digests[0] == digests[1]
    assert all(path.read_bytes() == content for path, content in mine.items())
    assert [path.name for path in (killed / "_checkpoints").glob("[!_]*")] == ["notes.txt"]


def test_two_starts_at_once_get_one_folder(folder: Path) -> None:
    arguments, model = _arguments(folder, "twice", batch_size=12, epochs=900), folder / "twice"
    with Job(launch_command("alone", 1, *arguments), folder / "first.log") as first:
        first.wait_for(_has_step(model, 2))
        second = launch_command("gloo", 2, *arguments, "--overwrite")
        with Job(second, folder / "second.log") as job:
            assert job.end(120) != 0
        assert job.log.read_text().count("Error: Another run uses the folder") == 1
        begun = last_step(model)
        first.wait_for(_has_step(model, begun + 4))
    # A lock of a dead process holds up nobody.
    with Job(launch_command("alone", 1, *arguments, "--resume"), folder / "third.log") as job:
        job.wait_for(_has_step(model, last_step(model) + 2))


def test_ranks_that_are_lost_are_done_without_and_new_ones_taken_in(folder: Path) -> None:
    alone = folder / "alone"
    with Job(
        launch_command("alone", 1, *_arguments(folder, "alone", batch_size=24)),
        folder / "alone.log",
    ) as job:
        assert job.end(600) == 0, job.log.read_text()

    model, slots = folder / "three", folder / "slots"
    script = folder / "hosts.sh"
    script.write_text(f"#!/bin/sh\necho localhost:$(cat {slots})\n")
    script.chmod(0o755)
    slots.write_text("3")
    command = [sys.executable, "training/supervise.py", "--ranks", "3", "--min-ranks", "2"]
    command += ["--hosts-script", str(script)]
    arguments = _arguments(folder, "three", batch_size=8, epochs=12)
    with Job([*command, *arguments], folder / "three.log") as job:
        job.wait_for(_has_step(model, 22))
        slots.write_text("2")
        job.signal_rank(1, signal.SIGKILL)
        job.wait_for(lambda: "Starting 2 ranks" in job.log.read_text(), 60)
        job.wait_for(_has_step(model, last_step(model) + 2))
        slots.write_text("3")
        job.signal_rank(0, signal.SIGKILL)
        assert job.end(600) == 0, job.log.read_text()
    said = job.log.read_text()
    assert said.count("Error: A rank of this job has ended") == 2
    assert said.count("Going on after step") == 2
    assert said.count("Starting 3 ranks") == 2
    assert _finished(model)["ranks"] == "3"
    # One rank or three: the same global batches, so the same curve.
    assert losses(model)[:20] == pytest.approx(losses(alone)[:20], abs=1e-4)

"""Training on real ranks: commands, and signals to single ranks."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent

LAUNCHERS = {
    "alone": [],
    "gloo": ["horovodrun", "--gloo"],
    "mpirun": ["mpirun", "--oversubscribe"],
}
RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK")


def environment() -> dict[str, str]:
    """Of a launcher: this one, without what a launcher around the tests has left in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "HOROVOD_"))}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
        # Open MPI refuses to start as root, as in a container, unless told twice.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_ALLOW_RUN_AS_ROOT": "1",
        "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }


def launch_command(launcher: str, ranks: int, *arguments: str) -> list[str]:
    """training/train.py with these arguments, on some ranks."""
    return [*_launcher(launcher, ranks), sys.executable, "training/train.py", *arguments]


def launch_polynya(launcher: str, ranks: int, *arguments: str) -> list[str]:
    """`polynya` with these arguments, on some ranks."""
    return [*_launcher(launcher, ranks), sys.executable, str(BIN / "polynya"), *arguments]


def _launcher(launcher: str, ranks: int) -> list[str]:
    command = LAUNCHERS[launcher]
    return [*command, "-np", str(ranks)] if command else []


def model_arguments(folder: Path, name: str, recipe: dict[str, Any]) -> list[str]:
    """Arguments of a training on `folder`/shards into `folder`/`name`."""
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(recipe))
    place = {"shards": folder / "shards", "out": folder / name, "recipe": file}
    return [part for key, path in place.items() for part in (f"--{key}", str(path))]


def losses(model: Path) -> list[float]:
    with (model / "steps.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


class Job:
    """A command that starts ranks, in the background; ended with the block at the latest."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=file, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *error: object) -> None:
        family = [*self._descendants(), self.process]
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def wait_for(self, happened: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until something has happened; AssertionError if the job ends before, or too late."""
        end = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None or happened(), self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def signal_rank(self, rank: int, number: int) -> None:
        """Send a signal to one rank."""
        (victim,) = (child for child in self._descendants() if _rank_of(child) == rank)
        victim.send_signal(number)

    def end(self, seconds: float) -> int:
        """Wait for the end; returns the exit code."""
        return self.process.wait(seconds)

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _rank_of(process: psutil.Process) -> int | None:
    """Rank of a process that trains; None for launchers and shells around it."""
    try:
        command, variables = process.cmdline(), process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    if len(command) < 2 or not command[1].endswith(("training/train.py", "bin/polynya")):
        return None
    return next((int(variables[v]) for v in RANK_VARIABLES if v in variables), None)

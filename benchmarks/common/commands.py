"""Run measured commands as a user would run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.common.meter import Cost
from polynya.errors import PolynyaError
from polynya.storage.files import output_folder

ROOT = Path(__file__).parents[2]
"""Folder of the clone, which holds the entry points."""

_LINES_TOLD = 15
_LETTERS_TOLD = 400


class CommandFailedError(PolynyaError):
    """A command of a benchmark failed, so there are no figures."""


def run(
    command: Sequence[str], log: Path | None = None, *, at: Path = ROOT, **variables: str
) -> None:
    """Run a command and wait for its end.

    Args:
        command: Program and arguments; programs of this environment are found first.
        log: File for the command's output; None shows the output.
        at: Folder in which it runs; default: the clone.
        **variables: Environment variables in addition to those from `environment`.

    Raises:
        CommandFailedError: The exit code is not 0.
    """
    with ExitStack() as stack:
        output = stack.enter_context(open(log, "w", encoding="utf-8")) if log else None
        done = subprocess.run(
            command, cwd=at, env=environment() | variables, stdout=output, stderr=output
        )
    if done.returncode == 0:
        return
    text = " ".join(command)
    text = text if len(text) <= _LETTERS_TOLD else f"{text[:_LETTERS_TOLD]}..."
    where = "above"
    if log:
        last = log.read_text(encoding="utf-8").splitlines()[-_LINES_TOLD:]
        where = "\n".join([f"at the end of {log}:", *last])
    raise CommandFailedError(
        f"This ended with code {done.returncode}: {text}; fix what it says {where}"
    )


def run_measured(command: Sequence[str], folder: Path, watched: Path | None = None) -> Cost:
    """Run a command under the meter and wait for its end.

    Args:
        command: Program and arguments, see `run`.
        folder: Folder for the report and the command's output; created if missing.
        watched: Folder in which the meter waits for the first shard.

    Raises:
        CommandFailedError: The exit code is not 0.
    """
    report = output_folder(folder) / "cost.json"
    watch = ["--watch", str(watched)] if watched else []
    meter = [sys.executable, "-m", "benchmarks.common.meter", str(report), *watch, "--"]
    # Ranks that wait for a message yield the processor to ranks that compute.
    run([*meter, *command], folder / "output.txt", OMPI_MCA_mpi_yield_when_idle="1")
    return Cost(**json.loads(report.read_text(encoding="utf-8")))


def environment() -> dict[str, str]:
    """Return the variables of an activated virtual environment, also for Spark's workers."""
    here = Path(sys.executable).parent
    # Open MPI runs as root only if both variables allow it. Containers usually run as root.
    allowed = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    as_root = dict.fromkeys(allowed, "1") if os.geteuid() == 0 else {}
    return (
        os.environ
        | as_root
        | {
            "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_HOSTNAME": "localhost",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
    )

"""The commands that are measured, run as a user would run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from benchmarks.common.meter import Cost
from polynya.errors import PolynyaError
from polynya.storage.files import output_folder, write_text

ROOT = Path(__file__).parents[2]
"""The clone, where the entry points are."""

BenchMethod = Literal["illumination", "published"]

_SETTINGS = ("spark.log.level=WARN", "spark.ui.enabled=false", "spark.ui.showConsoleProgress=false")
_LINES_TOLD = 15
_LETTERS_TOLD = 400


class CommandFailedError(PolynyaError):
    """A measured command that failed, and so has no figures."""


def spark_submit(master: str, *settings: str, script: str) -> list[str]:
    """Start of a command line: Spark, its settings and a program of the clone."""
    confs = [word for setting in (*_SETTINGS, *settings) for word in ("--conf", setting)]
    return ["spark-submit", "--master", master, *confs, str(ROOT / script)]


def write_recipe(folder: Path, method: BenchMethod, tile: int) -> Path:
    """A recipe with a filter as it is meant to be used: the published one on each tile alone."""
    scope = "tile" if method == "published" else "scene"
    content = {"tiles": {"size": tile}, "label": {"method": method, "scope": scope}}
    path = folder / f"{method}-{tile}px.yaml"
    write_text(path, yaml.safe_dump(content))
    return path


def run_measured(command: Sequence[str], folder: Path, watched: Path | None = None) -> Cost:
    """Run a command to its end under the meter.

    Args:
        command: Program and arguments; programs of this environment are found first.
        folder: For the report and what the command printed; made if missing.
        watched: Folder whose first shard is waited for.

    Raises:
        CommandFailedError: It ended with another code than 0.
    """
    output_folder(folder)
    report, log = folder / "cost.json", folder / "output.txt"
    watch = ["--watch", str(watched)] if watched else []
    meter = [sys.executable, "-m", "benchmarks.common.meter", str(report), *watch, "--"]
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(
            [*meter, *command], cwd=ROOT, env=environment(), stdout=output, stderr=output
        )
    if done.returncode != 0:
        last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-_LINES_TOLD:])
        raise CommandFailedError(
            f"This ended with code {done.returncode}: {_shortened(command)}; mend what it says at"
            f" the end of {log}:\n{last}"
        )
    return Cost(**json.loads(report.read_text(encoding="utf-8")))


def _shortened(command: Sequence[str]) -> str:
    text = " ".join(command)
    return text if len(text) <= _LETTERS_TOLD else f"{text[:_LETTERS_TOLD]}..."


def environment() -> dict[str, str]:
    """As with the virtual environment activated; Spark's workers are this Python too."""
    here = Path(sys.executable).parent
    # Open MPI refuses root unless told twice, and root is the usual user inside a container.
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
            # Ranks that wait for a message give way to ranks that compute.
            "OMPI_MCA_mpi_yield_when_idle": "1",
        }
    )

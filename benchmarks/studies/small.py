"""Runs the small version of studies that ship, on tiles that their own commands make.

What a small version is, and which commands make its tiles, says each study (its key `small`).
"""

from __future__ import annotations

import resource
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.cli import names_of
from benchmarks.common.commands import ROOT, run
from benchmarks.common.report import Report, table_of
from inference.studies.sweep.study import StudyOptions, load_study
from polynya.errors import OutputError
from polynya.progress import track
from polynya.recipe.shipped import shipped_studies
from polynya.report.tables import Table
from polynya.storage.files import output_folder


@dataclass(frozen=True)
class Run:
    """A study that was run."""

    name: str
    options: StudyOptions
    answer: str
    """Sentence of the sweep."""
    minutes: float
    cpu_minutes: float
    """Of all processors together, with the making of the tiles."""


def studies(
    report: Report,
    names: Annotated[
        str, typer.Option(help="Studies, separated by commas; default: all that ship.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 2,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each trial; default: the study's.")
    ] = None,
) -> None:
    """Make tiles for the small versions of studies, run them, and collect what they found.

    The same command goes on where it was cut.
    """
    known = shipped_studies()
    chosen = names_of(names, "name", known) if names else known
    runs = [run_study(name, report.folder, jobs, seeds) for name in track(chosen, "Studies")]
    about = (
        "Small versions of the studies that ship (docs/sweeps.md), each on tiles that its own"
        " commands make. They show that a study runs, not what it would find at full size."
    )
    report.write("studies", "Small versions of the studies", about, {"studies": runs_table(runs)})


def run_study(name: str, folder: Path, jobs: int, seeds: int | None = None) -> Run:
    """Make the tiles of a study, unless they are there, and run its small version.

    Args:
        name: Name of a study that ships.
        folder: Folder of the runs.
        jobs: Trainings at once.
        seeds: Trainings of each trial; None for the study's own number.

    Raises:
        CommandFailedError: A command failed.
        OutputError: The study has no small version.
    """
    options = load_study(name, small=True).options
    if options.small is None or not options.small.data:
        raise OutputError(
            f"The study {name} doesn't say what makes tiles for it; set 'small.data'."
        )
    place, logs = output_folder(folder / name), output_folder(folder / name / "logs")
    start, before = time.monotonic(), _cpu()
    made = place / "made.txt"
    if not made.is_file():
        for number, command in enumerate(options.small.data):
            words = shlex.split(command)
            run(words, logs / f"data-{number}.txt", at=place, PYTHONPATH=str(ROOT))
        made.write_text("\n".join(options.small.data) + "\n")
    words = ["polynya", "sweep", name, "--small", "--out", "sweep", "--jobs", str(jobs)]
    words += shard_words(options)
    if seeds is not None:
        words += ["--seeds", str(seeds)]
    run(words, logs / "sweep.txt", at=place, PYTHONPATH=str(ROOT))
    answer = (place / "sweep" / "trials.md").read_text("utf-8").strip().splitlines()[-1]
    minutes, cpu = (time.monotonic() - start) / 60, (_cpu() - before) / 60
    return Run(name, options, answer, minutes, cpu)


def shard_words(options: StudyOptions) -> list[str]:
    """Options --shards of a sweep, for tiles in the folders that a study's commands make."""
    words = [] if options.trained_names else ["--shards", "shards"]
    for name in options.data_names:
        words += ["--shards", f"{name}=shards-{name}"]
    return words


def runs_table(runs: list[Run]) -> Table:
    """One row for each study: what is known, what came out, and how long it took."""
    return table_of(
        "What the studies found, and what their small versions gave",
        runs,
        {
            "study": lambda one: one.name,
            "found by the paper": lambda one: one.options.found,
            "small version here": lambda one: one.answer,
            "minutes": lambda one: f"{one.minutes:.1f}",
            "CPU minutes": lambda one: f"{one.cpu_minutes:.1f}",
        },
    )


def _cpu() -> float:
    """Seconds of processors that finished child processes of this one took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""Compare two ranks on two cores with one rank on one core: the command and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Literal

import typer

from benchmarks.common.cli import names_of
from benchmarks.common.report import Report, table_of
from benchmarks.common.timing import median_ratio
from benchmarks.training import options
from benchmarks.training.ranks.jobs import Job, Measured, measure, start_job
from benchmarks.training.ranks.workload import LARGE, LARGEST, PAPER, Workload
from polynya.progress import track
from polynya.report.tables import Table

WORKLOADS = {"paper": PAPER, "large": LARGE, "largest": LARGEST}
"""Workloads by their names in options."""

ALONE = "1 rank"
APART = "2 apart"
GLOO = "2, Gloo"
MPI = "2, MPI"
SETUPS = (ALONE, APART, GLOO, MPI)
"""Set-ups in the order of a repetition. `APART` runs two processes without any exchange. They lose
speed because the machine's cores share caches, memory and perhaps more."""
_NOT_UNDER = {"gloo": MPI, "mpi": GLOO}


def efficiency(
    report: Report,
    models: Annotated[
        str, typer.Option(help=f"Separated by commas, of {', '.join(WORKLOADS)}.")
    ] = "paper,large,largest",
    launchers: Annotated[
        Literal["gloo", "mpi", "both"], typer.Option(help="What starts the ranks.")
    ] = "both",
    seconds: options.SecondsOption = 5.0,
    repetitions: options.RepetitionsOption = 5,
    tile: options.TileOption = None,
    batch: options.BatchOption = None,
) -> None:
    """Compare two ranks on two cores with one rank on one core."""
    chosen = [
        options.resized(WORKLOADS[m], tile, batch) for m in names_of(models, "model", [*WORKLOADS])
    ]
    setups = [setup for setup in SETUPS if setup != _NOT_UNDER.get(launchers)]
    done = measure_efficiency(chosen, seconds, repetitions, setups)
    about = (
        "Every process has one thread and its own core. The set-ups take turns; the others are"
        " stopped meanwhile. The first step of each measurement is dropped. *Efficiency* is images"
        " per second, divided by the number of ranks times the images per second of one rank. *Of"
        " apart* divides by as many processes that train at the same time, each alone. *Of CPU* is"
        " processor seconds per image of one rank, divided by processor seconds per image here."
        " *Waiting*: a rank has its own gradients, but not yet the sum of all."
    )
    tables = {
        "efficiency": efficiency_table(summarize(done), repetitions),
        "efficiency_runs": repetitions_table(done),
    }
    report.write("efficiency", "Training on two cores", about, tables)


@dataclass(frozen=True)
class Repetition:
    """One measurement of one set-up."""

    workload: Workload
    setup: str
    number: int
    """Number of the repetition, from 0."""
    measured: Measured
    gradient_bytes: int


def measure_efficiency(
    workloads: Sequence[Workload],
    seconds: float,
    repetitions: int,
    setups: Sequence[str] = SETUPS,
    cores: tuple[int, int] = (0, 1),
) -> list[Repetition]:
    """Measure all set-ups in turn, so that other load on the machine affects all of them.

    `ALONE` is always measured. Each rank is pinned to a core. The single rank uses one core, then
    the other.
    """
    with ExitStack() as stack:
        start = stack.enter_context
        single = [start(start_job("alone", [core])) for core in cores]
        jobs: dict[str, list[Job]] = {APART: single}
        for setup, launcher in ((GLOO, "gloo"), (MPI, "mpi")):
            if setup in setups:
                jobs[setup] = [start(start_job(launcher, cores))]
        done = []
        rounds = [(w, number) for w in workloads for number in range(repetitions)]
        for workload, number in track(rounds, "Training on one core and on two"):
            if number == 0:
                loaded = [job.load(workload) for own in jobs.values() for job in own]
                steps = max(2, round(seconds / loaded[0].step_s))
            for setup in setups:
                own = [single[number % len(single)]] if setup == ALONE else jobs[setup]
                measured = measure(own, steps)
                size = loaded[0].gradient_bytes
                done.append(Repetition(workload, setup, number, measured, size))
        return done


@dataclass(frozen=True)
class Efficiency:
    """Figures of a set-up, medians over the repetitions."""

    workload: Workload
    setup: str
    images_per_second: float
    efficiency: float
    """Images per second, divided by the number of ranks times the images per second of one rank,
    within a repetition."""
    of_machine: float
    """Images per second, divided by the images per second of as many processes without exchange;
    NaN if these weren't measured."""
    cpu_efficiency: float
    """Processor seconds per image of one rank, divided by those of this set-up. It shows the cost
    of the exchange, also on a machine that does other things at the same time."""
    waiting_share: float
    """Share of the time in which a rank waits in allreduce."""


def summarize(done: Sequence[Repetition]) -> list[Efficiency]:
    """Return medians of each workload and set-up, in the order of measurement."""

    def measured(workload: Workload, setup: str) -> list[Measured]:
        return [r.measured for r in done if (r.workload, r.setup) == (workload, setup)]

    rows = []
    for workload, setup in dict.fromkeys((r.workload, r.setup) for r in done):
        own, alone = measured(workload, setup), measured(workload, ALONE)
        apart = measured(workload, APART)
        rows.append(
            Efficiency(
                workload=workload,
                setup=setup,
                images_per_second=median(m.images_per_second for m in own),
                efficiency=median_ratio(map(_of_rank, own), map(_of_rank, alone)),
                of_machine=median_ratio(map(_of_rank, own), map(_of_rank, apart))
                if apart
                else float("nan"),
                cpu_efficiency=median_ratio(
                    (m.cpu_per_image for m in alone), (m.cpu_per_image for m in own)
                ),
                waiting_share=median(m.waiting_share for m in own),
            )
        )
    return rows


def _of_rank(measured: Measured) -> float:
    return measured.images_per_second / measured.ranks


def efficiency_table(rows: Sequence[Efficiency], repetitions: int) -> Table:
    """Images per second and efficiency of each set-up."""
    return table_of(
        f"Two cores against one, median of {repetitions}",
        rows,
        {
            "model": lambda row: row.workload.describe(),
            "on": lambda row: row.setup,
            "images/s": lambda row: f"{row.images_per_second:.3f}",
            "efficiency": lambda row: f"{row.efficiency:.3f}",
            "of apart": lambda row: f"{row.of_machine:.3f}",
            "of CPU": lambda row: f"{row.cpu_efficiency:.3f}",
            "waiting %": lambda row: f"{100 * row.waiting_share:.1f}",
        },
    )


def repetitions_table(done: Sequence[Repetition]) -> Table:
    """Every measurement."""
    return table_of(
        "Every measurement",
        done,
        {
            "model": lambda r: r.workload.describe(),
            "on": lambda r: r.setup,
            "repetition": lambda r: str(r.number + 1),
            "steps": lambda r: str(r.measured.steps),
            "s": lambda r: f"{r.measured.seconds:.2f}",
            "CPU s": lambda r: f"{r.measured.cpu_s:.2f}",
            "images/s": lambda r: f"{r.measured.images_per_second:.3f}",
            "waiting %": lambda r: f"{100 * r.measured.waiting_share:.1f}",
        },
    )

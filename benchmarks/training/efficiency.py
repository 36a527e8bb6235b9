"""Two ranks on two cores against one rank on one of them: the command and its tables."""

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
"""By the names that options take."""

ALONE = "1 rank"
APART = "2 apart"
GLOO = "2, Gloo"
MPI = "2, MPI"
SETUPS = (ALONE, APART, GLOO, MPI)
"""In the order of a repetition. What two processes lose without any exchange, the machine takes:
its cores share caches, memory and perhaps more."""
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
    """Two ranks on two cores against one rank on one of them."""
    chosen = [
        options.resized(WORKLOADS[m], tile, batch) for m in names_of(models, "model", [*WORKLOADS])
    ]
    setups = [setup for setup in SETUPS if setup != _NOT_UNDER.get(launchers)]
    done = measure_efficiency(chosen, seconds, repetitions, setups)
    about = (
        "Every process has one thread and one core of its own. The set-ups take turns; the others"
        " are stopped meanwhile. A step before each measurement is dropped. *Efficiency* is images"
        " a second against those of one rank, times the ranks; *of apart*, against as many"
        " processes that train at the same time, each for itself; *of CPU*, processor seconds of"
        " an image of one rank over those of an image here. *Waiting*: a rank has its own"
        " gradients, not yet the sum of all."
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
    """From 0."""
    measured: Measured
    gradient_bytes: int


def measure_efficiency(
    workloads: Sequence[Workload],
    seconds: float,
    repetitions: int,
    setups: Sequence[str] = SETUPS,
    cores: tuple[int, int] = (0, 1),
) -> list[Repetition]:
    """Measure all set-ups in turn, so that what else happens on the machine meets all of them.

    `ALONE` is always among them. Ranks are pinned to a core each; the single rank takes one, then
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
    """A set-up, medians over the repetitions."""

    workload: Workload
    setup: str
    images_per_second: float
    efficiency: float
    """Images a second against those of one rank times the number of ranks, within a repetition."""
    of_machine: float
    """The same against as many processes without exchange; NaN where these weren't measured."""
    cpu_efficiency: float
    """Processor seconds of an image of one rank over those of this set-up: what the exchange
    takes of the cores, also on a machine that does other things at the same time."""
    waiting_share: float
    """Share of the time in which a rank waits in allreduce."""


def summarize(done: Sequence[Repetition]) -> list[Efficiency]:
    """Medians of each workload and set-up, in the order in which they were measured."""

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
    """Images a second and efficiency of each set-up."""
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

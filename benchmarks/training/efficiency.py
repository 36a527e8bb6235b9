"""Two ranks on two cores against one rank on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.training.ranks.jobs import Job, Measured, measure, start_job
from benchmarks.training.ranks.workload import Workload
from polynya.progress import track

ALONE = "1 rank"
APART = "2 apart"
GLOO = "2, Gloo"
MPI = "2, MPI"
SETUPS = (ALONE, APART, GLOO, MPI)
"""In the order of a repetition. What two processes lose without any exchange, the machine takes:
its cores share caches, memory and perhaps more."""


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

    Args:
        workloads: Models and batches.
        seconds: About how long one measurement takes on one core.
        repetitions: Of each set-up.
        setups: Of `SETUPS`; always with `ALONE`.
        cores: To which ranks are pinned, one rank each. The single rank takes one, then the other.
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
    exchange_bytes_s: float
    """Gradient bytes of a rank, a second."""


def summarize(done: Sequence[Repetition]) -> list[Efficiency]:
    """Medians of each workload and set-up, in the order in which they were measured."""
    rows = []
    for workload, setup in dict.fromkeys((r.workload, r.setup) for r in done):
        own = [r for r in done if r.workload == workload and r.setup == setup]
        alone = {r.number: r.measured for r in done if r.workload == workload and r.setup == ALONE}
        apart = {r.number: r.measured for r in done if r.workload == workload and r.setup == APART}
        rows.append(
            Efficiency(
                workload=workload,
                setup=setup,
                images_per_second=median(r.measured.images_per_second for r in own),
                efficiency=median(_against(r, alone[r.number]) for r in own),
                of_machine=median(
                    _against(r, apart[r.number]) if apart else float("nan") for r in own
                ),
                cpu_efficiency=median(
                    alone[r.number].cpu_per_image / r.measured.cpu_per_image for r in own
                ),
                waiting_share=median(r.measured.waiting_share for r in own),
                exchange_bytes_s=median(
                    r.gradient_bytes * r.measured.steps / r.measured.seconds for r in own
                ),
            )
        )
    return rows


def _against(own: Repetition, base: Measured) -> float:
    of_rank = own.measured.images_per_second / own.measured.ranks
    return of_rank / (base.images_per_second / base.ranks)

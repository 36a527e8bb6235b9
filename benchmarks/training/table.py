"""Training on 1 to N ranks, as the paper's Table III, and what the ring moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.training.predict import ring_traffic
from benchmarks.training.ranks.jobs import measure, start_job
from benchmarks.training.ranks.workload import Workload
from polynya.progress import track


@dataclass(frozen=True)
class Row:
    """A number of ranks."""

    ranks: int
    seconds: float
    """Of all epochs."""
    epoch_s: float
    images_per_second: float
    waiting_share: float


def measure_table(
    workload: Workload, ranks: Sequence[int], tiles: int, epochs: int, launcher: str
) -> list[Row]:
    """Train for some epochs on each number of ranks, with the same batch a rank.

    Args:
        workload: Model and batch of a rank.
        ranks: Their numbers; rank r is pinned to core r, round and round.
        tiles: Of an epoch. A part of a step at its end is left out.
        epochs: Of each number of ranks.
        launcher: "gloo" or "mpi".
    """
    rows = []
    for number in track(ranks, "Training on growing numbers of ranks"):
        with start_job("alone" if number == 1 else launcher, _cores(number)) as job:
            job.load(workload)
            steps = max(1, tiles // (workload.batch * number))
            runs = [measure([job], steps) for _ in range(epochs)]
        seconds = sum(run.seconds for run in runs)
        images = sum(run.images for run in runs)
        waiting = sum(run.waiting_s for run in runs) / seconds
        rows.append(Row(number, seconds, seconds / epochs, images / seconds, waiting))
    return rows


@dataclass(frozen=True)
class Traffic:
    """What one rank sent in a step."""

    ranks: int
    gradient_bytes: int
    sent_bytes: float
    """Mean over the ranks."""
    theory_bytes: float
    """2 (N - 1) / N of the gradient."""

    @property
    def ratio(self) -> float:
        """Measured over theory: what is over 1 are the ranks' agreements on what is ready."""
        return self.sent_bytes / self.theory_bytes


def measure_traffic(workload: Workload, ranks: Sequence[int], steps: int) -> list[Traffic]:
    """Count what Gloo's ranks send over TCP in so many steps."""
    rows = []
    for number in track(ranks, "Counting bytes"):
        with start_job("gloo", _cores(number)) as job:
            size = job.load(workload).gradient_bytes
            sent = measure([job], steps).sent
        mean = sum(sent) / len(sent) / steps
        rows.append(Traffic(number, size, mean, ring_traffic(number, size)))
    return rows


def _cores(ranks: int) -> list[int]:
    import os

    own = sorted(os.sched_getaffinity(0))
    return [own[rank % len(own)] for rank in range(ranks)]

"""Train on 1 to N ranks, as in the paper's Table III, and count the ring's bytes: a command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from benchmarks.common.cli import numbers_of
from benchmarks.common.report import Report, table_of
from benchmarks.training.options import BatchOption, TileOption, resized
from benchmarks.training.predict import ring_traffic
from benchmarks.training.ranks.jobs import Measured, measure, start_job
from benchmarks.training.ranks.workload import PAPER, TRAFFIC, Workload
from polynya.progress import track
from polynya.report.tables import Table


def table(
    report: Report,
    ranks: Annotated[str, typer.Option(help="Numbers of ranks; the first is 1.")] = "1,2",
    tiles: Annotated[int, typer.Option(min=1, help="Tiles of an epoch.")] = 96,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs for each number of ranks.")] = 3,
    launcher: Annotated[Literal["gloo", "mpi"], typer.Option(help="What starts ranks.")] = "gloo",
    traffic: Annotated[str, typer.Option(help="Numbers of ranks to count bytes of.")] = "2,3,4",
    tile: TileOption = None,
    batch: BatchOption = None,
) -> None:
    """Measure time, speed-up and efficiency by ranks, as the paper's Table III; count bytes."""
    workload = resized(PAPER, tile, batch)
    rows = measure_table(workload, numbers_of(ranks), tiles, epochs, launcher)
    sent = measure_traffic(TRAFFIC, numbers_of(traffic), steps=10)
    title = f"{workload.describe()}, {epochs} epochs of {tiles} tiles, {launcher}"
    about = "A rank is one thread on one core. Bytes are those of Gloo's TCP connections."
    tables = {"table": scaling_table(rows, title), "traffic": traffic_table(sent)}
    report.write("table", "Training on ranks", about, tables)


@dataclass(frozen=True)
class Row:
    """Figures for a number of ranks."""

    ranks: int
    epochs: tuple[Measured, ...]

    @property
    def seconds(self) -> float:
        """Seconds of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def images_per_second(self) -> float:
        return sum(epoch.images for epoch in self.epochs) / self.seconds

    @property
    def waiting_share(self) -> float:
        return sum(epoch.waiting_s for epoch in self.epochs) / self.seconds


def measure_table(
    workload: Workload, ranks: Sequence[int], tiles: int, epochs: int, launcher: str
) -> list[Row]:
    """Train for some epochs on each number of ranks, with the same batch per rank.

    Rank r is pinned to core r modulo the number of cores. Tiles that don't fill a step are dropped.
    """
    rows = []
    for number in track(ranks, "Training on growing numbers of ranks"):
        with start_job("alone" if number == 1 else launcher, _cores(number)) as job:
            job.load(workload)
            steps = max(1, tiles // (workload.batch * number))
            rows.append(Row(number, tuple(measure([job], steps) for _ in range(epochs))))
    return rows


@dataclass(frozen=True)
class Traffic:
    """Bytes that one rank sent in a step."""

    ranks: int
    gradient_bytes: int
    sent_bytes: float
    """Mean over the ranks."""
    theory_bytes: float
    """2 (N - 1) / N of the gradient."""

    @property
    def ratio(self) -> float:
        """Measured over theory; the part above 1 comes from messages about ready gradients."""
        return self.sent_bytes / self.theory_bytes


def measure_traffic(workload: Workload, ranks: Sequence[int], steps: int) -> list[Traffic]:
    """Count the bytes that Gloo's ranks send over TCP in a number of steps."""
    rows = []
    for number in track(ranks, "Counting bytes"):
        with start_job("gloo", _cores(number)) as job:
            size = job.load(workload).gradient_bytes
            sent = measure([job], steps).sent
        mean = sum(sent) / len(sent) / steps
        rows.append(Traffic(number, size, mean, ring_traffic(number, size)))
    return rows


def _cores(ranks: int) -> list[int]:
    own = sorted(os.sched_getaffinity(0))
    return [own[rank % len(own)] for rank in range(ranks)]


def scaling_table(rows: Sequence[Row], title: str) -> Table:
    """As the paper's Table III."""

    def speed_up(row: Row) -> float:
        return row.images_per_second / rows[0].images_per_second

    return table_of(
        title,
        rows,
        {
            "ranks": lambda row: str(row.ranks),
            "s": lambda row: f"{row.seconds:.2f}",
            "s an epoch": lambda row: f"{row.seconds / len(row.epochs):.2f}",
            "images/s": lambda row: f"{row.images_per_second:.2f}",
            "speed-up": lambda row: f"{speed_up(row):.2f}",
            "efficiency": lambda row: f"{speed_up(row) / row.ranks:.3f}",
            "waiting %": lambda row: f"{100 * row.waiting_share:.1f}",
        },
    )


def traffic_table(rows: Sequence[Traffic]) -> Table:
    """Bytes of a rank and step, counted and by theory."""
    return table_of(
        "What a rank sends in a step, counted by the kernel",
        rows,
        {
            "ranks": lambda row: str(row.ranks),
            "gradient bytes": lambda row: f"{row.gradient_bytes:,}",
            "2 (N - 1) / N of it": lambda row: f"{row.theory_bytes:,.0f}",
            "sent": lambda row: f"{row.sent_bytes:,.0f}",
            "sent / theory": lambda row: f"{row.ratio:.4f}",
        },
    )

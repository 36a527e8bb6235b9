"""Tables of the training benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.training.efficiency import Efficiency, Repetition
from benchmarks.training.overhead import Overhead
from benchmarks.training.predict import (
    PAPER_BATCH,
    PAPER_EPOCHS,
    PAPER_RUNS,
    Cluster,
    Prediction,
    Training,
    bend,
    undivided_s,
)
from benchmarks.training.table import Row, Traffic
from polynya.report.tables import Table

_TILE_BYTES = 256 * 256 * 4
"""Of a tile of 256 px: three bands and the label, one byte each."""


def efficiency_table(rows: Sequence[Efficiency], repetitions: int) -> Table:
    """Images a second and efficiency of each set-up."""
    cells = tuple(
        (
            row.workload.describe(),
            row.setup,
            f"{row.images_per_second:.3f}",
            f"{row.efficiency:.3f}",
            f"{row.of_machine:.3f}",
            f"{row.cpu_efficiency:.3f}",
            f"{100 * row.waiting_share:.1f}",
        )
        for row in rows
    )
    columns = (
        "model", "on", "images/s", "efficiency", "of apart", "of CPU", "waiting %",
    )  # fmt: skip
    return Table(f"Two cores against one, median of {repetitions}", columns, cells)


def repetitions_table(done: Sequence[Repetition]) -> Table:
    """Every measurement."""
    cells = tuple(
        (
            r.workload.describe(),
            r.setup,
            str(r.number + 1),
            str(r.measured.steps),
            f"{r.measured.seconds:.2f}",
            f"{r.measured.cpu_s:.2f}",
            f"{r.measured.images_per_second:.3f}",
            f"{100 * r.measured.waiting_share:.1f}",
        )
        for r in done
    )
    columns = ("model", "on", "repetition", "steps", "s", "CPU s", "images/s", "waiting %")
    return Table("Every measurement", columns, cells)


def scaling_table(rows: Sequence[Row], title: str) -> Table:
    """As the paper's Table III."""
    alone = rows[0]
    cells = tuple(
        (
            str(row.ranks),
            f"{row.seconds:.2f}",
            f"{row.epoch_s:.2f}",
            f"{row.images_per_second:.2f}",
            f"{row.images_per_second / alone.images_per_second:.2f}",
            f"{row.images_per_second / alone.images_per_second / row.ranks:.3f}",
            f"{100 * row.waiting_share:.1f}",
        )
        for row in rows
    )
    columns = ("ranks", "s", "s an epoch", "images/s", "speed-up", "efficiency", "waiting %")
    return Table(title, columns, cells)


def traffic_table(rows: Sequence[Traffic]) -> Table:
    """Bytes of a rank and step, counted and by theory."""
    cells = tuple(
        (
            str(row.ranks),
            f"{row.gradient_bytes:,}",
            f"{row.theory_bytes:,.0f}",
            f"{row.sent_bytes:,.0f}",
            f"{row.ratio:.4f}",
        )
        for row in rows
    )
    columns = ("ranks", "gradient bytes", "2 (N - 1) / N of it", "sent", "sent / theory")
    return Table("What a rank sends in a step, counted by the kernel", columns, cells)


def overhead_table(rows: Sequence[Overhead], repetitions: int) -> Table:
    """A step of both."""
    cells = tuple(
        (
            row.workload.describe(),
            f"{1e3 * row.fit_s:.2f}",
            f"{1e3 * row.trainer_s:.2f}",
            f"{100 * row.overhead:+.2f}",
            f"{100 * row.cpu_overhead:+.2f}",
        )
        for row in rows
    )
    columns = ("model", "fit ms", "our trainer ms", "overhead %", "of processor time %")
    return Table(
        f"A step of Keras' fit and of our trainer, median of {repetitions}", columns, cells
    )


def prediction_table(
    title: str, clusters: Sequence[Cluster], predictions: Sequence[Sequence[Prediction]]
) -> Table:
    """Efficiency by number of GPUs: a row a number, a column a cluster."""
    rows = []
    for of_ranks in zip(*predictions, strict=True):
        first = of_ranks[0]
        cells = [str(first.ranks), str(first.batch), f"{first.host_tiles_per_second:,.0f}"]
        rows.append((*cells, *(f"{p.efficiency:.3f}" for p in of_ranks)))
    bent = ["falls below 0.9 at", "", ""]
    bent += [str(bend(own) or f"none to {own[-1].ranks}") for own in predictions]
    columns = ("GPUs", "batch", "tiles/s a host", *(cluster.name for cluster in clusters))
    return Table(title, columns, (*rows, tuple(bent)))


def links_table(clusters: Sequence[Cluster], predictions: Sequence[Prediction], size: int) -> Table:
    """One allreduce of the whole gradient."""
    rows = tuple(
        (
            cluster.name,
            f"{cluster.ports * cluster.between.bytes_s / 1e9:.1f}",
            f"{1e6 * cluster.between.hop_s:.0f}",
            f"{1e3 * p.reduce_s:.2f}",
            f"{1e3 * p.step_s:.2f}",
            f"{p.images_per_second:,.0f}",
        )
        for cluster, p in zip(clusters, predictions, strict=True)
    )
    columns = (
        "links", "GB/s a host", "us a hop", "ms an allreduce", "ms a step", "images/s",
    )  # fmt: skip
    title = f"{predictions[0].ranks} GPUs, one gradient of {size / 1e6:.1f} MB"
    return Table(title, columns, rows)


def paper_table(predicted: Sequence[Prediction]) -> Table:
    """The paper's Table III beside what links alone allow, and beside a fitted undivided part."""
    undivided = undivided_s(PAPER_RUNS)
    alone = PAPER_RUNS[0].seconds
    rows = []
    for run, p in zip(PAPER_RUNS, predicted, strict=True):
        amdahl = (alone - undivided) / run.ranks + undivided
        rows.append(
            (
                str(run.ranks),
                f"{run.seconds:.2f}",
                f"{run.speed_up:.2f}",
                f"{p.ranks * p.efficiency:.2f}",
                f"{amdahl:.2f}",
                f"{alone / amdahl:.2f}",
                f"{run.images_per_second:,.0f}",
            )
        )
    columns = (
        "GPUs", "paper s", "paper's speed-up", "links allow", "fitted s", "fitted speed-up",
        "tiles/s of the host",
    )  # fmt: skip
    title = (
        f"The paper's Table III (batch {PAPER_BATCH}, {PAPER_EPOCHS} epochs); fitted:"
        f" {undivided:.2f} s of the run are not divided, {undivided / PAPER_EPOCHS:.3f} s an epoch"
    )
    return Table(title, columns, tuple(rows))


def input_table(training: Training, gpus: int) -> Table:
    """What the input of a host has to deliver."""
    alone = training.batch / training.compute_s
    rows = tuple(
        (str(n), f"{n * alone:,.0f}", f"{n * alone * _TILE_BYTES / 1e9:.2f}")
        for n in (1, 2, 4, gpus)
    )
    return Table("Input of a host", ("GPUs", "tiles/s", "GB/s in memory"), rows)

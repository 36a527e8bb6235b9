"""What the commands of the training benchmark do, each to its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common.tables import write_markdown, write_tables
from benchmarks.training import report
from benchmarks.training.efficiency import SETUPS, measure_efficiency, summarize
from benchmarks.training.flops import LayerCost, layer_costs
from benchmarks.training.overhead import measure_overhead
from benchmarks.training.predict import (
    CLUSTERS,
    NVLINK,
    PAPER_RUNS,
    Cluster,
    Training,
    predict,
    predict_global,
)
from benchmarks.training.ranks.workload import (
    LARGE,
    LARGEST,
    PAPER,
    TRAFFIC,
    Workload,
    build_model,
)
from benchmarks.training.table import measure_table, measure_traffic
from polynya.report.tables import Table
from training.ranks.devices import import_tensorflow

WORKLOADS = {"paper": PAPER, "large": LARGE, "largest": LARGEST}
"""By the names that options take."""
RANKS = (8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Work:
    """Where a command works."""

    out: Path
    """Existing folder of the tables."""
    command: str
    """As the user gave it."""

    def write(
        self, name: str, heading: str, about: str, tables: Sequence[tuple[str, Table]]
    ) -> None:
        """Print tables, write them as CSV files and as one page."""
        write_tables(tables, self.out)
        page = self.out / f"{name}.md"
        write_markdown(page, heading, about, self.command, [table for _, table in tables])


def resized(workload: Workload, tile: int | None, batch: int | None) -> Workload:
    """A workload with another tile or batch, where given."""
    return replace(workload, tile=tile or workload.tile, batch=batch or workload.batch)


def compare_cores(
    work: Work,
    workloads: Sequence[Workload],
    seconds: float,
    repetitions: int,
    setups: Sequence[str] = SETUPS,
) -> None:
    """Two ranks on two cores against one; `efficiency.md`."""
    done = measure_efficiency(workloads, seconds, repetitions, setups)
    about = (
        "Every process has one thread and one core of its own. The set-ups take turns; the others"
        " are stopped meanwhile. A step before each measurement is dropped. *Efficiency* is images"
        " a second against those of one rank, times the ranks; *of apart*, against as many"
        " processes that train at the same time, each for itself; *of CPU*, processor seconds of"
        " an image of one rank over those of an image here. *Waiting*: a rank has its own"
        " gradients, not yet the sum of all."
    )
    tables = (
        ("efficiency", report.efficiency_table(summarize(done), repetitions)),
        ("efficiency_runs", report.repetitions_table(done)),
    )
    work.write("efficiency", "Training on two cores", about, tables)


def compare_ranks(
    work: Work,
    workload: Workload,
    ranks: Sequence[int],
    tiles: int,
    epochs: int,
    launcher: str,
    traffic_ranks: Sequence[int],
) -> None:
    """The paper's Table III on this machine, and the ring's bytes; `table.md`."""
    rows = measure_table(workload, ranks, tiles, epochs, launcher)
    traffic = measure_traffic(TRAFFIC, traffic_ranks, steps=10)
    title = f"{workload.describe()}, {epochs} epochs of {tiles} tiles, {launcher}"
    about = "A rank is one thread on one core. Bytes are those of Gloo's TCP connections."
    tables = (
        ("table", report.scaling_table(rows, title)),
        ("traffic", report.traffic_table(traffic)),
    )
    work.write("table", "Training on ranks", about, tables)


def compare_with_fit(
    work: Work, workloads: Sequence[Workload], seconds: float, repetitions: int
) -> None:
    """Our trainer against Keras' fit; `overhead.md`."""
    import_tensorflow()
    rows = [measure_overhead(workload, seconds, repetitions) for workload in workloads]
    about = (
        "One rank, all its threads, in one process, in turn: the same model, optimizer, loss and"
        " batches from memory, both without XLA. The whole call counts."
    )
    table = report.overhead_table(rows, repetitions)
    work.write("overhead", "Our trainer and Keras' fit", about, [("overhead", table)])


def paper_layers() -> tuple[LayerCost, ...]:
    """Costs of the layers of the paper's U-Net."""
    import_tensorflow()
    return layer_costs(build_model(PAPER))


def predict_clusters(work: Work, training: Training, ranks: Sequence[int] = RANKS) -> None:
    """What links allow on many GPUs; `model.md`."""
    tables = prediction_tables(training, ranks)
    about = (
        f"A GPU takes {1e3 * training.compute_s:.2f} ms for {training.batch} tiles alone,"
        f" {training.batch / training.compute_s:.0f} images/s;"
        f" {1e3 * training.fixed_s:g} ms of it whatever the batch. docs/scaling.md says what is in"
        " the model."
    )
    work.write("model", "Training on many GPUs, predicted", about, tables)


def prediction_tables(training: Training, ranks: Sequence[int]) -> list[tuple[str, Table]]:
    """All tables of the model."""
    fixed = [[predict(training, cluster, n) for n in ranks] for cluster in CLUSTERS]
    total = training.batch * max(CLUSTERS[0].gpus, min(ranks))
    shares = [n for n in ranks if total % n == 0]
    shared = [[predict_global(training, c, n, total) for n in shares] for c in CLUSTERS]
    paper = [predict(training, Cluster(NVLINK, NVLINK), run.ranks) for run in PAPER_RUNS]
    own = f"Efficiency, {training.batch} tiles a GPU"
    together = f"Efficiency, {total} tiles a step, all GPUs together"
    return [
        ("model_batch", report.prediction_table(own, CLUSTERS, fixed)),
        ("model_global", report.prediction_table(together, CLUSTERS, shared)),
        (
            "model_links",
            report.links_table(CLUSTERS, [row[-1] for row in fixed], training.gradient_bytes),
        ),
        ("model_paper", report.paper_table(paper)),
        ("model_input", report.input_table(training, CLUSTERS[0].gpus)),
    ]

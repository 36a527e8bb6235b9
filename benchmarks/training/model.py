"""Predict training on many GPUs by the arithmetic of `predict.py`: the command and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import typer

from benchmarks.common.report import Report, table_of
from benchmarks.training.flops import layer_costs
from benchmarks.training.predict import (
    BACKWARD,
    CLUSTERS,
    NVLINK,
    PAPER_BATCH,
    PAPER_EPOCHS,
    PAPER_RUNS,
    Cluster,
    Prediction,
    Training,
    bend,
    from_throughput,
    predict,
    predict_global,
    undivided_s,
)
from benchmarks.training.ranks.workload import PAPER, build_model
from polynya.report.tables import Table
from training.ranks.devices import import_tensorflow

RANKS = (8, 16, 32, 64, 128, 256, 512)
_SMALL_BATCH = 8
"""Batch of a GPU at which the fixed part of a step is told."""
_TILE_BYTES = 256 * 256 * 4
"""Bytes of a tile of 256 px: three bands and the label, one byte each."""


def model(
    report: Report,
    images_per_second: Annotated[
        float, typer.Option(help="Speed of one GPU alone; default: the paper's A100.")
    ] = PAPER_RUNS[0].images_per_second,
    batch: Annotated[int, typer.Option(min=1, help="Batch of one GPU.")] = PAPER_BATCH,
    fixed_ms: Annotated[
        float, typer.Option(help="Part of a step that the batch doesn't change; see gpu.py.")
    ] = 5.0,
    cycle_ms: Annotated[float, typer.Option(help="HOROVOD_CYCLE_TIME.")] = 1.0,
    gradient_bytes: Annotated[
        Literal["4", "2"], typer.Option(help="Bytes of a parameter; 2 with compression.")
    ] = "4",
) -> None:
    """Predict training on 8 to 512 GPUs, from one GPU's speed and the links between GPUs."""
    import_tensorflow()
    layers = layer_costs(build_model(PAPER))
    alone = from_throughput(images_per_second, batch, layers, fixed_ms * 1e-3)
    training = replace(alone, cycle_s=cycle_ms * 1e-3, gradient_bytes_each=int(gradient_bytes))
    backward_s = training.compute_s * BACKWARD
    share = 100 * training.fixed_s / replace(training, batch=_SMALL_BATCH).compute_s
    about = (
        f"A GPU takes {1e3 * training.compute_s:.2f} ms for {training.batch} tiles alone,"
        f" {training.batch / training.compute_s:.0f} images/s;"
        f" {1e3 * training.fixed_s:g} ms of it don't depend on the batch, {share:.0f} % of a step"
        f" with {_SMALL_BATCH} tiles. Its backward pass takes {1e3 * backward_s:.0f} ms."
        " docs/scaling.md describes the model."
    )
    tables = model_tables(training, RANKS)
    report.write("model", "Training on many GPUs, predicted", about, tables)


def model_tables(training: Training, ranks: Sequence[int]) -> dict[str, Table]:
    """All tables of the model, by their names."""
    fixed = [[predict(training, cluster, n) for n in ranks] for cluster in CLUSTERS]
    total = training.batch * max(CLUSTERS[0].gpus, min(ranks))
    shares = [n for n in ranks if total % n == 0]
    shared = [[predict_global(training, c, n, total) for n in shares] for c in CLUSTERS]
    own = f"Efficiency, {training.batch} tiles a GPU"
    together = f"Efficiency, {total} tiles a step, all GPUs together"
    return {
        "model_batch": efficiency_table(own, fixed),
        "model_global": efficiency_table(together, shared),
        "model_links": links_table([row[-1] for row in fixed], training.gradient_bytes),
        "model_paper": paper_table(training),
        "model_input": input_table(training),
    }


def efficiency_table(title: str, predictions: Sequence[Sequence[Prediction]]) -> Table:
    """Efficiency: one row per number of GPUs, one column per cluster."""
    rows = []
    for of_ranks in zip(*predictions, strict=True):
        first = of_ranks[0]
        cells = [str(first.ranks), str(first.batch), f"{first.host_tiles_per_second:,.0f}"]
        rows.append((*cells, *(f"{p.efficiency:.3f}" for p in of_ranks)))
    bent = ["falls below 0.9 at", "", ""]
    bent += [str(bend(own) or f"none to {own[-1].ranks}") for own in predictions]
    columns = ("GPUs", "batch", "tiles/s a host", *(cluster.name for cluster in CLUSTERS))
    return Table(title, columns, (*rows, tuple(bent)))


def links_table(predictions: Sequence[Prediction], size: int) -> Table:
    """Figures of one allreduce of the whole gradient, by cluster."""
    return table_of(
        f"{predictions[0].ranks} GPUs, one gradient of {size / 1e6:.1f} MB",
        list(zip(CLUSTERS, predictions, strict=True)),
        {
            "links": lambda row: row[0].name,
            "GB/s a host": lambda row: f"{row[0].ports * row[0].between.bytes_s / 1e9:.1f}",
            "us a hop": lambda row: f"{1e6 * row[0].between.hop_s:.0f}",
            "ms an allreduce": lambda row: f"{1e3 * row[1].reduce_s:.2f}",
            "ms a step": lambda row: f"{1e3 * row[1].step_s:.2f}",
            "images/s": lambda row: f"{row[1].images_per_second:,.0f}",
        },
    )


def paper_table(training: Training) -> Table:
    """The paper's Table III, compared with the limit of the links and with a fitted fixed part."""
    undivided = undivided_s(PAPER_RUNS)
    alone = PAPER_RUNS[0].seconds

    def links_allow(ranks: int) -> float:
        return ranks * predict(training, Cluster(NVLINK, NVLINK), ranks).efficiency

    def fitted_s(ranks: int) -> float:
        return (alone - undivided) / ranks + undivided

    return table_of(
        f"The paper's Table III (batch {PAPER_BATCH}, {PAPER_EPOCHS} epochs); fitted:"
        f" {undivided:.2f} s of the run are not divided, {undivided / PAPER_EPOCHS:.3f} s an epoch",
        PAPER_RUNS,
        {
            "GPUs": lambda run: str(run.ranks),
            "paper s": lambda run: f"{run.seconds:.2f}",
            "paper's speed-up": lambda run: f"{run.speed_up:.2f}",
            "links allow": lambda run: f"{links_allow(run.ranks):.2f}",
            "fitted s": lambda run: f"{fitted_s(run.ranks):.2f}",
            "fitted speed-up": lambda run: f"{alone / fitted_s(run.ranks):.2f}",
            "tiles/s of the host": lambda run: f"{run.images_per_second:,.0f}",
        },
    )


def input_table(training: Training) -> Table:
    """Speed that the input of a host must deliver."""
    alone = training.batch / training.compute_s
    return table_of(
        "Input of a host",
        (1, 2, 4, CLUSTERS[0].gpus),
        {
            "GPUs": lambda n: str(n),
            "tiles/s": lambda n: f"{n * alone:,.0f}",
            "GB/s in memory": lambda n: f"{n * alone * _TILE_BYTES / 1e9:.2f}",
        },
    )

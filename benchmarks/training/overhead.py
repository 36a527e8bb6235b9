"""Overhead of our trainer over a plain Keras `fit`, per step: the command and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from benchmarks.common.report import Report, table_of
from benchmarks.common.timing import median_ratio, timed
from benchmarks.training import options
from benchmarks.training.ranks.workload import (
    PAPER,
    Workload,
    build_model,
    endless,
    make_tiles,
    make_trainer,
)
from polynya.progress import track
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table
from training.ranks.devices import import_tensorflow
from training.ranks.port import SingleProcess


def overhead(
    report: Report,
    seconds: options.SecondsOption = 4.0,
    repetitions: options.RepetitionsOption = 5,
    tile: options.TileOption = None,
    batch: options.BatchOption = None,
) -> None:
    """Compare a step of our trainer with a step of Keras' fit, on one rank."""
    import_tensorflow()
    sizes = (replace(PAPER, batch=8), replace(PAPER, batch=1, tile=64))
    workloads = dict.fromkeys(options.resized(workload, tile, batch) for workload in sizes)
    rows = [measure_overhead(workload, seconds, repetitions) for workload in workloads]
    about = (
        "One rank with all its threads; both run in one process, in turn. They have the same model,"
        " optimizer, loss and batches from memory, without XLA. The whole call counts."
    )
    tables = {"overhead": overhead_table(rows, repetitions)}
    report.write("overhead", "Our trainer and Keras' fit", about, tables)


@dataclass(frozen=True)
class Overhead:
    """Medians over the repetitions."""

    workload: Workload
    steps: int
    """Steps of a repetition."""
    fit_s: float
    """Seconds of a step of `fit`, including the end of the call."""
    trainer_s: float
    overhead: float
    """Median of the ratios within repetitions, less 1."""
    cpu_overhead: float
    """Median of the ratios of processor seconds, less 1."""


def measure_overhead(workload: Workload, seconds: float, repetitions: int) -> Overhead:
    """Train with both in turn, in this process, with all its threads.

    Both have the same model, optimizer, loss and batches, without XLA. Their order changes from
    one repetition to the next; the first repetition is dropped.
    """
    dataset = endless(make_tiles(workload, seed=0))
    trainer = make_trainer(workload, SingleProcess())
    fitted = _fit_model(workload)

    def ours(steps: int) -> None:
        for _ in trainer.train(dataset.take(steps)):
            pass

    def bare(steps: int) -> None:
        fitted.fit(dataset, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)

    ways = (ours, bare)
    for way in ways:
        way(2)
    steps = max(2, round(seconds / timed(lambda: bare(2))[0] * 2))
    of_ours, of_bare = [], []
    for number in track(range(repetitions + 1), "Training with our trainer and with fit"):
        order = ways if number % 2 else ways[::-1]
        times = {way: timed(partial(way, steps)) for way in order}
        of_ours.append(times[ours])
        of_bare.append(times[bare])
    (wall, cpu), (bare_wall, bare_cpu) = (zip(*of[1:], strict=True) for of in (of_ours, of_bare))
    return Overhead(
        workload=workload,
        steps=steps,
        fit_s=median(bare_wall) / steps,
        trainer_s=median(wall) / steps,
        overhead=median_ratio(wall, bare_wall) - 1,
        cpu_overhead=median_ratio(cpu, bare_cpu) - 1,
    )


def _fit_model(workload: Workload) -> Any:
    import keras

    from training.losses.crossentropy import masked_crossentropy

    def loss(labels: Any, probabilities: Any) -> Any:
        total, count = masked_crossentropy(labels, probabilities, nodata=SEA_ICE.nodata)
        return total / keras.ops.maximum(count, 1.0)

    model = build_model(workload)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    return model


def overhead_table(rows: Sequence[Overhead], repetitions: int) -> Table:
    """One row per workload: a step of `fit` and of our trainer."""
    return table_of(
        f"A step of Keras' fit and of our trainer, median of {repetitions}",
        rows,
        {
            "model": lambda row: row.workload.describe(),
            "fit ms": lambda row: f"{1e3 * row.fit_s:.2f}",
            "our trainer ms": lambda row: f"{1e3 * row.trainer_s:.2f}",
            "overhead %": lambda row: f"{100 * row.overhead:+.2f}",
            "of processor time %": lambda row: f"{100 * row.cpu_overhead:+.2f}",
        },
    )

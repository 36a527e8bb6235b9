"""What our trainer adds to a step of a bare Keras `fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.training.ranks.workload import (
    NODATA,
    Workload,
    build_model,
    endless,
    make_tiles,
    make_trainer,
)
from polynya.progress import track
from training.ranks.collective import SingleProcess


@dataclass(frozen=True)
class Overhead:
    """Medians over the repetitions."""

    workload: Workload
    steps: int
    """Of a repetition."""
    fit_s: float
    """Of a step of `fit`, the end of the call included."""
    trainer_s: float
    overhead: float
    """Median of the ratios within repetitions, less 1."""
    cpu_overhead: float
    """The same of processor seconds."""


def measure_overhead(workload: Workload, seconds: float, repetitions: int) -> Overhead:
    """Train with both in turn, in this process, with all its threads.

    Same model, optimizer, loss and batches; both without XLA. The order changes from one
    repetition to the next.

    Args:
        workload: Model and batch.
        seconds: About how long each takes in a repetition.
        repetitions: At least one more is made and dropped.
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
    steps = max(2, round(seconds / _timed(bare, 2)[0] * 2))
    times = []
    for number in track(range(repetitions + 1), "Training with our trainer and with fit"):
        order = ways if number % 2 else ways[::-1]
        times.append({way: _timed(way, steps) for way in order})
    kept = times[1:]
    return Overhead(
        workload=workload,
        steps=steps,
        fit_s=median(t[bare][0] for t in kept) / steps,
        trainer_s=median(t[ours][0] for t in kept) / steps,
        overhead=median(t[ours][0] / t[bare][0] for t in kept) - 1,
        cpu_overhead=median(t[ours][1] / t[bare][1] for t in kept) - 1,
    )


def _timed(way: Callable[[int], None], steps: int) -> tuple[float, float]:
    """Wall and processor seconds of a whole call."""
    wall, cpu = perf_counter(), process_time()
    way(steps)
    return perf_counter() - wall, process_time() - cpu


def _fit_model(workload: Workload) -> Any:
    import keras

    from training.losses.crossentropy import masked_crossentropy

    def loss(labels: Any, probabilities: Any) -> Any:
        total, count = masked_crossentropy(labels, probabilities, nodata=NODATA)
        return total / keras.ops.maximum(count, 1.0)

    model = build_model(workload)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    return model

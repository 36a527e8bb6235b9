"""What experiment tracking and listeners cost a step: the command and its table."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.common.report import Report, table_of
from benchmarks.common.timing import median_ratio
from benchmarks.training import options
from benchmarks.training.ranks.workload import (
    PAPER,
    Workload,
    endless,
    make_tiles,
    make_trainer,
)
from polynya.progress import track
from polynya.recipe.recipe import parse_recipe
from polynya.report.tables import Table
from training.model_folder.checkpoints import Position
from training.model_folder.training_log import EpochRecord, StepRecord
from training.ranks.devices import import_tensorflow
from training.ranks.port import SingleProcess
from training.run.listener import Listener
from training.tracking.delivery import Delivery

_TRACKERS = [{"kind": "mlflow", "tiles": 0, "model": False}, {"kind": "tensorboard", "tiles": 0}]
_SCORES = ("precision", "recall", "f1", "iou")
_CLASSES = ("open_water", "thin_ice", "thick_ice")
_EPOCHS, _EPOCH_STEPS = 3, 100
"""Epochs whose sending is measured, and their steps."""
_QUIET = 2.0
"""Seconds without work after which a thread counts as idle."""


def tracking(
    report: Report,
    seconds: options.SecondsOption = 4.0,
    repetitions: options.RepetitionsOption = 5,
    tile: options.TileOption = None,
    batch: options.BatchOption = None,
) -> None:
    """Compare steps that report to MLflow (SQLite) and TensorBoard with steps that don't."""
    import_tensorflow()
    sizes = (replace(PAPER, batch=8), replace(PAPER, batch=8, tile=128))
    workloads = dict.fromkeys(options.resized(workload, tile, batch) for workload in sizes)
    rows = [measure_tracking(workload, seconds, repetitions) for workload in workloads]
    about = (
        "One training in one process with all its threads. Some steps that report to both trackers"
        " and as many without listeners take turns; while steps report, those before are sent."
        f" Sending is processor time of the trackers' threads, for epochs of {_EPOCH_STEPS} steps."
    )
    tables = {"tracking": tracking_table(rows, repetitions)}
    report.write("tracking", "Steps with and without experiment tracking", about, tables)


@dataclass(frozen=True)
class Tracked:
    """Medians over the repetitions."""

    workload: Workload
    steps: int
    """Steps of an epoch."""
    plain_s: float
    """Median wall time of a step without listeners."""
    tracked_s: float
    """Median wall time of a step that reports."""
    overhead: float
    """Median of the ratios of these medians within repetitions, less 1."""
    listening_s: float
    """Wall time that a step waits for its listeners, with its share of the end of epochs."""
    sending_s: float
    """Processor time of the trackers' threads for a step, with its share of an epoch's end."""
    cpu_s: float
    """Processor time of a step without listeners, all threads."""

    @property
    def cpu_share(self) -> float:
        """Listening and sending as a share of the processor time of a step."""
        return (self.listening_s + self.sending_s) / self.cpu_s


def measure_tracking(workload: Workload, seconds: float, repetitions: int) -> Tracked:
    """Train with and without trackers in turn, by the same model, optimizer and batches.

    Trackers write into a temporary folder. Each part is an epoch of `seconds`; the first repetition
    is dropped.
    """
    trainer = make_trainer(workload, SingleProcess())
    results = trainer.train(endless(make_tiles(workload, seed=0)))
    next(results)
    begin = time.perf_counter()
    next(results)
    steps = max(2, round(seconds / (time.perf_counter() - begin)))
    position, of_plain, of_tracked = Position(), [], []
    with _listeners(position) as listeners:
        sending = _sending_s(position, listeners)
        for number in track(range(repetitions + 1), "Training with and without trackers"):
            ways: list[Sequence[Listener]] = [listeners, ()]
            for own in ways if number % 2 else ways[::-1]:
                times = [_step(results, position, own) for _ in range(steps)]
                spent = _end_epoch(position, own) if own else 0.0
                if own:
                    of_tracked.append((times, spent))
                else:
                    of_plain.append(times)
    plain = [median(wall for wall, _, _ in times) for times in of_plain[1:]]
    tracked = [median(wall for wall, _, _ in times) for times, _ in of_tracked[1:]]
    heard = [(sum(own for _, own, _ in times) + spent) / steps for times, spent in of_tracked[1:]]
    return Tracked(
        workload=workload,
        steps=steps,
        plain_s=median(plain),
        tracked_s=median(tracked),
        overhead=median_ratio(tracked, plain) - 1,
        listening_s=median(heard),
        sending_s=sending,
        cpu_s=median(sum(cpu for _, _, cpu in times) / steps for times in of_plain[1:]),
    )


@contextmanager
def _listeners(position: Position) -> Iterator[Sequence[Listener]]:
    """Start listeners in a temporary working folder; one is as idle as the model's writer."""
    from training.input.batches import TileSource
    from training.input.validation import ValidationTiles
    from training.run.tracking import Subject, make_listeners

    recipe = parse_recipe({"training": {"tracking": _TRACKERS}}, "of the benchmark")
    images, labels = make_tiles(replace(PAPER, batch=1, tile=32), seed=0)
    source = TileSource(images, labels, nodata=recipe.classes.nodata, threads=1)
    tiles = ValidationTiles(source, recipe, SingleProcess())
    back = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="polynya-tracking-") as folder:
        os.chdir(folder)
        try:
            subject = Subject(
                Path(folder, "model"), recipe, 1, tiles, lambda numbers: [], lambda seen: seen
            )
            own = [Listener(), *make_listeners(subject)]
            for listener in own:
                listener.start(position)
            yield own
            for listener in own:
                listener.leave(position, "stopped")
        finally:
            os.chdir(back)


def _step(
    results: Iterator[object], position: Position, listeners: Sequence[Listener]
) -> tuple[float, float, float]:
    """Take a step: seconds of all of it, seconds of its listeners, and its processor seconds."""
    begin, cpu = time.perf_counter(), time.process_time()
    next(results)
    trained = time.perf_counter()
    if listeners:
        _tell(position, listeners)
    end = time.perf_counter()
    return end - begin, end - trained, time.process_time() - cpu


def _tell(position: Position, listeners: Sequence[Listener]) -> None:
    record = StepRecord(len(position.steps) + 1, position.epoch + 1, 0.5, 100_000)
    position.steps.append(record)
    for listener in listeners:
        listener.step(record)


def _sending_s(position: Position, listeners: Sequence[Listener]) -> float:
    """Processor seconds of the trackers' threads for a step, with its share of its epoch."""
    # Trackers open their stores and send a first epoch, which takes longer than others.
    _tell(position, listeners)
    _end_epoch(position, listeners)
    opened = _settled_cpu()
    for _ in range(_EPOCHS):
        for _ in range(_EPOCH_STEPS):
            _tell(position, listeners)
        _end_epoch(position, listeners)
        sent = _settled_cpu()
    return (sent - opened) / (_EPOCHS * _EPOCH_STEPS)


def _end_epoch(position: Position, listeners: Sequence[Listener]) -> float:
    """End an epoch with a checkpoint; return the seconds of its listeners."""
    position.epoch += 1
    record = EpochRecord(position.epoch, 1e-3, 0.5, 0.5, 0.9, 0.8, 10.0, 0.0, 0, 60.0, 0.85)
    position.history.append(record)
    scores = {own: dict.fromkeys(_SCORES, 0.5) for own in _CLASSES}
    begin = time.perf_counter()
    for listener in listeners:
        listener.epoch(position, record, True, {"validation": {"loss": 0.5, "classes": scores}})
        listener.checkpoint(position)
    return time.perf_counter() - begin


def _settled_cpu() -> float:
    """Processor seconds of the trackers' threads, as soon as they have nothing to do."""
    before = -1.0
    while (now := sum(map(_cpu_of, threading.enumerate()))) > before:
        before = now
        time.sleep(_QUIET)
    return now


def _cpu_of(thread: threading.Thread) -> float:
    """Processor seconds of a thread; 0 if it is no tracker's."""
    if thread.name != Delivery.THREAD or thread.ident is None:
        return 0.0
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def tracking_table(rows: Sequence[Tracked], repetitions: int) -> Table:
    """One row per workload: a step with trackers and one without."""
    return table_of(
        f"A step without and with MLflow and TensorBoard, median of {repetitions}",
        rows,
        {
            "model": lambda row: row.workload.describe(),
            "steps": lambda row: str(row.steps),
            "plain ms": lambda row: f"{1e3 * row.plain_s:.2f}",
            "tracked ms": lambda row: f"{1e3 * row.tracked_s:.2f}",
            "overhead %": lambda row: f"{100 * row.overhead:+.2f}",
            "listeners ms": lambda row: f"{1e3 * row.listening_s:.3f}",
            "sending ms": lambda row: f"{1e3 * row.sending_s:.3f}",
            "of processor time %": lambda row: f"{100 * row.cpu_share:.2f}",
        },
    )

"""Hands the records of a training to a tracker, on a thread of its own.

A step only notes its time. The thread compares what is known with what the tracker has, and sends
what is missing. So a slow tracker slows no step, there is no queue that could grow (a few pictures
aside), and one that was away gets everything once it is there again.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

from polynya.progress import console
from training.model_folder.checkpoints import Position
from training.model_folder.training_log import EpochRecord, StepRecord
from training.tracking.sink import LARGEST_BATCH, Picture, Point, Sent, Sink, State, trouble_of

_PICTURES = 64
"""Pictures that wait at most; older ones are left out."""

_OF_RECORD = {
    "epoch/loss": "loss",
    "epoch/learning_rate": "learning_rate",
    "epoch/images_per_second": "images_per_second",
    "epoch/waiting_share": "waiting_share",
    "epoch/seconds": "seconds",
    "validation/loss": "val_loss",
    "validation/accuracy": "val_accuracy",
    "validation/mean_iou": "val_mean_iou",
    "validation/mean_f1": "val_mean_f1",
    "training/loss": "training_loss",
    "training/accuracy": "training_accuracy",
    "training/mean_iou": "training_mean_iou",
}
"""Curves over epochs by the field of the epoch's record."""


class Log:
    """What is known of a training; the thread of the training adds, that of the delivery reads.

    Args:
        position: Position at the start; its lists grow with the training.
    """

    def __init__(self, position: Position) -> None:
        self._steps: Sequence[StepRecord] = position.steps
        self._epochs: Sequence[EpochRecord] = position.history
        self._first = len(position.steps)
        self._began = now_ms()
        self._times = array("q")
        self._epoch_times: dict[int, int] = {}
        self._metrics: dict[int, dict[str, float]] = {}
        self.safe = Sent()
        """What can't be lost any more, and may be sent: a curve has no point twice."""

    def add_step(self) -> None:
        """Note the time of a step."""
        self._times.append(now_ms())

    def add_epoch(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Note time and scores of an epoch."""
        self._epoch_times[epoch] = now_ms()
        self._metrics[epoch] = flat_scores(metrics)

    def keep(self, position: Position) -> None:
        """Note that everything so far may be sent."""
        self.safe = Sent(len(position.steps), len(position.history))

    def missing(self, sent: Sent) -> Iterator[tuple[list[Point], Sent]]:
        """Yield what a tracker lacks, in pieces that it can take, each with what it has then."""
        safe = self.safe
        for first in range(sent.steps, safe.steps, LARGEST_BATCH):
            last = min(first + LARGEST_BATCH, safe.steps)
            points = [self._step_point(n) for n in range(first, last)]
            yield [point for point in points if math.isfinite(point.value)], Sent(last, sent.epochs)
        for number in range(sent.epochs, safe.epochs):
            yield self._epoch_points(number), Sent(max(safe.steps, sent.steps), number + 1)

    def _step_point(self, number: int) -> Point:
        own = number - self._first
        when = self._times[own] if 0 <= own < len(self._times) else self._began
        record = self._steps[number]
        return Point("step/loss", record.loss, record.step, when)

    def _epoch_points(self, number: int) -> list[Point]:
        record = self._epochs[number]
        values = {name: float(getattr(record, field)) for name, field in _OF_RECORD.items()}
        values |= self._metrics.get(record.epoch, {})
        when = self._epoch_times.get(record.epoch, self._began)
        return finite_points(values, record.epoch, when)


def flat_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Flatten the content of metrics.json: validation/mean_iou, validation/thin_ice/iou, ...

    Counts of the confusion matrix and means over images are left out.
    """
    found: dict[str, float] = {}
    for part in ("training", "validation"):
        scores = metrics.get(part, {})
        for name, value in scores.items():
            if isinstance(value, float):
                found[f"{part}/{name}"] = value
        for own, by_score in scores.get("classes", {}).items():
            found |= {f"{part}/{own}/{name}": float(value) for name, value in by_score.items()}
    # The loss of the steps is no score of the training tiles after the epoch.
    if len(metrics.get("training", {})) < 2:
        found.pop("training/loss", None)
    return found


def finite_points(values: Mapping[str, float], step: int, when: int) -> list[Point]:
    """Make points of values, without those that are undefined."""
    return [Point(n, v, step, when) for n, v in values.items() if math.isfinite(v)]


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Delivery:
    """A tracker's thread. It ends with the process, whatever it is doing.

    Args:
        sink: The tracker.
        log: What is known of the training.
    """

    THREAD = "tracking"
    """Name of the thread."""

    def __init__(self, sink: Sink, log: Log) -> None:
        self._sink = sink
        self._log = log
        self._sent: Sent | None = None
        self._pictures: deque[Picture] = deque(maxlen=_PICTURES)
        self._wake, self._over = Event(), Event()
        self._ending: tuple[State, Sequence[Point], Sequence[Path], Path | None] | None = None
        self._warned = False
        self._thread = Thread(target=self._work, name=self.THREAD, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Send what is missing, some time soon."""
        self._wake.set()

    def show(self, picture: Picture) -> None:
        """Send a picture with the next things that are sent."""
        self._pictures.append(picture)

    def end(
        self,
        state: State,
        seconds: float,
        points: Sequence[Point] = (),
        files: Sequence[Path] = (),
        model: Path | None = None,
    ) -> None:
        """Send what is missing, end the run, and wait for it.

        Args:
            state: How the training ended.
            seconds: Greatest time to wait; then a warning says that not everything has arrived.
            points: Points that the run ends with.
            files: Files that it ends with.
            model: Folder of a finished model; None without one.
        """
        self._ending = state, points, files, model
        self._wake.set()
        if not self._over.wait(seconds):
            rest = "the model's folder has all of it"
            if state != "finished":
                rest = "the rest follows if the training goes on"
            self._warn(f"has not taken everything within {seconds:g} s; {rest}")

    def _work(self) -> None:
        while not self._over.is_set():
            self._wake.wait()
            self._wake.clear()
            ending = self._ending
            try:
                self._deliver()
                if ending is not None:
                    state, points, files, model = ending
                    self._sink.write(points)
                    self._sink.attach(files)
                    if model is not None:
                        self._sink.take_model(model)
                    self._sink.close(state)
            except Exception as error:  # noqa: BLE001 - no error of a tracker may cost a training
                self._sent = None
                trouble = trouble_of(error)
                self._warn(
                    f"can't be used ({trouble}); the training goes on, and its folder gets"
                    " everything"
                )
            if ending is not None:
                self._over.set()

    def _deliver(self) -> None:
        if self._sent is None:
            self._sent = self._sink.open()
        for points, sent in self._log.missing(self._sent):
            self._sink.write(points, sent)
            self._sent = sent
        while self._pictures:
            self._sink.draw(self._pictures.popleft())

    def _warn(self, what: str) -> None:
        """Say once what is wrong."""
        if self._warned:
            return
        self._warned = True
        console.print(
            f"Warning: {self._sink.place} {what}.", style="yellow", markup=False, soft_wrap=True
        )

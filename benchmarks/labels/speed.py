"""How long labels of one scene take on one core."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from autolabel import label_image
from autolabel.labels import Method
from benchmarks.common.tables import write_markdown
from benchmarks.labels.methods import METHODS, PUBLISHED, THRESHOLDS, title
from benchmarks.labels.scenes import BenchScene
from polynya.progress import track
from polynya.report.tables import Table

COPY = "copy"
"""What a copy of the image is called among the methods."""


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process to one core and OpenCV to one thread, where the system allows it."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        # Linux only.
        if not hasattr(os, "sched_setaffinity"):
            yield
            return
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
    finally:
        cv2.setNumThreads(threads)


def measure_speed(scene: BenchScene, rounds: int) -> dict[str, float]:
    """Time each method, filter and thresholds together, and one copy of the image.

    Args:
        scene: What to label.
        rounds: How often; the best counts. Each round runs everything once, so that a machine
            that is busy for a while is busy for all. One round before them warms up.

    Returns:
        Seconds by method, and for `COPY`.
    """
    target = np.empty_like(scene.observed)

    def label_by(method: Method) -> Callable[[], object]:
        return lambda: label_image(scene.observed, method=method, valid=scene.valid)

    tasks: dict[str, Callable[[], object]] = {COPY: lambda: np.copyto(target, scene.observed)}
    tasks |= {method: label_by(method) for method in METHODS}
    with one_core():
        return best_times(tasks, rounds)


def best_times(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Shortest time of each task in seconds, of some rounds after one to warm up."""
    best = dict.fromkeys(tasks, float("inf"))
    for task in tasks.values():
        task()
    for _ in track(range(rounds), "Timing"):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def speed_table(times: Mapping[str, float]) -> Table:
    """Time in milliseconds, and how many times that of the published filter and of thresholds."""
    rows = [
        (
            "copy of the image" if name == COPY else title(name),
            f"{1000 * seconds:.2f}",
            f"{seconds / times[PUBLISHED]:.3f}",
            f"{seconds / times[THRESHOLDS]:.3f}",
        )
        for name, seconds in times.items()
    ]
    columns = ("what", "ms", "/ published", "/ thresholds")
    return Table("Time of filter and labels, one core", columns, tuple(rows))


def write_speed(times: Mapping[str, float], about: str, folder: Path, command: str) -> None:
    """Print the table and write `speed.csv` and `speed.md` into an existing folder."""
    table = speed_table(times)
    table.print()
    table.write_csv(folder / "speed.csv")
    write_markdown(folder / "speed.md", "Time of labels", about, command, [table])

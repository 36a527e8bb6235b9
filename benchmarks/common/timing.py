"""Times of calls, and ratios of times that were measured side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median

import cv2

from polynya.progress import track


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def times_in_turn(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each task in each round, after a warm-up round."""
    for task in tasks.values():
        task()
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in track(range(rounds), "Timing"):
        for name, task in tasks.items():
            times[name].append(timed(task)[0])
    return times


def median_ratio(above: Iterable[float], below: Iterable[float]) -> float:
    """Return the median of the ratios of pairs; a busy machine slows both parts of a pair."""
    return median(a / b for a, b in zip(above, below, strict=True))


@contextmanager
def one_core() -> Iterator[None]:
    """Limit this process to one core and OpenCV to one thread, if the system allows it."""
    threads = cv2.getNumThreads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None  # Linux only.
    cv2.setNumThreads(1)
    try:
        if cores is not None:
            os.sched_setaffinity(0, {max(cores)})
        yield
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        cv2.setNumThreads(threads)

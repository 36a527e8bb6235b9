"""Make and score scenes in worker processes, one scene at a time in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import cv2

from polynya.engines.engines import open_engine, worker_died
from polynya.errors import EngineError
from polynya.progress import progress


class Spec(Protocol):
    """Description of a scene to make; picklable."""

    @property
    def size(self) -> int:
        """Height and width in pixels."""


S = TypeVar("S", bound=Spec)
T = TypeVar("T")


def for_each_scene(
    task: Callable[[S], T],
    specs: Sequence[S],
    description: str,
    jobs: int | None = None,
) -> list[T]:
    """Run a task for each scene in worker processes, with OpenCV on one thread.

    Args:
        task: A function at the top of a module.
        specs: Scenes; the largest start first.
        description: Text of the progress bar.
        jobs: Number of processes; None for the number of cores.

    Returns:
        Results of the task, in the order of `specs`.
    """
    if not specs:
        return []
    order = sorted(range(len(specs)), key=lambda i: -specs[i].size)
    with progress(description, len(specs)) as advance, open_engine("processes", jobs) as engine:
        found = engine.run(partial(_on_one_thread, task), [specs[i] for i in order], advance)
    results: list[Any] = [None] * len(specs)
    for i, done in zip(order, found, strict=True):
        if done is None:
            raise EngineError(worker_died(f"{description}: {specs[i]}"))
        (results[i],) = done
    return results


def _on_one_thread(task: Callable[[S], T], spec: S) -> tuple[T]:
    """Run a task with one thread; return the result in a tuple, because it may be None."""
    cv2.setNumThreads(1)  # Many processes share the cores.
    return (task(spec),)

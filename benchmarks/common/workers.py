"""Scenes are made and scored in worker processes, one scene at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Protocol, TypeVar

import cv2

from polynya.progress import track


class Spec(Protocol):
    """What says how a scene is made; picklable."""

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
        specs: Scenes; the largest are begun first.
        description: What progress says.
        jobs: Number of processes; None for the number of cores.

    Returns:
        What the task returned, in the order of `specs`.
    """
    if not specs:
        return []
    count = min(jobs or os.cpu_count() or 1, len(specs))
    by_size = sorted(range(len(specs)), key=lambda i: -specs[i].size)
    # A fresh interpreter per worker: a forked one may inherit locks that are held.
    pool = ProcessPoolExecutor(
        count, mp_context=get_context("forkserver"), initializer=use_one_thread
    )
    try:
        futures = {pool.submit(task, specs[i]): i for i in by_size}
        done = {
            futures[future]: future.result()
            for future in track(as_completed(futures), description, total=len(futures))
        }
    finally:
        pool.shutdown(cancel_futures=True)
    return [done[i] for i in range(len(specs))]


def use_one_thread() -> None:
    """Keep OpenCV to one thread, as many processes share the cores."""
    cv2.setNumThreads(1)

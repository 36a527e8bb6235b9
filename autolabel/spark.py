"""The Spark engine: tasks over executors; Spark ships numbers, no pixel passes through the JVM."""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from polynya.errors import MissingDependencyError
from polynya.progress import Advance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

_RESULT_SCHEMA = "number bigint, result binary"
_ARROW_SCHEMA = pa.schema([("number", pa.int64()), ("result", pa.binary())])
_SECONDS_BETWEEN_POLLS = 0.5


@contextmanager
def spark_engine(workers: int | None = None) -> Iterator[SparkEngine]:
    """A Spark application that ends after use.

    Args:
        workers: Cores of this machine, where spark-submit names no master; default all.

    Raises:
        MissingDependencyError: PySpark is not installed.
    """
    spark = _session(workers)
    try:
        yield SparkEngine(spark)
    finally:
        spark.stop()


class SparkEngine:
    """Runs tasks as one Spark job, one Spark task an item (`autolabel.engines.Engine`)."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def run(self, task: Callable[[T], R], items: Sequence[T], advance: Advance) -> list[R | None]:
        from py4j.protocol import Py4JJavaError

        results: list[R | None] = [None] * len(items)
        if not items:
            return results
        job = self._job(task, list(items))
        with ThreadPoolExecutor(1) as pool:
            rows = pool.submit(job.collect)
            self._follow(rows, advance, len(items))
            # A worker that dies of its item takes the job with it after Spark's retries.
            if isinstance(rows.exception(), Py4JJavaError):
                return results
            for row in rows.result():
                results[row.number] = pickle.loads(row.result)  # noqa: S301
        return results

    def _job(self, task: Callable[[T], R], items: list[T]) -> Any:
        def run_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    result = pickle.dumps(task(items[number]))
                    yield pa.RecordBatch.from_pylist(
                        [{"number": number, "result": result}], _ARROW_SCHEMA
                    )

        numbers = self._spark.range(0, len(items), 1, numPartitions=len(items))
        return numbers.mapInArrow(run_batches, _RESULT_SCHEMA)

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
        from pyspark import SparkConf
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingDependencyError(
            "PySpark is not installed; install it with: pip install 'polynya[spark]'"
        ) from None
    builder = SparkSession.builder.appName("polynya label")
    master = SparkConf().get("spark.master")
    if master is None:
        master = f"local[{workers or '*'}]"
        builder = builder.master(master)
    # A local master's workers must be this Python, whatever 'python3' is on the path. On a cluster
    # the environment travels with the job and says itself which Python it brings.
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return builder.getOrCreate()

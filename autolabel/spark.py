"""The Spark engine: tasks of scenes over executors, manifest rows back as Arrow batches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from autolabel.run import Advance, Engine, Task
from polynya.errors import MissingDependencyError
from polynya.scenes import SceneRef
from polynya.shards import SceneResult

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TYPES = {
    "int": ("bigint", pa.int64()),
    "int | None": ("bigint", pa.int64()),
    "str": ("string", pa.string()),
}
_COLUMNS = [(field.name, *_TYPES[str(field.type)]) for field in fields(SceneResult)]
_RESULT_SCHEMA = ", ".join(f"{name} {spark_type}" for name, spark_type, _ in _COLUMNS)
_ARROW_SCHEMA = pa.schema([(name, arrow_type) for name, _, arrow_type in _COLUMNS])
_SECONDS_BETWEEN_POLLS = 0.5


def spark_engine(partitions: int | None = None) -> Engine:
    """Engine that runs one Spark job over all scenes.

    Args:
        partitions: Number of Spark tasks; default one a scene.

    Raises:
        MissingDependencyError: PySpark is not installed.
    """

    def run(refs: Sequence[SceneRef], task: Task, advance: Advance) -> list[SceneResult]:
        spark = _session()
        try:
            return _run_job(spark, refs, task, advance, partitions or len(refs))
        finally:
            spark.stop()

    return run


def _session() -> SparkSession:
    try:
        from pyspark import SparkConf
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingDependencyError(
            "PySpark is not installed; install it with: pip install 'polynya[spark]'"
        ) from None
    builder = SparkSession.builder.appName("polynya label")
    # A local master's workers must be this Python, whatever 'python3' is on the path. On a cluster
    # the environment travels with the job and says itself which Python it brings.
    if str(SparkConf().get("spark.master", "local")).startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return builder.getOrCreate()


def _run_job(
    spark: SparkSession, refs: Sequence[SceneRef], task: Task, advance: Advance, partitions: int
) -> list[SceneResult]:
    listed = list(refs)

    def label_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                # With the schema, because a column of None alone would have no type.
                yield pa.RecordBatch.from_pylist([asdict(task(listed[index]))], _ARROW_SCHEMA)

    numbers = spark.range(0, len(listed), 1, numPartitions=min(partitions, len(listed)))
    results = numbers.mapInArrow(label_batches, _RESULT_SCHEMA)
    with ThreadPoolExecutor(1) as pool:
        rows = pool.submit(results.collect)
        _follow(spark, rows, advance, len(listed))
        return [SceneResult(**row.asDict()) for row in rows.result()]


def _follow(spark: SparkSession, job: Future[Any], advance: Advance, scenes: int) -> None:
    """Report progress while the job runs; Spark counts finished tasks, not scenes."""
    tracker = spark.sparkContext.statusTracker()
    shown = 0
    while not job.done():
        time.sleep(_SECONDS_BETWEEN_POLLS)
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        for stage in filter(None, stages):
            done = stage.numCompletedTasks * scenes // stage.numTasks
            advance(max(0, done - shown))
            shown = max(shown, done)
    advance(scenes - shown)

"""Measure how many tasks per second the driver of the Spark engine sends; the tasks do nothing.

spark-submit benchmarks/labelling/jobs/dispatch_job.py TASKS FILE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from polynya.engines.engines import open_engine


def nothing(item: int) -> None:
    """A task that does nothing."""


def main(tasks: int, file: Path) -> None:
    """Write the seconds per task, including the worker's share."""
    with open_engine("spark") as engine:
        for _ in range(2):  # In the first round, workers start and Java compiles.
            start = time.perf_counter()
            engine.run(nothing, list(range(tasks)), lambda n: None)
            seconds = time.perf_counter() - start
    file.write_text(json.dumps(seconds / tasks), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

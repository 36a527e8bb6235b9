"""How many tasks a second the driver of the Spark engine sends: tasks that do nothing.

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
    """Write the seconds of a task, its worker's share included."""
    with open_engine("spark") as engine:
        for _ in range(2):  # The first time workers start and Java is cold.
            start = time.perf_counter()
            engine.run(nothing, list(range(tasks)), lambda n: None)
            seconds = time.perf_counter() - start
    file.write_text(json.dumps(seconds / tasks), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

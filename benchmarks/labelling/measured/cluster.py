"""A standalone Spark cluster on this machine, for as long as one command runs.

    python -m benchmarks.labelling.measured.cluster --executors N --cores N -- spark-submit ...

This program inserts `--master` after `spark-submit`. Master and workers are Spark's own programs
(https://spark.apache.org/docs/latest/spark-standalone.html), bound to 127.0.0.1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer

from polynya.cli import run_script
from polynya.errors import PolynyaError

_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
_SECONDS_TO_START = 120.0
_MEMORY = "1g"
"""Memory of an executor's Java; labelling happens outside Java, in Python."""


class ClusterError(PolynyaError):
    """The cluster doesn't start."""


@contextmanager
def standalone_cluster(executors: int, cores: int) -> Iterator[str]:
    """Start a master and workers with room for one executor each, and end them after use.

    Yields the master's URL. Raises ClusterError if not all workers register within two minutes.
    """
    port, page = _free_port(), _free_port()
    url = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())

        def start(*words: str) -> None:
            log = stack.enter_context(open(Path(folder) / f"{len(words)}.log", "ab"))
            process = subprocess.Popen(["spark-class", *words], stdout=log, stderr=log)
            stack.callback(_end, process)

        place = ("--host", "127.0.0.1")
        start(_MASTER, *place, "--port", str(port), "--webui-port", str(page))
        size = ("--cores", str(cores), "--memory", _MEMORY, "--work-dir", folder)
        for _ in range(executors):
            start(_WORKER, *place, *size, "--webui-port", str(_free_port()), url)
        _wait_for_workers(page, executors)
        yield url


def _wait_for_workers(page: int, executors: int) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until:
        try:
            with urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
                if json.load(answer)["aliveworkers"] >= executors:
                    return
        except (URLError, ConnectionError, TimeoutError, ValueError):
            pass  # The master doesn't listen yet, or its pages are not ready (an empty answer).
        time.sleep(0.2)
    raise ClusterError(
        f"{executors} Spark workers didn't start in {_SECONDS_TO_START:.0f} s; use fewer, or check"
        " whether 'spark-class' works."
    )


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def run_on_cluster(
    command: list[str],
    executors: Annotated[int, typer.Option(min=1, help="Workers, one executor each.")] = 1,
    cores: Annotated[int, typer.Option(min=1, help="Cores of each worker.")] = 1,
) -> None:
    """Run a spark-submit command on a cluster of this machine."""
    program, *arguments = command
    with standalone_cluster(executors, cores) as url:
        settings = ["--master", url, "--executor-memory", _MEMORY, "--executor-cores", str(cores)]
        sys.exit(subprocess.run([program, *settings, *arguments]).returncode)


if __name__ == "__main__":
    run_script(run_on_cluster)

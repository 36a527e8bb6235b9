"""A standalone Spark cluster of real processes, started by the script that users have."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from helpers.programs.launch import launch

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
SECONDS = 300.0


@dataclass(frozen=True)
class Cluster:
    """A running master with workers; commands for it."""

    url: str
    environment: dict[str, str]
    state: Path

    def control(self, verb: str) -> None:
        script = str(ROOT / "deploy" / "standalone" / "cluster.sh")
        done = launch([script, verb], cwd=self.state, env=self.environment, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr

    def worker(self, number: int) -> psutil.Process:
        """The Java process of a worker, which cluster.sh started."""
        return psutil.Process(int((self.state / f"worker-{number}.pid").read_text()))

    def executors(self) -> list[psutil.Process]:
        """Java processes of executors, which the workers started."""
        found = []
        for number in (1, 2):
            for child in self.worker(number).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline()):
                        found.append(child)
        return found

    def command(self, job: str, *arguments: str) -> list[str]:
        """spark-submit with a job of the clone, such as autolabel/job.py."""
        settings = {
            "spark.log.level": "WARN",
            "spark.ui.enabled": "false",
            "spark.executor.memory": "512m",
            "spark.driver.memory": "512m",
        }
        options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        return ["spark-submit", "--master", self.url, *options, str(ROOT / job), *arguments]

    def run(self, cwd: Path, job: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(job, *arguments)
        return launch(command, cwd=cwd, env=self.environment, timeout=SECONDS)

    def start(self, cwd: Path, job: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(job, *arguments),
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)

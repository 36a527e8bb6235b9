"""MLflow's own server on 127.0.0.1; it lives in an environment of its own, beside other caches."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import free_port

from build_horovod import cache_folder
from helpers.programs.spark_cluster import BIN, ROOT

REQUIREMENTS = ROOT / "requirements/mlflow.txt"
_SECONDS = 300.0


def mlflow_python() -> Path:
    """Python of the environment, which is made if there is none; skips the test if it can't be."""
    state = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache_folder().parent / f"mlflow-{state[:16]}"
    if folder.is_dir():
        return folder / "bin/python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="mlflow-", suffix=".partial", dir=folder.parent))
    uv = str(BIN / "uv")
    python = partial / "env/bin/python"
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(python)]
    try:
        for command in (
            [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, partial / "env"],
            [*install, "-r", str(REQUIREMENTS)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            if done.returncode:
                pytest.skip(f"MLflow's server can't be installed: {done.stderr.strip()[-200:]}")
        if not folder.is_dir():
            (partial / "env").replace(folder)
    except subprocess.TimeoutExpired:
        pytest.skip(f"MLflow's server isn't installed within {_SECONDS:g} s")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "bin/python"


@dataclass(frozen=True)
class MlflowServer:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it as a power cut would, with the processes that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Start a server that keeps everything in a folder, and end it with the block."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    words = [mlflow_python(), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MLFLOW"))}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    quiet["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # Ten processes that no test needs.
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=kept | quiet, stdout=log, stderr=log, start_new_session=True
        )
    server = MlflowServer(url, process)
    try:
        _wait(server, folder / "server.log")
        yield server
    finally:
        server.kill()


def _wait(server: MlflowServer, log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/health", timeout=10).close()
            return
        except (OSError, urllib.error.URLError):
            assert server.process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)

"""Ranks under a launcher, kept alive between measurements; all but the measured ranks sleep."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.common.commands import ROOT, environment
from benchmarks.training.ranks.workload import Loaded, Ran, Workload
from polynya.errors import PolynyaError

_SECONDS_TO_START = 300.0
_SECONDS_TO_END = 20.0
_LETTERS_TOLD = 2000
_SETTINGS = {"OMP_NUM_THREADS": "1", "HOROVOD_GLOO_TIMEOUT_SECONDS": "600"}

LAUNCHERS: dict[str, tuple[str, ...]] = {
    "alone": (),
    "gloo": ("horovodrun", "--gloo"),
    "mpi": ("mpirun", "--oversubscribe", "--bind-to", "none"),
}
"""Launchers by name; ranks pin themselves to cores, so Open MPI must not."""


class JobFailedError(PolynyaError):
    """Ranks don't start, or end too early."""


@dataclass(frozen=True)
class Measured:
    """One measurement of a job."""

    ranks: int
    steps: int
    images: int
    """Images of all ranks."""
    seconds: float
    """Wall time of the slowest rank."""
    cpu_s: float
    """Processor seconds of all ranks."""
    waiting_s: float
    """Seconds of waiting, mean over the ranks."""
    sent: tuple[int, ...]
    """Bytes that each rank sent over TCP."""

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    @property
    def cpu_per_image(self) -> float:
        """Processor seconds per image."""
        return self.cpu_s / self.images

    @property
    def waiting_share(self) -> float:
        """Share of the time in which ranks waited in allreduce."""
        return self.waiting_s / self.seconds


class Job:
    """Ranks that were started together."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._ranks: dict[int, Connection] = {}
        self._pids: list[int] = []

    def join(self, server: socket.socket, ranks: int) -> None:
        """Wait for the ranks to report."""
        until = time.monotonic() + _SECONDS_TO_START
        while len(self._ranks) < ranks:
            try:
                peer, _ = server.accept()
            except TimeoutError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise JobFailedError(self._why("The ranks didn't start")) from None
                continue
            connection = Connection(peer.detach())
            rank, pid = connection.recv()
            self._ranks[rank] = connection
            self._pids.append(pid)

    def _why(self, what: str) -> str:
        last = self._log.read_text(encoding="utf-8", errors="replace")[-_LETTERS_TOLD:]
        return f"{what}; fix what they say:\n{last}"

    def tell(self, order: Workload | int) -> None:
        """Tell every rank to load a workload, or to run one step and then a number of steps."""
        try:
            for connection in self._ranks.values():
                connection.send(order)
        except OSError:
            raise JobFailedError(self._why("A rank ended")) from None

    def answers(self) -> list[Any]:
        """Wait for the answers of the ranks; return them in the order of ranks."""
        try:
            return [self._ranks[rank].recv() for rank in sorted(self._ranks)]
        except (EOFError, OSError):
            raise JobFailedError(self._why("A rank ended")) from None

    def load(self, workload: Workload) -> Loaded:
        """Make a model on every rank; return the answer of rank 0."""
        with _awake([self]):
            self.tell(workload)
            loaded: Loaded = self.answers()[0]
        return loaded

    def signal(self, number: int) -> None:
        """Send a signal to the ranks."""
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """Let the ranks end; kill the launcher and ranks that don't end in time."""
        self.signal(signal.SIGCONT)
        with suppress(OSError):
            for connection in self._ranks.values():
                connection.send(None)
        if self._ended(_SECONDS_TO_END if self._ranks else 0.0):
            return
        # Ranks may have their own sessions, but a launcher ends its ranks when it gets a signal.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        if not self._ended(_SECONDS_TO_END):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.signal(signal.SIGKILL)

    def _ended(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None


@contextmanager
def _awake(jobs: Sequence[Job]) -> Iterator[None]:
    """Let these ranks run. Others stay stopped, because idle ranks of Horovod exchange messages."""
    for job in jobs:
        job.signal(signal.SIGCONT)
    yield
    for job in jobs:
        job.signal(signal.SIGSTOP)


def measure(jobs: Sequence[Job], steps: int) -> Measured:
    """Train a number of steps on all ranks of these jobs at the same time."""
    with _awake(jobs):
        for job in jobs:
            job.tell(steps)
        ran: list[Ran] = [answer for job in jobs for answer in job.answers()]
    return Measured(
        ranks=len(ran),
        steps=steps,
        images=sum(one.images for one in ran),
        seconds=max(one.seconds for one in ran),
        cpu_s=sum(one.cpu_s for one in ran),
        waiting_s=sum(one.waiting_s for one in ran) / len(ran),
        sent=tuple(one.sent for one in ran),
    )


@contextmanager
def start_job(launcher: str, cores: Sequence[int], **settings: str) -> Iterator[Job]:
    """Start one sleeping rank per core, and end the ranks after use.

    The launcher is a key of `LAUNCHERS`; settings are environment variables. JobFailedError if the
    ranks don't start within five minutes.
    """
    ranks = len(cores)
    start = LAUNCHERS[launcher]
    words = [*start, "-np", str(ranks)] if start else []
    with tempfile.TemporaryDirectory(prefix="polynya-") as folder:
        address, log = f"{folder}/ranks", Path(folder) / "output.txt"
        module = "benchmarks.training.ranks.rank"
        program = [sys.executable, "-m", module, address, *map(str, cores)]
        with socket.socket(socket.AF_UNIX) as server, open(log, "wb") as output:
            server.bind(address)
            server.listen(ranks)
            server.settimeout(1.0)
            process = subprocess.Popen(
                [*words, *program],
                cwd=ROOT,
                env=environment() | _SETTINGS | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            job = Job(process, log)
            try:
                job.join(server, ranks)
                job.signal(signal.SIGSTOP)
                yield job
            finally:
                job.end()

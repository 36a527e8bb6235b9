"""Measure a command with everything that it starts: time, processor time, memory.

    python -m benchmarks.common.meter REPORT.json [--watch FOLDER] -- COMMAND...

The meter is a separate process that adopts orphans of the command (`PR_SET_CHILD_SUBREAPER`) and
waits for all of them. So it can take processor time from the kernel's account of finished children
(`getrusage`, RUSAGE_CHILDREN), which misses no process, even a short one. There is one exception:
children of a process that ignores SIGCHLD. PySpark's daemon ignores it, and its workers do the
labelling. The kernel doesn't count such children (getrusage(2), Notes), so the meter takes their
time from the last sample of /proc. Samples also give the processor time of each kind of process,
and peak memory. Linux only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

SECONDS_BETWEEN_SAMPLES = 0.1
"""Time between samples; a process may use this much processor time after its last sample."""
_SECONDS_TO_END = 30.0
"""How long to wait for orphans after the command's end, before they are killed."""
_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2), from linux/prctl.h."""
_PROC = Path("/proc")
_SHARDS = "[!.]*.parquet"
"""Finished shards; files that begin with a dot are incomplete."""
_TICKS = os.sysconf("SC_CLK_TCK")
_WORKER_MARKS = ("pyspark.daemon", "pyspark/daemon", "forkserver")
"""Parts of the command lines of workers of Spark and of the engine "processes"."""


@dataclass
class Cost:
    """Time and memory of a command."""

    started: float = 0.0
    """Seconds since 1970."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor seconds of all processes, user and system."""
    cpu_by_kind: dict[str, float] = field(default_factory=dict)
    """Processor seconds from samples, by kind: 'java', 'worker', 'python' (all other Python),
    'other'."""
    peak_by_kind: dict[str, int] = field(default_factory=dict)
    """Peak of resident memory (VmHWM) of the largest process of each kind, in bytes."""
    peak_together: int = 0
    """Peak of the resident memory of all processes together, in bytes, from samples. Pages that
    several share count for each of them, so it is rather more than what they need."""
    first_file_s: float | None = None
    """Seconds until the watched folder held a shard; None if it never did."""
    exit_code: int = 0


@dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    pid: int
    parent: int
    kind: str
    cpu_s: float
    """Processor seconds of the process and of its finished children, which samples may miss."""
    own_cpu_s: float
    peak: int
    """Peak of resident memory, in bytes."""
    resident: int
    """Resident memory now, in bytes."""
    ignores_children: bool
    """Whether the process ignores SIGCHLD."""


def measure(command: list[str], watched: Path | None = None) -> Cost:
    """Run a command and wait for everything that it started; call this only once per process.

    The meter waits for the first file `*.parquet` in the watched folder.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    cost = Cost(started=time.time())
    last = dict[int, Sample]()
    uncounted = set[int]()
    start = time.monotonic()
    pid = subprocess.Popen(command).pid

    def look() -> None:
        now = {sample.pid: sample for sample in descendants(os.getpid())}
        for pid, sample in now.items():
            # A process that has ended but wasn't waited for has no command line and memory now.
            before = last.get(pid, sample)
            last[pid] = (
                sample if sample.peak else replace(sample, kind=before.kind, peak=before.peak)
            )
        together = sum(sample.resident for sample in now.values())
        cost.peak_together = max(cost.peak_together, together)
        parents = {pid: now.get(sample.parent) for pid, sample in now.items()}
        uncounted.update(pid for pid, p in parents.items() if p is not None and p.ignores_children)
        if watched is not None and cost.first_file_s is None and any(watched.glob(_SHARDS)):
            cost.first_file_s = time.monotonic() - start

    try:
        cost.exit_code = _wait(pid, look, uncounted)
        cost.wall_s = time.monotonic() - start
    finally:
        _end_what_is_left(look, uncounted)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost.cpu_s = used.ru_utime + used.ru_stime + sum(last[pid].cpu_s for pid in uncounted)
    for sample in last.values():
        cost.cpu_by_kind[sample.kind] = cost.cpu_by_kind.get(sample.kind, 0.0) + sample.own_cpu_s
        cost.peak_by_kind[sample.kind] = max(cost.peak_by_kind.get(sample.kind, 0), sample.peak)
    return cost


def _wait(pid: int, look: Callable[[], None], uncounted: set[int]) -> int:
    """Take samples until a child ends; return its exit code.

    Orphans that end in the meantime are also waited for. The kernel counts every process that is
    waited for here, so the process is removed from `uncounted`.
    """
    while True:
        look()
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            uncounted.discard(found[0])
            if found[0] == pid:
                return os.waitstatus_to_exitcode(found[1])
        time.sleep(SECONDS_BETWEEN_SAMPLES)


def _end_what_is_left(look: Callable[[], None], uncounted: set[int]) -> None:
    until = time.monotonic() + _SECONDS_TO_END
    while True:
        try:
            ended = os.waitpid(-1, os.WNOHANG)[0]
        except ChildProcessError:
            return
        uncounted.discard(ended)
        if ended:
            continue
        look()
        if time.monotonic() > until:
            for sample in descendants(os.getpid()):
                os.kill(sample.pid, signal.SIGKILL)
        time.sleep(SECONDS_BETWEEN_SAMPLES)


def descendants(root: int) -> list[Sample]:
    """Return running processes that a process has started, directly or indirectly."""
    children: dict[int, list[Sample]] = {}
    for sample in _processes():
        children.setdefault(sample.parent, []).append(sample)
    found: list[Sample] = []
    waiting = list(children.get(root, []))
    while waiting:
        sample = waiting.pop()
        found.append(sample)
        waiting += children.get(sample.pid, [])
    return found


def _processes() -> Iterator[Sample]:
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            status = (folder / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:  # It has ended.
            continue
        # The name is in brackets; it may itself contain brackets and blanks.
        name, _, rest = stat.partition("(")[2].rpartition(")")
        words = rest.split()
        ticks = [int(word) for word in words[11:15]]
        told = dict(line.split(":", 1) for line in status.splitlines())
        yield Sample(
            pid=int(folder.name),
            parent=int(words[1]),
            kind=kind_of(name, command),
            cpu_s=sum(ticks) / _TICKS,
            own_cpu_s=sum(ticks[:2]) / _TICKS,
            peak=int(told.get("VmHWM", "0").split()[0]) * 1024,
            resident=int(told.get("VmRSS", "0").split()[0]) * 1024,
            ignores_children=bool(int(told["SigIgn"], 16) >> (signal.SIGCHLD - 1) & 1),
        )


def kind_of(name: str, command: str) -> str:
    """Return the kind of a process by its name and command line (separated by NUL or blanks)."""
    if name == "java":
        return "java"
    if not name.startswith(("python", "pt_main")):
        return "other"
    return "worker" if any(mark in command for mark in _WORKER_MARKS) else "python"


def main(arguments: list[str]) -> int:
    """Measure a command and write the report; return the command's exit code."""
    cut = arguments.index("--")
    report, *options = arguments[:cut]
    watched = Path(options[1]) if options else None
    cost = measure(arguments[cut + 1 :], watched)
    Path(report).write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return cost.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

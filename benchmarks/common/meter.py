"""What a command costs, with everything that it starts: time, processor time, memory.

    python -m benchmarks.common.meter REPORT.json [--watch FOLDER] -- COMMAND...

A process of its own, so that it adopts what the command leaves behind (`PR_SET_CHILD_SUBREAPER`)
and can wait for all of it: processor time then comes from the kernel's own account of processes
that were waited for (`getrusage`, RUSAGE_CHILDREN) and misses none, however short it lived. The
exception are children of a process that ignores SIGCHLD, as PySpark's daemon does, whose workers do
the labelling: the kernel counts them nowhere (getrusage(2), Notes), so their time is the last
sample of /proc. Samples also tell what kinds of processes used it, and their peak memory. Linux
only.
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
"""A process that ends has up to so much processor time that no sample saw."""
_SECONDS_TO_END = 30.0
"""For what is left when the command has ended; then it is killed."""
_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2), from linux/prctl.h."""
_PROC = Path("/proc")
_SHARDS = "[!.]*.parquet"
"""Files that begin with a dot are not whole yet."""
_TICKS = os.sysconf("SC_CLK_TCK")
_WORKER_MARKS = ("pyspark.daemon", "pyspark/daemon", "forkserver")
"""In the command lines of processes that label for Spark and for the engine "processes"."""


@dataclass
class Cost:
    """What a command took."""

    started: float = 0.0
    """Seconds since 1970."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor seconds of all processes, user and system."""
    cpu_by_kind: dict[str, float] = field(default_factory=dict)
    """Of it, as sampled: 'java', 'worker' and 'python' (all other Python), 'other'."""
    peak_by_kind: dict[str, int] = field(default_factory=dict)
    """Greatest peak of resident memory (VmHWM) of any one process, in bytes."""
    first_file_s: float | None = None
    """Until the watched folder held a shard; None if it never did."""
    exit_code: int = 0


@dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    pid: int
    parent: int
    kind: str
    cpu_s: float
    """Own, and of its children that were waited for and of which there may be no sample."""
    own_cpu_s: float
    peak: int
    """Bytes."""
    ignores_children: bool
    """SIGCHLD is ignored."""


def measure(command: list[str], watched: Path | None = None) -> Cost:
    """Run a command and wait for everything that it started; call it once a process.

    In the folder that is watched the first file `*.parquet` is looked for.
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
            # One that has ended but wasn't waited for has lost its command line and memory.
            before = last.get(pid, sample)
            last[pid] = (
                sample if sample.peak else replace(sample, kind=before.kind, peak=before.peak)
            )
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
    """Sample until a child ends; its exit code. Orphans that end meanwhile are waited for too.

    What is waited for here is counted by the kernel, and leaves the `uncounted`.
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
    """Processes that a process has started, directly or not, and that haven't ended."""
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
        # The name stands in brackets and may hold anything, also brackets and blanks.
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
            ignores_children=bool(int(told["SigIgn"], 16) >> (signal.SIGCHLD - 1) & 1),
        )


def kind_of(name: str, command: str) -> str:
    """Kind of a process by its name and command line (parts separated by NUL or blanks)."""
    if name == "java":
        return "java"
    if not name.startswith(("python", "pt_main")):
        return "other"
    return "worker" if any(mark in command for mark in _WORKER_MARKS) else "python"


def main(arguments: list[str]) -> int:
    """Measure the command of the arguments and write the report; the command's exit code."""
    cut = arguments.index("--")
    report, *options = arguments[:cut]
    watched = Path(options[1]) if options else None
    cost = measure(arguments[cut + 1 :], watched)
    Path(report).write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return cost.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

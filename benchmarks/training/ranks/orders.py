"""What the benchmark and its ranks say to each other; picklable."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.training.ranks.workload import Workload


@dataclass(frozen=True)
class Hello:
    """Who a rank is."""

    rank: int
    pid: int


@dataclass(frozen=True)
class Load:
    """Make this model."""

    workload: Workload


@dataclass(frozen=True)
class Loaded:
    """What was made."""

    gradient_bytes: int
    step_s: float
    """Of the last step of the warm-up."""


@dataclass(frozen=True)
class Run:
    """Train so many steps, after one that isn't measured."""

    steps: int


@dataclass(frozen=True)
class Ran:
    """What one rank measured."""

    images: int
    """Of this rank."""
    seconds: float
    cpu_s: float
    """Processor seconds of this rank, all threads."""
    waiting_s: float
    """In which the step had nothing to do but to wait for an allreduce."""
    sent: int
    """Bytes over TCP."""

"""Progress display: a bar on a terminal, lines in a log. It uses stderr; results go to stdout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

# A command that a notebook starts has its own terminal, and the notebook would keep every state of
# a progress bar. Jupyter's kernels set this variable.
_IN_NOTEBOOK = "JPY_PARENT_PID" in os.environ

console = Console(stderr=True, highlight=False, force_terminal=False if _IN_NOTEBOOK else None)
"""Console on stderr for progress and messages; stdout stays free for results."""

_WIDEST_TABLE = 1000
"""Width in characters of a table in a file or a pipe, where no text must be cut."""

_LARGE = 16_000_000
"""Least pixels of a scene for which steps are shown; steps of smaller scenes take no seconds."""

Advance = Callable[[int], None]


@contextmanager
def progress(
    description: str, total: int | None, enabled: bool = True, every: float = 10.0
) -> Iterator[Advance]:
    """Show the progress of some work.

    Args:
        description: A few words about the work.
        total: Number of items; None if unknown.
        enabled: False shows nothing (for ranks other than 0).
        every: Seconds between two lines if there is no terminal for a bar.

    Yields:
        A function to call with the number of newly finished items.
    """
    if not enabled:
        yield lambda n: None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(description, total=total)
            yield lambda n: bar.advance(task, n)
    else:
        yield from _lines(description, total, every)


def _lines(description: str, total: int | None, every: float) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0
    of_total = "" if total is None else f"/{total}"

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if done and now - last >= every:
            left = ""
            if total is not None:
                left = f", about {(now - start) / done * (total - done):.0f} s left"
            console.print(f"{description}: {done}{of_total}{left}")
            last = now

    yield advance
    console.print(f"{description}: {done}{of_total} in {time.monotonic() - start:.1f} s")


def track(
    items: Iterable[T],
    description: str,
    total: int | None = None,
    enabled: bool = True,
    every: float = 10.0,
) -> Iterator[T]:
    """Yield the items and show how many are done; see `progress` for the arguments."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(description, total, enabled, every) as advance:
        for item in items:
            yield item
            advance(1)


def is_large(pixels: int) -> bool:
    """Whether a scene is so large that each of its steps is shown."""
    return pixels >= _LARGE


@contextmanager
def step(description: str, pixels: int) -> Iterator[None]:
    """Show that a step on a large scene is running, and how long it took.

    Args:
        description: A few words about the step.
        pixels: Number of pixels of the scene.
    """
    with progress(description, 1, enabled=is_large(pixels)) as advance:
        yield
        advance(1)


def print_table(table: Any) -> None:
    """Print a `rich` table to stdout: as wide as the terminal, or uncut in a file or a pipe."""
    width = None if sys.stdout.isatty() else _WIDEST_TABLE
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(table)

"""The next items while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Make each item in another thread while the one before is used.

    What makes items and what uses them run side by side as far as they wait for files or compute
    outside of Python. At most one item waits. Errors of the items appear where the item would.

    Args:
        items: Gone through in one thread, in order.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, source, _END)
            yield item  # type: ignore[misc]


def map_ahead(function: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """Results of a function, in the order of the items; others are made while one is used.

    Args:
        function: Called in other threads.
        items: Gone through in this thread, no further than is needed.
        at_once: Calls that run side by side, and most results that wait.
    """
    coming: deque[Future[R]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        for item in items:
            done = [coming.popleft().result()] if len(coming) == at_once else []
            coming.append(pool.submit(function, item))
            yield from done
        while coming:
            yield coming.popleft().result()

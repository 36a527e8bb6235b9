"""The same for many items at once, in threads: most of the time goes by waiting for servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def each(work: Callable[[S], T], items: Iterable[S], at_once: int) -> Iterator[T]:
    """What `work` makes of each item, in their order.

    A run that is stopped doesn't wait for those that are in work.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

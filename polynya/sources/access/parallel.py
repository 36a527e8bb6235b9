"""Parallel work on many items in threads, because most of the time is waiting for servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def each(work: Callable[[S], T], items: Iterable[S], at_once: int) -> Iterator[T]:
    """Yield the result of `work` for each item, in the order of items.

    A stopped run doesn't wait for unfinished items.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

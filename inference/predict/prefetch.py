"""Prepares the next item while the current one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Make each item in another thread while the caller uses the previous item.

    Both run in parallel while they wait for files or compute outside of Python. At most one
    finished item waits. If making an item raises an error, the caller gets the error in its place.

    Args:
        items: Items; one thread iterates over them in order.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, source, _END)
            yield item  # type: ignore[misc]

"""What people see of the steps after a prediction, which take long for large scenes only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from polynya.progress import progress

_LARGE = 16_000_000
"""Pixels from which on a step takes seconds; with fewer, its line would only be noise."""


def is_large(pixels: int) -> bool:
    """Whether the steps of a scene of this size are shown one by one."""
    return pixels >= _LARGE


@contextmanager
def step(description: str, pixels: int) -> Iterator[None]:
    """Show that something is being done to a large scene, and how long it took.

    Args:
        description: A few words.
        pixels: Of the scene.
    """
    with progress(description, 1, enabled=is_large(pixels)) as advance:
        yield
        advance(1)

"""The methods that are measured, and their names in tables."""

from __future__ import annotations

from typing import get_args

from autolabel.labels import Method

THRESHOLDS: Method = "none"
"""The baseline: thresholds without a filter."""

PUBLISHED: Method = "published"

METHODS: tuple[Method, ...] = get_args(Method)
"""Every method of `autolabel.label_image`, in its order; the last is the newest."""


def title(method: str) -> str:
    """Name of a method in tables; thresholds stand there alone, all others come after a filter."""
    return "thresholds" if method == THRESHOLDS else method

"""The methods that are measured, and their names in tables."""

from __future__ import annotations

from typing import get_args

from autolabel.labels import Method

THRESHOLDS: Method = "none"
"""The baseline: thresholds without a filter."""

PUBLISHED: Method = "published"

ILLUMINATION: Method = "illumination"

WITH_BANDS = "illumination, bands"
"""The illumination filter with near and short-wave infrared and the cirrus band of the scene."""

METHODS: tuple[Method, ...] = get_args(Method)
"""Every method of `autolabel.label_image`, in the order of `Method`; the last is the newest."""


def title(method: str) -> str:
    """Return a method's name in tables; all methods except `THRESHOLDS` have a filter first."""
    return "thresholds" if method == THRESHOLDS else method

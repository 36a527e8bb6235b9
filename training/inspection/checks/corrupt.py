"""Tiles that can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.inspection.checks.base import Check, Facts, Found, reported


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report tiles whose bytes can't be read, or whose checksum (CRC-32C) is wrong."""
    return reported(facts.damage)


CHECK = Check(
    "corrupt",
    "Corrupt tiles",
    "Their bytes can't be read, or have changed since they were written. A training stops at them.",
    "Label or import their scenes again, or drop them.",
    judge,
)

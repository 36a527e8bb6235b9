"""Classes without a single pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.inspection.checks.base import Check, Facts, Found


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the classes that no tile has."""
    totals = facts.class_pixels.sum(axis=0)
    return [
        Found(None, f"not one pixel has the class {title}")
        for title, pixels in zip(facts.classes.titles, totals, strict=True)
        if not pixels
    ]


CHECK = Check(
    "unseen-class",
    "Classes without a pixel",
    "The recipe has classes that no label has, so no model can find them.",
    "Label scenes that have them, or take them out of the recipe's section 'classes'.",
    judge,
)

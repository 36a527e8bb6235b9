"""Scenes and samples of which no tile came into the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.inspection.checks.base import Check, Facts, Found


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report what the manifest says of scenes that failed, with the reason of each."""
    return [Found(None, f"{scene}: {reason}") for scene, reason in facts.failed]


CHECK = Check(
    "failed",
    "Scenes that could not be labelled or imported",
    "They are not in the data set, for the reason that the manifest gives: a mask that is cut, of"
    " another size or with other numbers, a file that is gone.",
    "Correct their files and give the same 'polynya label' or 'polynya import' again: it does only"
    " what is missing.",
    judge,
)

"""Groups whose tiles are on both sides of a split, and tiles that its file lacks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from training.inspection.checks.base import Check, Facts, Found, TileSide


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report each group that crosses the split, and how many tiles the split lacks."""
    by_group: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for side in facts.sides:
        for group in side.groups:
            by_group[group][side.name] += 1
    found = [
        Found(
            None,
            f"{group} has {counts['training']} tiles that train and {counts['validation']} that"
            " validate",
        )
        for group, counts in by_group.items()
        if counts["training"] and counts["validation"]
    ]
    lacking = [n for n, side in enumerate(facts.sides) if side == TileSide("unknown")]
    if lacking:
        place = facts.places[lacking[0]]
        found.append(
            Found(
                None,
                f"the split lacks {len(lacking)} tiles, such as scene {place.scene_id}, row"
                f" {place.row}, column {place.col}",
            )
        )
    return found


CHECK = Check(
    "split",
    "Groups that cross the split",
    "Tiles that resemble each other train and validate, so scores are too good; or the split was"
    " made for other tiles.",
    "Make the split again with 'polynya split'.",
    judge,
)

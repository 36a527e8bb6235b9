"""Tiles with labels that are no class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, reported


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the labels that are neither of the scheme nor nodata, as a reason; "" for none."""
    counts = np.bincount(tile.label.ravel(), minlength=256)
    counts[: facts.classes.n_labels] = 0
    counts[facts.classes.nodata] = 0
    codes = np.flatnonzero(counts)
    if not len(codes):
        return ""
    some = ", ".join(map(str, codes[:5])) + (" ..." if len(codes) > 5 else "")
    return f"{counts.sum():,} pixels have labels that are no class ({some})"


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "unknown-label",
    "Labels that are no class",
    "Values that the class scheme doesn't have: a mask with other codes, or one that went through"
    " JPEG, which blurs codes at edges.",
    "Correct the masks or the recipe's section 'classes' and label again, or drop them.",
    judge,
    measure,
)

"""Tiles with an image but without a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of, reported


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the reason if the image has data and no pixel has a label; "" otherwise."""
    if (tile.label != facts.classes.nodata).any():
        return ""
    seen = ~np.isnan(tile.values[bands_of(facts, "image")]).all(axis=0)
    return f"{seen.mean():.0%} of the pixels have data, none has a label" if seen.any() else ""


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "image-without-label",
    "Images without label",
    "There is an image, but every pixel of the label is nodata, so nothing is learnt from it.",
    "Add the missing labels; or drop them, which makes an epoch shorter and changes nothing else.",
    judge,
    measure,
)

"""Tiles without any data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of, reported


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the reason if no band of light has a value; "" otherwise."""
    seen = tile.values[bands_of(facts, "image")]
    return "no pixel has data" if np.isnan(seen).all() else ""


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "empty",
    "Empty tiles",
    "All pixels of the image are nodata, so there is nothing to learn from them.",
    "Drop them, or label again with a 'tiles.min_valid' above 0.",
    judge,
    measure,
)

"""Tiles whose image has one value everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of, reported

_LEAST_PIXELS = 16
"""Fewer pixels with data than this may be equal by chance."""


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the reason if each band of light has one value wherever it has data; "" otherwise."""
    seen = tile.values[bands_of(facts, "image")].reshape(-1, tile.label.size)
    least, greatest = np.fmin.reduce(seen, axis=1), np.fmax.reduce(seen, axis=1)
    with_data = np.count_nonzero(~np.isnan(seen), axis=1).max(initial=0)
    if with_data < _LEAST_PIXELS or (least < greatest).any():
        return ""
    values = ", ".join(f"{value:g}" for value in least[:8])
    return f"each band has one value only ({values})"


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "constant",
    "Constant tiles",
    "Every pixel with data has the same value, which no sensor measures: usually a fill value that"
    " the file doesn't call nodata.",
    "Tell which value means nodata in the scenes and label again, or drop them.",
    judge,
    measure,
)

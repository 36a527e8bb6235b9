"""Tiles with stripes: lines that are missing, or brighter or darker than both neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of, reported

_LEAST_LINES = 4
"""A few odd lines may be edges on the ground, such as a canal along the grid."""
_LEAST_SHARE = 0.02
"""Least share of odd lines among all lines of the tile."""
_STEP = 1.0
"""Least step of a line against its neighbours, in standard deviations of single pixels."""
_AGREEING = 0.85
"""Least share of the pixels of a line that step to the same side."""
_LEAST_GAPS = 3
"""Least number of missing lines between lines with data."""


def odd_lines(band: NDArray[np.float32]) -> int:
    """Count lines (axis 0) that differ from both neighbours along their whole length.

    A pixel's step is its value less the mean of the pixels before and after it in the next lines.
    In natural images steps have both signs within a line. In a stripe, almost all have one sign,
    and their median is large against the spread of all steps (median absolute deviation).

    Args:
        band: (H, W), NaN where missing.

    Returns:
        Number of odd lines; 0 if they are too few to be stripes.
    """
    steps = band[1:-1] - (band[:-2] + band[2:]) / 2
    up, down = np.count_nonzero(steps > 0, axis=1), np.count_nonzero(steps < 0, axis=1)
    known = np.count_nonzero(steps == steps, axis=1)  # NaN equals nothing.
    same_side = np.maximum(up, down) / np.maximum(known, 1)
    enough = known >= band.shape[1] // 2
    # Medians take long, and most tiles don't need them.
    if np.count_nonzero(enough & (same_side > _AGREEING)) < _LEAST_LINES:
        return 0
    steps, same_side = steps[enough], same_side[enough]
    medians = np.nanmedian(steps, axis=1)
    spread = 1.4826 * np.nanmedian(np.abs(steps - medians[:, None]))
    # Without any noise, the smallest difference of two values stands for it.
    spread = max(spread, np.nanmax(np.abs(steps)) / 100)
    sizes = np.abs(medians)
    # The lines beside a stripe step too, by half as much to the other side.
    is_peak = (sizes >= np.append(sizes[1:], 0)) & (sizes >= np.insert(sizes[:-1], 0, 0))
    return int(np.count_nonzero(is_peak & (sizes > _STEP * spread) & (same_side > _AGREEING)))


def missing_lines(valid: NDArray[np.bool_]) -> int:
    """Count lines (axis 0) without data between lines with data, in runs of at most 4 lines.

    Args:
        valid: bool (H, W), False where missing.
    """
    lines = valid.any(axis=1)
    inside = np.flatnonzero(lines)
    gaps = np.diff(inside) - 1
    return int(gaps[(gaps > 0) & (gaps <= 4)].sum())


def measure(tile: TilePixels, facts: Facts) -> str:
    """Return the worst band and its number of odd lines as a reason; "" if there are few."""
    if min(tile.label.shape) < 8:
        return ""
    for number in bands_of(facts, "image"):
        band = tile.values[number]
        valid = ~np.isnan(band)
        if not valid.any():
            continue
        for turned, lines in ((False, "rows"), (True, "columns")):
            seen = band.T if turned else band
            gaps = missing_lines(valid.T if turned else valid)
            if gaps >= _LEAST_GAPS:
                return f"{facts.bands[number]}: {gaps} {lines} between others are missing"
            odd = odd_lines(seen)
            if odd >= max(_LEAST_LINES, _LEAST_SHARE * len(seen)):
                return (
                    f"{facts.bands[number]}: {odd} {lines} are brighter or darker than both sides"
                )
    return ""


def judge(facts: Facts, measures: Sequence[Any]) -> list[Found]:
    """Report the tiles for which `measure` gave a reason."""
    return reported(measures)


CHECK = Check(
    "striped",
    "Striped tiles",
    "Rows or columns are missing, or differ from both neighbours along their whole length: a fault"
    " of the sensor or of a transmission that a model may take for a structure.",
    "Look at them and drop those that are bad; if a scene has many, leave the scene out.",
    judge,
    measure,
)

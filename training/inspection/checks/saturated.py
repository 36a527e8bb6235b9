"""Tiles where many pixels have the greatest value that there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of

_LEAST_SHARE = 0.1
"""Least share of a band's pixels at the ceiling."""
_LEAST_TILES = 5
"""So many tiles tell where a band ends. In fewer, only the ceiling of the data type counts."""

Peak = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""For each band of light, (b,): greatest value, share of pixels that have it, greatest value that
the data type can store."""


def measure(tile: TilePixels, facts: Facts) -> Peak | None:
    """Find the greatest value of each band and how many pixels have it; None without data."""
    numbers = bands_of(facts, "image")
    seen = tile.values[numbers].reshape(len(numbers), -1)
    with_data = np.count_nonzero(~np.isnan(seen), axis=1)
    greatest = np.fmax.reduce(seen, axis=1)
    at_top = np.count_nonzero(seen == greatest[:, None], axis=1)
    least = np.fmin.reduce(seen, axis=1)
    # A band with one value has no peak; `constant` reports it.
    share = np.where((with_data > 0) & (least < greatest), at_top / np.maximum(with_data, 1), 0)
    return greatest, share.astype(np.float32), tile.ceilings[numbers]


def judge(facts: Facts, measures: Sequence[Peak | None]) -> list[Found]:
    """Report tiles with too many pixels at the ceiling of a band.

    The ceiling is the greatest value of the data type, or the greatest value in all tiles: a sensor
    that saturates below it gives many pixels of exactly that value.
    """
    names = [facts.bands[number] for number in bands_of(facts, "image")]
    peaks = [(tile, *peak) for tile, peak in enumerate(measures) if peak is not None]
    if not peaks or not names:
        return []
    top = np.fmax.reduce([greatest for _, greatest, _, _ in peaks])
    found = []
    for tile, greatest, share, ceiling in peaks:
        is_full = greatest >= ceiling
        if len(peaks) >= _LEAST_TILES:
            is_full |= greatest >= top
        bad = np.flatnonzero(is_full & (share >= _LEAST_SHARE))
        if len(bad):
            told = ", ".join(f"{names[b]} {share[b]:.0%} at {greatest[b]:g}" for b in bad[:4])
            found.append(Found(tile, told))
    return found


CHECK = Check(
    "saturated",
    "Saturated tiles",
    "At least a tenth of the pixels of a band have the greatest value that there is, so what lies"
    " above it is lost.",
    "If only clouds are that bright, keep them; otherwise make the scenes again with a wider range"
    " (the recipe's key 'scene.stretch' for colours), or drop them.",
    judge,
    measure,
)

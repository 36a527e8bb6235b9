"""Tiles whose image is in the data set more than once, to the last bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from polynya.shards.scan import TilePixels
from training.inspection.checks.base import Check, Facts, Found, bands_of


def digest_of(tile: TilePixels, facts: Facts) -> bytes | None:
    """Digest of the image, 16 bytes; None if it is empty or constant, which other checks report."""
    seen = tile.values[bands_of(facts, "image")]
    if not np.fmin.reduce(seen, axis=None) < np.fmax.reduce(seen, axis=None):
        return None
    return hashlib.blake2b(seen.tobytes(), digest_size=16).digest()


def judge(facts: Facts, measures: Sequence[bytes | None]) -> list[Found]:
    """Report each tile that is a copy of an earlier one; the first of them is not reported."""
    first: dict[bytes, int] = {}
    found = []
    for tile, descriptor in enumerate(measures):
        if descriptor is None:
            continue
        earlier = first.setdefault(descriptor, tile)
        if earlier != tile:
            found.append(Found(tile, f"same image as {facts.places[earlier]}"))
    return found


CHECK = Check(
    "copy",
    "Copies of other tiles",
    "The same image more than once. If one copy trains and another validates, scores look better"
    " than they are.",
    "Drop them: the first of the copies stays.",
    judge,
    digest_of,
)

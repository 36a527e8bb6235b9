"""Tiles that show one place: shifted, brighter or darker, or partly under cloud.

The descriptor and its grouping are those of `polynya split --by duplicates`
(`polynya.splits.duplicates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polynya.shards.scan import TilePixels
from polynya.splits.duplicates import describe_orientations, find_duplicates, gradients
from polynya.splits.pictures import best_band
from training.inspection.checks.base import Check, Facts, Found
from training.inspection.checks.copies import digest_of

_LEAST_TILES = 32
"""Fewest tiles that show how alike two tiles are by chance."""


class Described(NamedTuple):
    """What is kept of a tile."""

    gradients: NDArray[np.float16]
    """(rows, cols, 2), from `gradients`, divided by `scale` so that half precision is enough."""
    scale: float
    copy: bytes | None
    """Digest of the image; copies are a finding of their own."""


def measure(tile: TilePixels, facts: Facts) -> Described:
    """Describe one band of a tile, in the size of whole tiles."""
    band = tile.values[facts.bands.index(best_band(facts.bands))]
    size = max(facts.size, *band.shape)
    values, valid = np.zeros((size, size), np.float32), np.zeros((size, size), np.bool_)
    height, width = band.shape
    known = np.isfinite(band)
    if facts.sees_colors:
        known &= (tile.values != 0).any(axis=0)
    values[:height, :width], valid[:height, :width] = np.where(known, band, 0), known
    found = gradients(values, valid)
    scale = max(float(np.abs(found).max()), float(np.finfo(np.float32).tiny))
    return Described((found / scale).astype(np.float16), scale, digest_of(tile, facts))


def judge(facts: Facts, measures: Sequence[Described | None]) -> list[Found]:
    """Report each tile that shows the place of an earlier one; the first is not reported."""
    tiles = [tile for tile, described in enumerate(measures) if described is not None]
    known = [described for described in measures if described is not None]
    if len(known) < _LEAST_TILES:
        return []
    vectors = np.zeros((len(known), *max(d.gradients.shape for d in known)), np.float32)
    for vector, described in zip(vectors, known, strict=True):
        if described.gradients.shape == vector.shape:
            vector[:] = described.gradients.astype(np.float32) * described.scale
    groups = find_duplicates(describe_orientations(vectors, facts.size))
    first: dict[int, int] = {}
    found = []
    for place, group in enumerate(groups.tolist()):
        earlier = first.setdefault(group, place)
        is_copy = known[place].copy is not None and known[place].copy == known[earlier].copy
        if earlier != place and not is_copy:
            reason = f"shows what {facts.places[tiles[earlier]]} shows"
            found.append(Found(tiles[place], reason))
    return found


CHECK = Check(
    "near-duplicate",
    "Tiles that show one place",
    "Pictures of one place, also shifted, brighter or under cloud: repeated images of a site, or"
    " near copies. If one trains and another validates, scores look better than they are.",
    "Keep them on one side with polynya split --by duplicates; drop them if they add nothing.",
    judge,
    measure,
)

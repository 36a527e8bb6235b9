"""One band of every tile, as the descriptors of near-duplicates see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.progress import track
from polynya.shards.dataset import ShardSet
from polynya.splits.duplicates import Described, describe_orientations, gradients

_BEST = ("elevation", "dem", "green")
"""Bands to compare, best first. Cloud and light never change an elevation."""

Picture = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Values (size, size) of one band, 0 where missing; and False where missing."""


def best_band(bands: Sequence[str]) -> str:
    """Name the band to compare tiles by: elevation, green or the first."""
    return next((name for name in _BEST if name in bands), bands[0])


def chosen_band(shards: ShardSet, band: str | None) -> str:
    """Name the band to compare tiles by: the given one, else the best of them.

    Raises:
        ShardError: The shards don't have the given band.
    """
    if band is None:
        return best_band(shards.bands)
    if band not in shards.bands:
        raise ShardError(
            f"The shards in {shards.folder} have no band '{band}'; take one of"
            f" {', '.join(shards.bands)} (--band)."
        )
    return band


def pictures(shards: ShardSet, band: str) -> Iterator[Picture]:
    """Read one band of all tiles, in the order of the shards.

    Raises:
        ShardError: A file is missing or damaged.
    """
    size, index = shards.recipe.tiles.size, shards.bands.index(band)
    groups = shards.row_groups(shards.scene_ids)
    total = sum(group.tiles for group in groups)
    for tile in track(shards.tiles(groups), "Reading tiles", total):
        height, width = tile.image.shape[:2]
        values, valid = np.zeros((size, size), np.float32), np.zeros((size, size), np.bool_)
        own = tile.image[..., index].astype(np.float32)
        is_colors = tile.image.dtype == np.uint8
        valid[:height, :width] = tile.image.any(axis=-1) if is_colors else np.isfinite(own)
        values[:height, :width] = np.nan_to_num(own)
        yield values, valid


def describe_by_orientation(shards: ShardSet, band: str, threshold: float) -> Described:
    """Describe all tiles of a data set by the directions of gradients; see `duplicates`."""
    size = shards.recipe.tiles.size
    blank = gradients(np.zeros((size, size)), np.ones((size, size), np.bool_))
    total = sum(group.tiles for group in shards.row_groups(shards.scene_ids))
    found = np.empty((total, *blank.shape), np.float32)  # Once in memory: it is the largest array.
    for number, (values, valid) in enumerate(pictures(shards, band)):
        found[number] = gradients(values, valid)
    return describe_orientations(found, size, threshold)

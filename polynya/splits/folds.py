"""From groups to folds: k-fold and hold-out that keep groups together, and a split by tile."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.quiet import ignore_warnings

TRAINS_ONLY = -1
"""Fold of tiles that never validate."""
_MOST_PARTS = 20
"""Greatest number of parts from which a hold-out takes some: shares are exact to a twentieth."""


def group_folds(
    groups: Sequence[str], strata: NDArray[np.int64], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Put whole groups into folds, so that strata have similar shares in all folds.

    The method is scikit-learn's `StratifiedGroupKFold`: groups, in random order and those with the
    most uneven strata first, go where they keep the shares of strata most even.

    Args:
        groups: Name of the group of each tile, N.
        strata: int64 (N,), stratum of each tile, for example from `commonest`.
        folds: Number of folds, at least 2.
        seed: Seed of the random order.

    Returns:
        int64 (N,), 0 .. folds - 1.

    Raises:
        ShardError: There are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names, numbers = np.unique(np.array(groups, np.str_), return_inverse=True)
    if len(names) < folds:
        raise ShardError(
            f"The tiles have {len(names)} group{'s'[: len(names) != 1]}, too few for {folds} folds;"
            " ask for fewer folds (--folds), or group the tiles in another way (--by)."
        )
    # A stratum may have fewer tiles than there are folds, but the whole must not.
    rare = np.bincount(strata)[strata] < folds
    common = np.where(rare, strata.max() + 1, strata) if rare.any() else strata
    if np.bincount(common).max() < folds:
        common = np.zeros_like(strata)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = np.empty(len(numbers), np.int64)
    ignore_warnings(UserWarning, "The least populated class")
    for fold, (_, own) in enumerate(splitter.split(common, common, numbers)):
        found[own] = fold
    return found


def tile_folds(tiles: int, *, folds: int, seed: int) -> NDArray[np.int64]:
    """Put single tiles into folds of equal size at random: int64 (tiles,).

    Scores of such a split are too good, because a tile's neighbours are on the other side. It is
    there to measure by how much.

    Raises:
        ShardError: There are fewer tiles than folds.
    """
    if tiles < folds:
        raise ShardError(f"There are {tiles} tiles, too few for {folds} folds; label more scenes.")
    return np.random.default_rng(seed).permutation(tiles) % folds


def parts_of(share: float, most: int) -> tuple[int, int]:
    """Choose how many of how many equal parts of the data are held out.

    Args:
        share: Share of the tiles to hold out, above 0 and below 1.
        most: Greatest number of parts: the number of groups.

    Returns:
        Parts to hold out, at least 1, and all parts, at least 2 and at most 20.
    """
    limit = max(min(most, _MOST_PARTS), 2)
    part = Fraction(share).limit_denominator(limit)
    part = min(max(part, Fraction(1, limit)), Fraction(limit - 1, limit))
    return part.numerator, part.denominator


def held_out(parts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Turn parts into one fold: 0 for the first `count` parts, `TRAINS_ONLY` for the others."""
    return np.where(parts < count, 0, TRAINS_ONLY)


def commonest(groups: Sequence[str], strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each tile the commonest stratum of its group; the smallest one if some are equal.

    Args:
        groups: Name of the group of each tile, N.
        strata: int64 (N,), from 0.
    """
    _, numbers = np.unique(np.array(groups, np.str_), return_inverse=True)
    counts = np.zeros((numbers.max() + 1, strata.max() + 1), np.int64)
    np.add.at(counts, (numbers, strata), 1)
    return np.asarray(counts.argmax(axis=1)[numbers], np.int64)


def numbered(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the different rows of an array (N, F) from 0: int64 (N,)."""
    return np.unique(values, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

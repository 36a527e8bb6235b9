"""Folds keep groups together and strata even."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polynya.errors import ShardError
from polynya.splits.folds import (
    TRAINS_ONLY,
    commonest,
    group_folds,
    held_out,
    numbered,
    parts_of,
    tile_folds,
)

_TILES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=2, max_size=200)


@settings(deadline=None)  # The first call imports scikit-learn.
@given(_TILES, st.integers(2, 6), st.integers(0, 2**31 - 1), st.booleans())
def test_no_group_crosses_a_split(
    tiles: list[tuple[int, int]], folds: int, seed: int, holds_out: bool
) -> None:
    groups = [f"group {group}" for group, _ in tiles]
    strata = commonest(groups, np.array([stratum for _, stratum in tiles]))
    if len(set(groups)) < folds:
        with pytest.raises(ShardError, match=f"too few for {folds} folds"):
            group_folds(groups, strata, folds=folds, seed=seed)
        return
    found = group_folds(groups, strata, folds=folds, seed=seed)
    assert (found == group_folds(groups, strata, folds=folds, seed=seed)).all()
    assert set(found.tolist()) <= set(range(folds))
    if holds_out:
        found = held_out(found, 1)
        assert set(found.tolist()) <= {0, TRAINS_ONLY}
    folds_of: dict[str, set[int]] = {}
    for group, fold in zip(groups, found.tolist(), strict=True):
        folds_of.setdefault(group, set()).add(fold)
    assert all(len(own) == 1 for own in folds_of.values())


def test_strata_are_even_in_all_folds() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 8, 200))
    strata = (groups % 4 == 0).astype(np.int64)
    found = group_folds([str(group) for group in groups], strata, folds=5, seed=3)
    sizes = np.bincount(found)
    shares = np.bincount(found, strata) / sizes
    assert sizes.max() - sizes.min() <= 0.05 * len(groups)
    assert np.abs(shares - strata.mean()).max() < 0.03


def test_every_fold_has_tiles_even_if_strata_are_rare() -> None:
    groups = [str(group) for group in range(12)]
    strata = np.array([0] * 9 + [1, 2, 3])
    for seed in range(10):
        assert np.bincount(group_folds(groups, strata, folds=4, seed=seed)).tolist() == [3] * 4
    only_rare = np.arange(12)
    assert np.bincount(group_folds(groups, only_rare, folds=4, seed=0)).tolist() == [3] * 4


def test_the_seed_decides() -> None:
    groups = [str(group) for group in range(40)]
    draws = {
        tuple(group_folds(groups, np.zeros(40, np.int64), folds=5, seed=seed).tolist())
        for seed in range(5)
    }
    assert len(draws) == 5


def test_tiles_at_random_have_folds_of_equal_size() -> None:
    assert np.bincount(tile_folds(103, folds=5, seed=0)).tolist() == [21, 21, 21, 20, 20]
    with pytest.raises(ShardError, match="too few for 5 folds"):
        tile_folds(4, folds=5, seed=0)


@pytest.mark.parametrize(
    ("share", "most", "parts"),
    [
        (0.2, 100, (1, 5)),
        (0.25, 100, (1, 4)),
        (0.3, 100, (3, 10)),
        (0.5, 2, (1, 2)),
        (0.2, 3, (1, 3)),
        (0.001, 100, (1, 20)),
        (0.999, 100, (19, 20)),
        (0.7, 1, (1, 2)),
    ],
)
def test_a_share_is_some_of_equal_parts(share: float, most: int, parts: tuple[int, int]) -> None:
    assert parts_of(share, most) == parts


def test_a_group_has_its_commonest_stratum() -> None:
    groups = ["a", "a", "a", "b", "b", "c"]
    assert commonest(groups, np.array([1, 0, 1, 2, 0, 2])).tolist() == [1, 1, 1, 0, 0, 2]


def test_rows_are_numbered() -> None:
    assert numbered(np.array([[1, 0], [0, 1], [1, 0]])).tolist() == [1, 0, 1]

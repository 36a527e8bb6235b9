"""Which pixels trees learn from: even, bounded, the same however tiles are read."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.schemes import scheme_of
from polynya.recipe.classes import SEA_ICE, ClassScheme
from training.input.batches import in_batches
from training.trees.pixels import Pixels, draw_pixels


def _tiles(shares: list[float], count: int = 12, edge: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Images whose only band numbers all pixels, and labels by these shares; the rest is nodata."""
    rng = np.random.default_rng(0)
    images = np.arange(count * edge * edge, dtype=np.float32).reshape(count, edge, edge, 1)
    labels = rng.choice(
        [*range(len(shares)), 255], (count, edge, edge), p=[*shares, 1 - sum(shares)]
    )
    return images, labels.astype(np.uint8)


def _draw(shares: list[float], classes: ClassScheme, batch: int = 5, **options: object) -> Pixels:
    images, labels = _tiles(shares)
    indices = in_batches(np.arange(len(images)), batch)
    batches = [(images[own], labels[own]) for own in indices]
    bits = labels[labels != 255][:, None] >> np.arange(classes.n_classes) & 1
    counts = (
        bits.sum(axis=0) if classes.has_masks else np.bincount(labels[labels != 255], minlength=3)
    )
    settings = {"limit": 300, "balanced": False, "seed": 3, **options}
    return draw_pixels(
        batches,
        indices,
        lambda seen: seen,
        classes,
        counts=counts,
        **settings,  # type: ignore[arg-type]
    )


def test_pixels_are_drawn_evenly_and_each_once() -> None:
    labels = _tiles([0.7, 0.1, 0.1])[1]
    drawn = _draw([0.7, 0.1, 0.1], SEA_ICE)
    numbers = drawn.features[:, 0].astype(int)
    assert len(set(numbers)) == len(numbers) == 300
    np.testing.assert_array_equal(labels.ravel()[numbers], drawn.labels)
    assert set(drawn.labels) == {0, 1, 2}
    # All tiles, as even as chance has it: 25 of each.
    by_tile = np.bincount(numbers // 400, minlength=12)
    assert by_tile.min() > 8
    assert abs((drawn.labels == 0).mean() - 7 / 9) < 0.08


def test_they_do_not_depend_on_the_size_of_batches() -> None:
    drawn = [_draw([0.5, 0.2, 0.2], SEA_ICE, batch) for batch in (1, 5, 12)]
    for other in drawn[1:]:
        np.testing.assert_array_equal(drawn[0].features, other.features)
    seeds = [_draw([0.5, 0.2, 0.2], SEA_ICE, seed=seed).features for seed in (3, 4)]
    np.testing.assert_array_equal(seeds[0], drawn[0].features)
    assert not np.array_equal(seeds[0], seeds[1])


@pytest.mark.parametrize("limit", [10, 4000, 10**6])
def test_the_limit_holds_and_fewer_are_all(limit: int) -> None:
    labelled = int((_tiles([0.5, 0.2, 0.2])[1] != 255).sum())
    assert len(_draw([0.5, 0.2, 0.2], SEA_ICE, limit=limit).labels) == min(limit, labelled)


def test_balanced_pixels_are_as_many_of_each_class_as_there_are() -> None:
    drawn = _draw([0.9, 0.08, 0.0], SEA_ICE, balanced=True)
    assert np.bincount(drawn.labels).tolist() == [100, 100]


def test_balanced_pixels_of_masks_count_for_the_rarest_and_for_none() -> None:
    # Labels 0 to 3: none, the first mask, the second mask, both. The second is the rarer one.
    drawn = _draw([0.5, 0.3, 0.05, 0.05], scheme_of(2, "masks"), balanced=True)
    assert (drawn.labels == 0).sum() == (drawn.labels == 1).sum() == 100
    assert (drawn.labels >= 2).sum() == 100

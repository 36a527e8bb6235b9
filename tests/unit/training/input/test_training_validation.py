"""The tiles that a rank validates on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autolabel import filter_image
from data_samples import make_scene
from polynya.recipe.recipe import Recipe
from training.input.batches import TileSource
from training.input.validation import ValidationTiles
from training.ranks.port import SingleProcess

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (19, 32, 32, 3)).astype(np.uint8)
LABELS = np.digitize(IMAGES[..., 0], [31, 205]).astype(np.uint8)


class Rank(SingleProcess):
    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def _recipe(**augment: Any) -> Recipe:
    return Recipe.model_validate({"training": {"augment": augment}})


def _tiles(recipe: Recipe, size: int, batch_size: int) -> list[tuple[bytes, bytes]]:
    """All tiles of all ranks, without padding, in no order."""
    source = TileSource(IMAGES, LABELS, nodata=255, threads=1)
    found = []
    for rank in range(size):
        part = ValidationTiles(source, recipe, Rank(rank, size))
        for images, labels in part.all_batches(batch_size):
            assert len(images) == batch_size
            found += [
                (i.tobytes(), k.tobytes())
                for i, k in zip(images.numpy(), labels.numpy(), strict=True)
                if (k != 255).any()
            ]
    return sorted(found)


def test_without_a_sky_each_tile_is_seen_once() -> None:
    expected = sorted((i.tobytes(), k.tobytes()) for i, k in zip(IMAGES, LABELS, strict=True))
    assert _tiles(_recipe(), 1, 4) == expected
    assert _tiles(_recipe(), 3, 5) == expected


def test_skies_do_not_depend_on_ranks_or_batch_size() -> None:
    recipe = _recipe(haze=1.0, shade=0.5)
    one = _tiles(recipe, 1, 4)
    assert len(one) == 2 * len(IMAGES)
    assert one == _tiles(recipe, 2, 4) == _tiles(recipe, 4, 3)
    plain = _tiles(_recipe(), 1, 4)
    assert set(plain) < set(one)
    # Under a sky the label stays.
    assert sorted(label for _, label in one) == sorted(2 * [label for _, label in plain])


def test_tiles_are_filtered_where_the_model_learns_from_filtered_ones() -> None:
    scenes = [make_scene(33, site, (256, 256), "both") for site in (0, 1)]
    images = np.stack([scene.observed for scene in scenes])
    labels = np.stack([scene.truth for scene in scenes])
    source = TileSource(images, labels, nodata=255, threads=1)
    sections = {
        "training": {"augment": {"filter": "illumination"}},
        "inference": {"filter": "illumination"},
    }
    part = ValidationTiles(source, Recipe.model_validate(sections), SingleProcess())
    ((found, _),) = part.all_batches(2)
    assert found.dtype == np.uint8
    for tile, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(tile, filter_image(image))
        assert (tile != image).any()


def test_a_rank_without_tiles_has_no_batch() -> None:
    source = TileSource(IMAGES[:8], LABELS[:8], nodata=255, threads=1)
    parts = [ValidationTiles(source, _recipe(haze=1.0), Rank(r, 2)) for r in range(2)]
    assert sorted(len(part) for part in parts) == [0, 8]
    assert [len(list(part.all_batches(4))) for part in parts if not len(part)] == [0]


@pytest.mark.parametrize("size", [1, 2])
def test_no_validation_tiles_give_no_batches(size: int) -> None:
    source = TileSource(IMAGES[:0], LABELS[:0], nodata=255, threads=1)
    part = ValidationTiles(source, _recipe(haze=1.0), Rank(0, size))
    assert list(part.all_batches(4)) == []

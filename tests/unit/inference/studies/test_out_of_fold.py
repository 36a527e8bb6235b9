"""Tiles as a model sees them: of any size, colours or bands, classes or masks."""

from __future__ import annotations

import numpy as np

from inference.studies.out_of_fold import predicted
from polynya.recipe.recipe import parse_recipe
from polynya.shards.dataset import StoredTile


def _tile(image: np.ndarray) -> StoredTile:
    return StoredTile("a", 0, 0, image, np.zeros(image.shape[:2], np.uint8), None)


def test_tiles_are_filled_up_with_nodata_and_come_back_in_their_size() -> None:
    colours = parse_recipe(
        {"tiles": {"size": 20}, "model": {"filters": [4, 8], "dropout": [0, 0]}}, source="test"
    )
    bands = parse_recipe(
        {
            "tiles": {"size": 20},
            "model": {"filters": [4, 8], "dropout": [0, 0]},
            "scene": {"inputs": ["red", "nir"]},
            "label": {"method": "none"},
        },
        source="test",
    )
    for recipe, dtype, missing in ((colours, np.uint8, 0), (bands, np.float32, np.nan)):
        count = len(recipe.scene.seen_bands)
        tiles = [_tile(np.full((h, w, count), 7, dtype)) for h, w in ((20, 20), (12, 20), (5, 3))]
        seen = []

        def forward(images: np.ndarray, seen: list[np.ndarray] = seen) -> np.ndarray:
            seen.append(images)
            return np.nan_to_num(images[..., :1], nan=-1).astype(np.float32)

        found = list(predicted(tiles, forward, recipe))
        assert [part.shape for part in found] == [(20, 20, 1), (12, 20, 1), (5, 3, 1)]
        assert all((part == 7).all() for part in found)
        (images,) = seen
        assert (images.dtype, images.shape) == (dtype, (3, 20, 20, count))
        np.testing.assert_array_equal(images[2, 5:], np.full((15, 20, count), missing, dtype))

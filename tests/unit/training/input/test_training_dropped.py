"""A training doesn't see the tiles that were dropped, and says how many they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.shards.dropped import DroppedTile, restore_dropped, write_dropped
from training.ranks.port import SingleProcess
from training.run.build import open_sources
from training.run.start import start_run


def _recipe(**options: object) -> Recipe:
    return Recipe.model_validate(
        {
            "tiles": {"size": 16},
            "label": {"method": "none"},
            "model": {"filters": [4, 8], "dropout": [0, 0]},
            "training": {"epochs": 1, "batch_size": 8, "input": options},
        }
    )


def _drop(shards: ShardSet, *indices: int) -> ShardSet:
    file = shards.files["scene0"][0]
    tiles = [DroppedTile(file, n, "scene0", None, None, "striped: x") for n in indices]
    write_dropped(shards.folder, tiles)
    return open_shards(shards.folder)


def _tiles(shards: ShardSet, recipe: Recipe) -> np.ndarray:
    """Training tiles in the order of the shards."""
    (source,) = open_sources(shards, [["scene0", "scene1"]], recipe, SingleProcess(), 1)
    indices = source.epoch_indices(epoch=0, seed=0, shuffle=False, batch_size=1, rank=0, size=1)
    assert len(indices) == len(source)
    return np.concatenate([np.asarray(images) for images, _ in source.batches(indices)])


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_no_cache_serves_dropped_tiles(tmp_path: Path, cache: str) -> None:
    recipe = _recipe(cache=cache, folder=str(tmp_path / "cache"))
    shards = open_shards(write_tiny_shards(tmp_path / "shards", recipe, rows_per_group=5))
    every = _tiles(shards, recipe)
    assert len(every) == 32
    left = _drop(shards, 0, 7)
    kept = [n for n in range(32) if n not in (0, 7)]
    assert np.array_equal(_tiles(left, recipe), every[kept])
    # As many others: nothing that was decoded before may be used.
    other = _drop(shards, 1, 7)
    assert np.array_equal(_tiles(other, recipe), every[[n for n in range(32) if n not in (1, 7)]])
    restore_dropped(shards.folder)
    assert np.array_equal(_tiles(open_shards(shards.folder), recipe), every)


def test_a_training_says_how_many_are_left_out_and_knows_its_tiles(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shards = open_shards(write_tiny_shards(tmp_path / "shards", _recipe()))
    _drop(shards, 0, 7)
    folder = tmp_path / "shards"
    run = start_run(folder, tmp_path / "model", None, SingleProcess())
    assert "Leaving out 2 tiles (striped 2)" in capfd.readouterr().err
    digest = run.data.digest
    run.held.close()
    _drop(shards, 1, 7)
    run = start_run(folder, tmp_path / "model", None, SingleProcess(), overwrite=True)
    assert run.data.digest != digest
    run.held.close()

"""The recipe's section training.input, in whole trainings on one rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import RecipeError
from polynya.recipe.recipe import Recipe, parse_recipe
from training.model_folder.training_log import TrainingSummary
from training.ranks.port import SingleProcess
from training.run.start import start_run


def _recipe(**options: Any) -> Recipe:
    content = {
        "tiles": {"size": 32},
        "split": {"validation": 0.25},
        "model": {"filters": [4, 8], "dropout": [0.1, 0.1]},
        "training": {
            "epochs": 2,
            "batch_size": 5,
            "augment": {"rotation": 10.0, "zoom": [0.9, 1.1], "shift": 0.1, "haze": 0.5},
            "input": options,
        },
    }
    return parse_recipe(content, source="test")


def _train(tmp_path: Path, out: str, **options: Any) -> TrainingSummary:
    recipe = _recipe(**options)
    shards = tmp_path / "shards"
    if not shards.exists():
        write_tiny_shards(shards, recipe)
    recipe.save(tmp_path / "recipe.yaml")
    return start_run(shards, tmp_path / out, tmp_path / "recipe.yaml", SingleProcess()).train()


@pytest.mark.slow
def test_where_tiles_are_kept_does_not_change_the_weights(tmp_path: Path) -> None:
    disk = {"cache": "disk", "folder": str(tmp_path / "cache")}
    first = _train(tmp_path, "memory")
    assert _train(tmp_path, "disk", **disk).weights_digest == first.weights_digest
    assert _train(tmp_path, "again", **disk).weights_digest == first.weights_digest
    assert len(list((tmp_path / "cache").glob("[!_]*"))) == 2


@pytest.mark.slow
def test_streams_train_on_as_many_pixels_and_repeat(tmp_path: Path) -> None:
    options = {"cache": "none", "shuffle_buffer": 3}
    first, again = (_train(tmp_path, out, **options) for out in ("one", "two"))
    assert first.weights_digest == again.weights_digest
    assert len(first.history) == 2


@pytest.mark.parametrize("options", [{"cache": "ram"}, {"shuffle_buffer": 0}, {"cach": "disk"}])
def test_wrong_keys_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"training.input.{next(iter(options))}"):
        _recipe(**options)

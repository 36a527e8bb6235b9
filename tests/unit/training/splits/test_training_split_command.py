"""`polynya split`, and trainings that use its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from helpers.maps.inference_commands import run
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ModelError, ShardError
from polynya.provenance import file_digest
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.dataset import open_shards
from polynya.splits.duplicates import find_duplicates
from polynya.splits.split_file import read_split
from training.input.split import recipe_split, split_by_file
from training.ranks.port import SingleProcess
from training.run.build import open_sources
from training.run.start import start_run, tile_names
from training.splits.backbone import describe_by_backbone

TINY: dict[str, Any] = {
    "tiles": {"size": 32},
    "model": {"filters": [4, 8], "dropout": [0.0, 0.0]},
    "training": {"epochs": 1, "batch_size": 4, "input": {"cache": "memory"}},
}


def _recipe(cache: str = "memory", **split: Any) -> Recipe:
    training = {**TINY["training"], "input": {"cache": cache}}
    return parse_recipe({**TINY, "training": training, "split": split}, source="test")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_tiny_shards(tmp_path / "shards", _recipe())


def _split(shards: Path, *words: Any, expect: int = 0) -> str:
    return run("split", shards, "--out", shards.parent / "split.json", *words, expect=expect).output


def test_the_command_writes_a_file_and_says_what_is_in_it(shards: Path) -> None:
    output = _split(shards, "--folds", 2)
    assert "16 tiles in 4 groups; the largest, 'scene0', has 4" in output
    assert "Fold 1: 8 tiles validate, 8 train; Open water" in output
    first = (shards.parent / "split.json").read_bytes()
    _split(shards, "--folds", 2)
    assert (shards.parent / "split.json").read_bytes() == first
    _split(shards, "--folds", 2, "--seed", 5)
    assert (shards.parent / "split.json").read_bytes() != first


def test_the_command_knows_all_ways(shards: Path) -> None:
    words = ["--by", "blocks", "--block", "640m", "--buffer", "1m", "--folds", 2]
    assert "are left out" in _split(shards, *words)
    assert "16 tiles in 4 groups" in _split(shards, "--by", "site", "--pattern", r"(\d)")
    words = ["--by", "duplicates", "--by", "scene", "--validation", 0.5]
    assert "8 tiles never validate" in _split(shards, *words)
    assert "16 tiles in 16 groups" in _split(shards, "--by", "random")
    table = shards.parent / "table.csv"
    table.write_text("scene_id,area\nscene0,a\nscene1,a\nscene2,b\nscene3,b\n")
    words = ["--by", "table", "--table", table, "--column", "area", "--folds", 2]
    assert "16 tiles in 2 groups" in _split(shards, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "9"], "4 groups, too few for 9 folds"),
        (["--by", "season"], "no way 'season'"),
        (["--band", "red"], "for a split by duplicates"),
        (["--by", "duplicates", "--band", "nir"], "have no band 'nir'; take one of red"),
        (["--by", "site", "--pattern", "("], "--pattern is no regular expression"),
        (["--by", "site", "--pattern", "a"], "--pattern 'a' has no (group)"),
        (["--validation", "0"], "leaves one side empty"),
        (["--by", "duplicates", "--weights", "none.keras"], "none.keras can't be opened"),
    ],
)
def test_bad_options_end_in_one_sentence(shards: Path, words: list[str], message: str) -> None:
    output = " ".join(_split(shards, *words, expect=1).split())
    assert "Error: " in output
    assert message in output
    assert not (shards.parent / "split.json").exists()


def test_a_file_that_is_not_ours_stays(shards: Path) -> None:
    (shards.parent / "split.json").write_text("mine")
    _split(shards, expect=1)
    assert (shards.parent / "split.json").read_text() == "mine"


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_training_sees_the_tiles_of_its_side(shards: Path, cache: str) -> None:
    _split(shards, "--by", "random", "--folds", 4)
    data, file = open_shards(shards), shards.parent / "split.json"
    recipe = _recipe(cache, file=str(file), fold=1)
    split = recipe_split(data, recipe)
    made, images = read_split(file), data.load(data.scene_ids, 32)[0]
    trains = [made.trains(key, 1) for key in made.tiles]
    sides = [trains, [tile.fold == 1 for tile in made.tiles.values()]]
    parts = (split.training, split.validation)
    chosen = (split.training_tiles, split.validation_tiles)
    sources = open_sources(data, parts, recipe, SingleProcess(), 1, chosen=chosen)
    assert [len(source) for source in sources] == [12, 4]
    for source, side in zip(sources, sides, strict=True):
        for shuffle in (False, True):
            indices = source.epoch_indices(
                epoch=0, seed=1, shuffle=shuffle, batch_size=5, rank=0, size=1
            )
            seen = np.concatenate([np.asarray(batch[0]) for batch in source.batches(indices)])
            seen = seen[indices.ravel() >= 0]
            wanted = images[side] if not shuffle else images[side][indices[indices >= 0]]
            assert (seen == wanted).all()
    names = tile_names(data, split, range(12))
    keys = [key for key, is_own in zip(made.tiles, trains, strict=True) if is_own]
    assert names == [f"{key[0]} {2 * (key[1] // 32) + key[2] // 32}" for key in keys]


def test_a_model_knows_the_split_it_was_trained_with(shards: Path) -> None:
    _split(shards, "--folds", 2)
    file = shards.parent / "split.json"
    _recipe(file=str(file)).save(shards.parent / "recipe.yaml")
    out = shards.parent / "model"
    start_run(shards, out, shards.parent / "recipe.yaml", SingleProcess()).train()
    assert json.loads((out / "provenance.json").read_text())["split_digest"] == file_digest(file)
    sides = json.loads((out / "split.json").read_text())
    assert not set(sides["training"]) & set(sides["validation"])
    assert "Tiles: 8 and 8." in (out / "README.md").read_text()


def _edited(shards: Path, old: str, new: str) -> str:
    file = shards.parent / "split.json"
    text = file.read_text()
    assert old in text
    edited = shards.parent / "edited.json"
    edited.write_text(text.replace(old, new, 1))
    return str(edited)


def test_a_training_whose_groups_cross_the_split_is_refused(shards: Path) -> None:
    _split(shards, "--folds", 4)
    line = next(
        line for line in (shards.parent / "split.json").read_text().splitlines() if "scene2" in line
    )
    fold = json.loads(line.rstrip(","))[4]
    other = line.replace(f'"scene2", {fold},', f'"scene2", {(fold + 1) % 4},')
    _recipe(file=_edited(shards, line, other)).save(shards.parent / "recipe.yaml")
    message = "group 'scene2' crosses the split .*edited.json: .* make it again with 'polynya split"
    with pytest.raises(ShardError, match=message):
        start_run(shards, shards.parent / "m", shards.parent / "recipe.yaml", SingleProcess())
    assert not (shards.parent / "m").exists()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"fold": 4}, "has 4 folds, numbered from 0, and the recipe's key 'split.fold' is 4"),
        ({"group": "(scene)"}, "group 'scene' crosses .* or take the key 'split.group' out of"),
        ({"file": "none.json"}, "The split none.json can't be read"),
    ],
)
def test_splits_that_do_not_fit_are_refused(
    shards: Path, split: dict[str, Any], message: str
) -> None:
    _split(shards, "--folds", 4)
    recipe = _recipe(**{"file": str(shards.parent / "split.json"), **split})
    with pytest.raises(ShardError, match=message):
        split_by_file(open_shards(shards), recipe.split)


def test_a_split_of_other_shards_is_refused(shards: Path) -> None:
    _split(shards)
    file = _edited(shards, '["scene1", 0, 32,', '["scene1", 0, 99,')
    message = "lacks a tile of the shards in .*: scene scene1, row 0, column 32; make it again"
    with pytest.raises(ShardError, match=message):
        split_by_file(open_shards(shards), _recipe(file=file).split)


def test_old_digests_stay() -> None:
    assert _recipe().digest("split") == _recipe(fold=0).digest("split")
    assert _recipe().digest("split") != _recipe(fold=1).digest("split")


def test_a_network_describes_tiles(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "net.keras")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 64, 64)).astype(np.float32)
    seen = np.ones((64, 64), bool)
    tiles = [first, second, first * 2 + 1, np.zeros_like(first), np.ones_like(first)]
    tiles = [np.kron(tile[::4, ::4], np.ones((4, 4))).astype(np.float32) for tile in tiles]
    described = describe_by_backbone([(tile, seen) for tile in tiles], tmp_path / "net.keras")
    assert described.threshold == 0.97
    assert find_duplicates(described).tolist() == [0, 1, 0, 2, 3]
    keras.Model(inputs, [outputs, outputs]).save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match="doesn't turn one picture into one output"):
        describe_by_backbone([], tmp_path / "two.keras")

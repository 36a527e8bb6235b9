"""The file of a split, and splits made from shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.shards.tiny_shards import write_tiny_shards
from polynya.errors import ShardError
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, open_shards
from polynya.splits.making import Length, SplitChoices, length_of, make_split
from polynya.splits.pictures import describe_by_orientation
from polynya.splits.split_file import TileFold, TileSplit, read_split, write_split

SPLIT = TileSplit(
    ("scene",),
    2,
    {
        ("a", 0, 0): TileFold('sité "1"', 0),
        ("a", 0, 64): TileFold('sité "1"', 0, (1,)),
        ("b", 64, 0): TileFold("two", 1),
        ("c", 0, 0): TileFold("three", -1, (0, 1)),
    },
    {"seed": 3},
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Four scenes one below the other on the ground, each with four tiles of 32 pixels."""
    place = tmp_path_factory.mktemp("split")
    recipe = Recipe.model_validate({"tiles": {"size": 32}})
    return open_shards(write_tiny_shards(place / "shards", recipe))


def _made(shards: ShardSet, **choices: Any) -> TileSplit:
    return make_split(
        shards, SplitChoices(**choices), lambda: describe_by_orientation(shards, "red", 6.5)
    )


def test_a_split_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_split(SPLIT, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == SPLIT
    assert json.loads((tmp_path / "split.json").read_text())["seed"] == 3


def test_who_trains() -> None:
    trains = {key: [SPLIT.trains(key, fold) for fold in (0, 1)] for key in SPLIT.tiles}
    assert trains == {
        ("a", 0, 0): [False, True],
        ("a", 0, 64): [False, False],
        ("b", 64, 0): [True, False],
        ("c", 0, 0): [False, False],
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"two", 1', '"sité \\"1\\"", 1', "group 'sité \"1\"' crosses .*in fold 0 and in fold 1,"),
        ('"three", -1', '"two", -1', "crosses .* in fold 1 and in the tiles that only train"),
        ('"two", 1', '"two", 2', "more folds than it says; make it again with 'polynya split'"),
        ('["b", 64, 0', '["a", 0, 0', "has a tile twice"),
        ('["b", 64, 0', '["b", 64, "x"', r"is damaged \(at 'tiles.2.2'"),
        ('"format": 1', '"format": 2', "is no split that this version"),
        ('"folds": 2, ', "", r"is damaged \(at 'folds'"),
        ("]}\n", "", "can't be read"),
    ],
)
def test_files_that_are_wrong_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SPLIT.text()
    assert old in text
    (tmp_path / "split.json").write_text(text.replace(old, new, 1))
    with pytest.raises(ShardError, match=message):
        read_split(tmp_path / "split.json")


@pytest.mark.parametrize(
    "choices",
    [
        {"folds": 4},
        {"validation": 0.25},
        {"by": ("random",), "folds": 3},
        {"by": ("blocks",), "folds": 2, "block": Length(640, False), "buffer": Length(1, False)},
        {"by": ("blocks",), "folds": 3, "block": Length(32, True)},
        {"by": ("scene", "duplicates"), "folds": 2},
        {"by": ("site",), "pattern": r"(\d)$", "folds": 2, "stratify": False},
    ],
)
def test_a_split_holds_every_tile_and_is_the_same_each_time(
    shards: ShardSet, tmp_path: Path, choices: dict[str, Any]
) -> None:
    made = _made(shards, **choices)
    assert len(made.tiles) == 16
    assert made.text() == _made(shards, **choices).text()
    write_split(made, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json").tiles == made.tiles
    assert {tile.fold for tile in made.tiles.values()} >= set(range(made.folds))


def test_by_scene_and_by_tile(shards: ShardSet) -> None:
    by_scene = _made(shards, folds=4)
    assert {len({t.fold for k, t in by_scene.tiles.items() if k[0] == "scene1"})} == {1}
    by_tile = _made(shards, by=("random",), folds=4)
    assert by_tile.is_random
    assert not by_scene.is_random
    assert len({t.fold for k, t in by_tile.tiles.items() if k[0] == "scene1"}) > 1


def test_the_buffer_leaves_out_neighbours(shards: ShardSet) -> None:
    block = {"by": ("blocks",), "validation": 0.3, "block": Length(640, False)}
    without, made = _made(shards, **block), _made(shards, **block, buffer=Length(1, False))
    assert not any(tile.left_out for tile in without.tiles.values())
    assert any(tile.left_out == (0,) for tile in made.tiles.values())
    assert made.options == {
        "seed": 0, "stratified": True, "validation": 0.3, "block": "640m", "buffer": "1m"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"by": ("season",)}, "no way 'season' to split; take some of scene, site"),
        ({"by": ("site",)}, "A split by site needs the option --pattern; add it"),
        ({"by": ("table",)}, "needs the option --table"),
        ({"by": ("blocks",)}, "needs the option --block"),
        ({"buffer": Length(1, True)}, "--buffer is for a split by blocks; add --by blocks"),
        ({"by": ("scene", "random")}, "leave --by random or the other"),
        ({"by": ("blocks",), "block": Length(0, True)}, "--block is 0"),
        (
            {"by": ("blocks",), "block": Length(9, True), "buffer": Length(9, False)},
            "--block and --buffer have different units",
        ),
        ({"folds": 5}, "have 4 groups, too few for 5 folds"),
        ({"by": ("date",), "folds": 2}, "scene0 has no date"),
    ],
)
def test_choices_that_do_not_fit_are_refused(
    shards: ShardSet, choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(ShardError, match=message):
        _made(shards, **choices)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("5000", Length(5000, False)),
        ("1.5km", Length(1500, False)),
        ("20 m", Length(20, False)),
        ("1024px", Length(1024, True)),
    ],
)
def test_lengths(text: str, length: Length) -> None:
    assert length_of(text, "--block") == length


def test_a_length_that_is_none_is_refused() -> None:
    with pytest.raises(ShardError, match="--block is '5 miles', which is no length"):
        length_of("5 miles", "--block")

"""`polynya inspect --split`: statistics by the tiles of a split, and groups that cross it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.maps.inference_commands import run
from helpers.shards.tiny_shards import write_tiny_shards
from polynya.recipe.recipe import parse_recipe
from polynya.recipe.split import SplitOptions
from polynya.shards.dataset import open_shards
from training.input.split import split_by_file
from training.inspection.survey import survey


@pytest.fixture
def place(tmp_path: Path) -> Path:
    recipe = parse_recipe({"tiles": {"size": 32}, "split": {"group": "(scene[01])"}}, "test")
    write_tiny_shards(tmp_path / "shards", recipe)
    run(
        *("split", tmp_path / "shards", "--by", "random", "--folds", 2),
        *("--out", tmp_path / "f.json"),
    )
    return tmp_path


def test_parts_are_the_tiles_of_the_split(place: Path) -> None:
    shards, options = (
        open_shards(place / "shards"),
        SplitOptions(file=str(place / "f.json"), fold=1),
    )
    found, expected = survey(shards, split=options), split_by_file(shards, options)
    assert expected.training_tiles is not None
    assert expected.validation_tiles is not None
    for side, tiles in (
        ("training", expected.training_tiles),
        ("validation", expected.validation_tiles),
    ):
        assert found.is_on(side).sum() == found.of_side(side).tiles == len(tiles) == 8
    assert found.total.tiles == 16
    assert sum(own.tiles for own in found.sums.values()) == 16
    # The tiles of a scene are on both sides, which no split of scenes can say.
    by_scene = {scene for scene, side in found.parts if side == "validation"}
    assert by_scene & {scene for scene, side in found.parts if side == "training"}
    np.testing.assert_allclose(found.total.mean, np.mean([s.mean for s in found.sums.values()], 0))


def test_groups_that_cross_and_tiles_that_lack_are_findings(place: Path) -> None:
    content = json.loads((place / "f.json").read_text())
    for tile in content["tiles"][:4]:
        tile[3] = "one place"
    del content["tiles"][-1]
    (place / "f.json").write_text(json.dumps(content))
    page = place / "page.html"
    said = run("inspect", place / "shards", "--split", place / "f.json", "--out", page).output
    assert "Groups that cross the split" in said
    text = page.read_text()
    assert "one place" in text
    assert "the split lacks 1 tiles, such as scene scene3, row 32, column 32" in text
    assert "scene0" in text  # A site of the recipe's `split.group` crosses it too.


def test_a_split_of_the_recipe_that_is_not_made_yet_is_said_and_not_shown(place: Path) -> None:
    recipe = parse_recipe({"tiles": {"size": 32}, "split": {"file": str(place / "g.json")}}, "test")
    write_tiny_shards(place / "early", recipe)
    said = run("inspect", place / "early", "--out", place / "page.html").output
    assert "g.json of the recipe isn't there, so none is shown" in " ".join(said.split())
    assert "16 tiles looked at" in said
    assert (place / "page.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fold", 1], "name the file with --split"),
        (["--split", "none.json"], "none.json can't be read"),
        (["--split", "f.json", "--fold", 2], "has 2 folds, numbered from 0, and not 2"),
    ],
)
def test_a_split_that_cannot_be_used_is_one_sentence(
    place: Path, words: list[object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    said = run("inspect", "shards", *words, expect=1).output
    assert message in " ".join(said.split())

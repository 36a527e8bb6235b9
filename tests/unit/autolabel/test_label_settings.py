"""`--set` of `polynya label` and `polynya import`: as if the recipe had said it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from conftest import WriteScene, ice_image
from typer.testing import CliRunner

from helpers.shards.import_sets import folder
from polynya.cli import build_app
from polynya.shards.dataset import open_shards


def run(*words: object) -> Result:
    result: Result = CliRunner().invoke(build_app([str(words[0])]), [str(word) for word in words])
    return result


def same_shards(one: Path, other: Path) -> bool:
    shards = [open_shards(place) for place in (one, other)]
    files = [sorted(place.glob("*.parquet")) for place in (one, other)]
    assert files[0], f"{one} has no shards"
    return (
        shards[0].recipe.digest() == shards[1].recipe.digest()
        and [file.name for file in files[0]] == [file.name for file in files[1]]
        and all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))
    )


def test_labels_are_those_of_a_recipe_that_says_the_same(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    scene = write_scene("a.tif", ice_image(64, 64))
    said = tmp_path / "said.yaml"
    said.write_text("seed: 4\ntiles: {size: 32}\nlabel: {method: none}\n")
    short = tmp_path / "short.yaml"
    short.write_text("seed: 4\ntiles: {size: 64}\n")
    words = ["label", "--scenes", scene, "--engine", "here"]
    done = run(*words, "--out", tmp_path / "one", "--recipe", said)
    assert done.exit_code == 0, done.output
    options = ["--set", "tiles.size=32", "--set", "label={method: none}"]
    done = run(*words, "--out", tmp_path / "two", "--recipe", short, *options)
    assert done.exit_code == 0, done.output
    assert same_shards(tmp_path / "one", tmp_path / "two")
    # The same data set goes on with the same words, however they are said.
    done = run(*words, "--out", tmp_path / "two", "--recipe", said)
    assert done.exit_code == 0, done.output


def test_an_import_knows_its_kind_before_its_keys_are_set(tmp_path: Path) -> None:
    made = folder(tmp_path / "data")
    made.recipe["tiles"] = {"size": 16}
    said = made.save(tmp_path / "said.yaml")
    del made.recipe["imports"]
    short = made.save(tmp_path / "short.yaml")
    words = ["import", "folder", made.source, "--engine", "here"]
    size = "imports.size=[32, 48]"
    for out, recipe, options in (
        ("one", said, ["--set", size]), ("two", short, ["--set", size, "--set", "tiles.size=16"]),
    ):  # fmt: skip
        done = run(*words, "--out", tmp_path / out, "--recipe", recipe, *options)
        assert done.exit_code == 0, done.output
    assert same_shards(tmp_path / "one", tmp_path / "two")
    assert open_shards(tmp_path / "one").recipe.imports.size == (32, 48)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["label", "--scenes", "a.tif"], "perhaps 'size' is meant"),
        (["import", "loveda", "LoveDA"], "perhaps 'size' is meant"),
        (["import", "folder", "data"], "perhaps 'size' is meant"),
    ],
)
def test_a_misspelt_key_is_one_sentence(tmp_path: Path, words: list[str], problem: str) -> None:
    done = run(*words, "--out", tmp_path / "shards", "--set", "tiles.sise=3")
    assert done.exit_code == 1
    assert "unknown key 'tiles.sise'" in done.output
    assert problem in " ".join(done.output.split())
    assert not (tmp_path / "shards").exists()

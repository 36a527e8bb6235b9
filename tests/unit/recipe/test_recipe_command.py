"""`polynya recipe`: show, check, diff, schema, and values of --set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from polynya.cli import build_app
from polynya.errors import RecipeError
from polynya.recipe.overrides import with_settings
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.yaml_files import parse_yaml


def run(*words: str) -> Result:
    result: Result = CliRunner().invoke(build_app(["recipe"]), ["recipe", *words])
    return result


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_a_shown_recipe_has_what_set_says_and_is_the_same_recipe(tmp_path: Path) -> None:
    mine = written(tmp_path, "mine.yaml", "seed: 3\ntraining: {epochs: 9}\n")
    options = ["--set", "training.batch_size=16", "--set", "model.filters=[4, 8]"]
    options += ["--set", "model.dropout=[0, 0]", "--set", "training.loss={name: dice}"]
    for words in (["show", mine], [mine]):
        done = run(*words, *options)
        assert done.exit_code == 0, done.output
        found = parse_recipe(parse_yaml(done.stdout), "test")
        assert (found.seed, found.training.epochs, found.training.batch_size) == (3, 9, 16)
        assert (found.model.filters, found.training.loss.name) == ((4, 8), "dice")
    assert run("show").stdout == run().stdout


def test_recipes_are_checked_one_after_the_other(tmp_path: Path) -> None:
    good = written(tmp_path, "good.yaml", "seed: 1\n")
    bad = written(tmp_path, "bad.yaml", "sead: 1\n")
    done = run("check", good, "kelp")
    assert done.exit_code == 0
    assert done.stdout.count("can be used (digest ") == 2
    done = run("check", bad, good, str(tmp_path / "none.yaml"))
    assert done.exit_code == 1
    assert "unknown key 'sead'" in done.stdout
    assert "perhaps 'seed' is meant" in done.stdout
    assert f"{good} can be used" in done.stdout
    assert "Can't read the recipe" in done.stdout
    assert "2 of 3 recipes can't be used" in done.output


def test_differences_are_keys_with_both_values(tmp_path: Path) -> None:
    one = written(tmp_path, "one.yaml", "training: {schedule: {name: step, epochs: 4}}\n")
    two = written(tmp_path, "two.yaml", "seed: 7\n")
    assert run("diff", one, two).stdout.splitlines() == [
        f"--- {one}",
        f"+++ {two}",
        "- seed: 0",
        "+ seed: 7",
        "- training.schedule.name: step",
        "+ training.schedule.name: constant",
        "- training.schedule.epochs: 4",
        "- training.schedule.factor: 0.1",
    ]
    assert "same in every key" in run("diff", two, "--set", "seed=7").stdout
    assert "- seed: 7\n+ seed: 0\n" in run("diff", two).stdout


def test_the_schema_knows_the_keys_and_refuses_others() -> None:
    schema = json.loads(run("schema").stdout)
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("training.batch_size", "has another form than KEY=VALUE"),
        ("=3", "has another form than KEY=VALUE"),
        ("training..epochs=3", "has another form than KEY=VALUE"),
        ("training.batchsize=3", "unknown key 'training.batchsize'.*perhaps 'batch_size' is meant"),
        ("training.batch_size=many", "with --set training.batch_size=many has a wrong value"),
        ("seed.of=3", "'seed', which is 3 and has no parts; set 'seed' as a whole"),
        ("seed=[", "value of --set seed is not valid YAML"),
        ("seed=1\ntiles: 3", "has several lines"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        with_settings(parse_recipe({"seed": 3}, "test"), [setting])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["check"], "takes one recipe or more, and 0 are given"),
        (["show", "kelp", "loveda"], "takes one recipe or none, and 2 are given"),
        (["diff"], "takes one recipe or two, and 0 are given"),
        (["schema", "kelp"], "takes no recipe, and 1 are given"),
    ],
)
def test_a_wrong_number_of_recipes_is_one_sentence(words: list[str], wanted: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert wanted in " ".join(done.output.split())


def test_without_settings_a_recipe_stays_itself() -> None:
    recipe = Recipe()
    assert with_settings(recipe, []) is recipe

"""Recipes that are odd, large or hostile: one sentence each, at once."""

import math

import pytest

from polynya.errors import RecipeError
from polynya.recipe.explained import commented
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.yaml_files import read_yaml, write_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [" + ",".join([f"*{chr(97 + i)}"] * 9) + "]\n" for i in range(9)
)


def write(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("seed: 1\nlabel: {}\nseed: 2\n", "the key 'seed' twice, at line 1 and line 3"),
        ("label:\n  method: none\n  method: none\n", "'method' twice, at line 2 and line 3"),
        ('"seed": 1\nseed: 1\n', "the key 'seed' twice"),
        ("seed: 2019-13-45\n", "wrong value for 'seed': .*received '2019-13-45'"),
        ("seed: " + "9" * 5000, "a number of 5000 digits at line 1; shorten it"),
        ("seed: " + "[" * 5000 + "]" * 5000, "more than 32 brackets or levels"),
        ("".join(" " * i + "a:\n" for i in range(100)), "more than 32 brackets or levels"),
        (BOMB, "more than 100,000 values"),
        ("a: &a [*a]\n", "not valid YAML|refers to itself"),
        ("seed: 1\n\tx: 1\n", "not valid YAML at line 2 \\(a tab\\)"),
        ("seed: \0", "a character at line 1 that no text has"),
        ("seed: 1\n# \xf8".encode("latin-1"), "not a text file in UTF-8 \\(line 2\\)"),
        ("seed: 1".encode("utf-16"), "not a text file in UTF-8"),
        ("seed: 1\n---\nseed: 2\n", "a second document at line 2"),
        ("- a\n", "must be a mapping of keys"),
        ("1: x\n", "the key '1' at line 1, which is no text"),
        ("true: x\n", "the key 'true' at line 1, which is no text"),
        ("? [a, b]\n: x\n", "at line 1, which is no text"),
        ("seed: !!python/object/apply:os.system [ls]\n", "has the tag .* at line 1"),
        ("seed: !!binary aGk=\n", "has the tag '!binary'"),
        ("x" * 300_000, "more than 256 KiB"),
        ("seed: true\n", "wrong value for 'seed': true and false are no values here"),
        ("scene: {stretch: [false, 1.0]}\n", "wrong value for 'scene.stretch'"),
        ("seed: 12:30\n", "wrong value for 'seed'"),
        ("training: {learning_rate: .nan}\n", "wrong value for 'training.learning_rate'"),
        ("inference: {concentration: {cell: .inf}}\n", "'inference.concentration.cell'"),
        ("scene: {stretch: [0, .inf]}\n", "wrong value for 'scene.stretch.1': .*finite"),
        ("scene: {scale: -0.0001}\n", "wrong value for 'scene.scale'"),
        ("scene: {scale: 0}\n", "wrong value for 'scene.scale'"),
        ("scene: {scale: 1.0e-320}\n", "wrong value for 'scene.scale'"),
        ("scene: {scale: 0.5}\n", "wrong value for 'scene.scale'"),
        ("acquire: {source: files, paths: a, scale: 1.0e-300}\n", "for 'acquire.scale'"),
        ("acquire: {source: files, paths: a, offset: 1.0e+300}\n", "for 'acquire.offset'"),
        ("scene: {stretch: [0, 1.0e-320]}\n", "'scene.stretch': .*at least 0.001 apart"),
        ("scene: {stretch: [0.5, 0.5000001]}\n", "'scene.stretch': .*at least 0.001 apart"),
        ("scene: {stretch: [0, 1.0e+300]}\n", "'scene.stretch': .*between -10 and 10"),
        ("scene: {offset: .nan}\n", "wrong value for 'scene.offset'"),
        ("tiles: {size: 100000000000}\n", "wrong value for 'tiles.size'"),
        ("scene: {bands: [1, 2, 1.5]}\n", "wrong value for 'scene.bands.2': .*integer.* or .*str"),
        ("training: {class_weights: [1, x, 1]}\n", "wrong value for 'training.class_weights"),
        ("acquire: {source: files, paths: 3}\n", "wrong value for 'acquire.paths'"),
        ("acquire: {source: files, path: x}\n", "unknown key 'acquire.path'; known there: .*paths"),
        ("acquire: {source: stac, catalog: 1}\n", "wrong value for 'acquire.catalog'"),
    ],
)  # fmt: skip
def test_an_odd_recipe_is_one_short_sentence_that_names_the_key(tmp_path, content, problem):
    path = write(tmp_path, content)
    with pytest.raises(RecipeError, match=problem) as caught:
        load_recipe(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 700


def test_values_are_those_of_yaml_1_2(tmp_path):
    text = (
        "\ufeffa: no\nb: on\nc: 1e-3\nd: 1_000\ne: 012\nf: 0x1F\ng: .inf\nh: ~\ni: 2019-11-01\n"
        "on: 1\nj: &x {k: 1}\nl:\n  <<: *x\n  m: true\n"
    )
    assert read_yaml(write(tmp_path, text)) == {
        "a": "no", "b": "on", "c": 0.001, "d": "1_000", "e": 12, "f": 31, "g": math.inf, "h": None,
        "i": "2019-11-01", "on": 1, "j": {"k": 1}, "l": {"k": 1, "m": True},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["no", "1e-3", "0o17", "12:30", "null", "<<", "- x", "a: b", "ü"])
def test_texts_come_back_as_texts(tmp_path, text):
    for one_line in (False, True):
        content = {"key": write_yaml({"x": [text, text]}, on_one_line=one_line)}
        path = write(tmp_path, content["key"])
        assert read_yaml(path) == {"x": [text, text]}


def test_words_for_truth_values_still_are(tmp_path):
    assert load_recipe(write(tmp_path, "training: {shuffle: no}\n")).training.shuffle is False


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b.yaml"])
def test_what_cannot_be_opened_is_one_sentence(tmp_path, name):
    with pytest.raises(RecipeError, match=r"Can't read the recipe .*; give a YAML file\."):
        load_recipe(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"acquire": {"source": "files", "paths": ["a.tif"]}, "scene": {"bands": [4, "B03", 2]}},
        {"label": {"profile": {"name": "p", "allow_gaps": True,
                               "ranges": [{"class": "open_water", "value": [0, 9]}]}},
         "inference": {"products": ["polygons"], "concentration": {"ice": {"all": ["thin_ice"]}}}},
        {"training": {"loss": {"name": "sum", "terms": [{"loss": "dice"}, {"loss": "focal"}]},
                      "schedule": "one_cycle", "optimizer": {"name": "sgd", "nesterov": True}}},
    ],
)  # fmt: skip
def test_a_printed_recipe_is_complete_and_the_same_recipe(tmp_path, content):
    recipe = parse_recipe(content, "test")
    text = commented(recipe)
    assert load_recipe(write(tmp_path, text)) == recipe
    for key in ("tiles:", "early_stopping: null", "# Edge of a tile in pixels.", "references: "):
        assert key in text


def test_what_may_be_read_is_no_part_of_a_digest():
    trusting = Recipe.model_validate({"scene": {"references": "anywhere"}})
    assert trusting.digest() == Recipe().digest()
    assert trusting.labels_digest() == Recipe().labels_digest()

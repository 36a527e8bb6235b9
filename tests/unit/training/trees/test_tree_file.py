"""The file of decision trees: bytes, what is refused, and that XGBoost sees nothing of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.programs.launch import launch
from helpers.schemes import scheme_of
from helpers.training.ranks import ROOT, environment
from polynya.errors import MissingDependencyError, ModelError
from polynya.recipe.model import XgboostOptions
from polynya.recipe.recipe import Recipe
from training.trees import tree_file
from training.trees.booster import grow
from training.trees.pixel_model import PixelModel, mean_of, vote_of
from training.trees.tree_file import STATISTICS, make_member, open_trees, save_trees

RECIPE = Recipe.model_validate({"model": "xgboost"})
MASKS = Recipe(classes=scheme_of(2, "masks"), model=XgboostOptions())


def _grown(recipe: Recipe, rounds: int = 3, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    colors = rng.integers(1, 256, (500, 3)).astype(np.float32)
    bright = colors.max(axis=-1)
    targets = np.digitize(bright, [150, 220]).astype(np.uint8)
    if recipe.classes.has_masks:
        targets = np.stack([bright > 150, colors[:, 0] > 99], axis=-1)
    return grow(
        colors,
        targets,
        None,
        XgboostOptions(rounds=rounds, depth=3),
        n_classes=recipe.classes.n_classes,
        seed=0,
        after_round=lambda number: None,
        facts={STATISTICS: "null"},
    )


def _model(recipe: Recipe, **options: Any) -> PixelModel:
    member = make_member(_grown(recipe, **options), recipe)
    return PixelModel((member,), (1.0,), 3, recipe.classes.n_classes)


@pytest.mark.parametrize("recipe", [RECIPE, MASKS], ids=["classes", "masks"])
def test_a_file_opens_as_the_same_model(tmp_path: Path, recipe: Recipe) -> None:
    model, images = _model(recipe), np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3))
    save_trees(tmp_path / "trees.json", model)
    again = open_trees(tmp_path / "trees.json", recipe)
    found = model.predict_on_batch(images)
    np.testing.assert_array_equal(again.predict_on_batch(images), found)
    assert found.shape == (2, 5, 7, recipe.classes.n_classes)
    assert found.dtype == np.float32
    if not recipe.classes.has_masks:
        np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    # XGBoost itself opens the file too.
    xgboost = pytest.importorskip("xgboost")
    booster = xgboost.Booster(model_file=tmp_path / "trees.json")
    rows = images.reshape(-1, 3).astype(np.float32)
    np.testing.assert_array_equal(booster.inplace_predict(rows).reshape(found.shape), found)


def test_an_ensemble_in_one_file_is_the_weighted_mean(tmp_path: Path) -> None:
    one, other = _model(RECIPE), _model(RECIPE, rounds=5, seed=4)
    both = mean_of([mean_of([one, other], [0.5, 0.5]), one], [0.5, 0.5])
    save_trees(tmp_path / "trees.json", both)
    images = np.random.default_rng(1).integers(0, 256, (1, 9, 9, 3))
    found = open_trees(tmp_path / "trees.json", RECIPE).predict_on_batch(images)
    expected = 0.75 * one.predict_on_batch(images) + 0.25 * other.predict_on_batch(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert both.count_params() == 2 * one.count_params() + other.count_params()
    assert [len(model.members) for model in both.alone()] == [1, 1, 1]


@pytest.mark.parametrize("recipe", [RECIPE, MASKS], ids=["classes", "masks"])
def test_trees_of_several_trainings_vote(tmp_path: Path, recipe: Recipe) -> None:
    alone = [_model(recipe, seed=seed) for seed in range(3)]
    has_masks = recipe.classes.has_masks
    save_trees(tmp_path / "trees.json", vote_of(alone, [0.5, 0.25, 0.25], has_masks=has_masks))
    images = np.random.default_rng(1).integers(0, 256, (1, 9, 9, 3))
    found = open_trees(tmp_path / "trees.json", recipe).predict_on_batch(images)
    answers = [model.predict_on_batch(images) for model in alone]
    votes = [a >= 0.5 if has_masks else np.eye(3)[a.argmax(axis=-1)] for a in answers]
    expected = np.average(votes, axis=0, weights=[2, 1, 1])
    np.testing.assert_allclose(found, expected, atol=1e-3)


Damage = Callable[[dict[str, Any]], object]


def _tree(document: dict[str, Any]) -> dict[str, Any]:
    return document["learner"]["gradient_booster"]["model"]["trees"][0]


DAMAGES: dict[str, Damage] = {
    "a branch back": lambda d: _tree(d)["left_children"].__setitem__(1, 0),
    "a branch nowhere": lambda d: _tree(d)["right_children"].__setitem__(0, 99_999_999),
    "a negative branch": lambda d: _tree(d)["right_children"].__setitem__(0, -7),
    "nodes that nothing leads to": lambda d: _tree(d)["left_children"].__setitem__(0, -1),
    "an unknown feature": lambda d: _tree(d)["split_indices"].__setitem__(0, 3),
    "short arrays": lambda d: _tree(d)["split_conditions"].pop(),
    "another count": lambda d: _tree(d)["tree_param"].update(num_nodes="100000000"),
    "categories": lambda d: _tree(d)["split_type"].__setitem__(0, 1),
    "text for numbers": lambda d: _tree(d)["split_conditions"].__setitem__(0, "x"),
    "not finite": lambda d: _tree(d)["split_conditions"].__setitem__(0, float("nan")),
    "vectors in leaves": lambda d: _tree(d)["tree_param"].update(size_leaf_vector="9"),
    "fewer trees": lambda d: d["learner"]["gradient_booster"]["model"]["trees"].pop(),
    "trees of class 7": lambda d: d["learner"]["gradient_booster"]["model"]["tree_info"].append(7),
    "rounds": lambda d: d["learner"]["gradient_booster"]["model"]["iteration_indptr"].append(1),
    "linear": lambda d: d["learner"]["gradient_booster"].update(name="gblinear"),
    "another objective": lambda d: d["learner"]["objective"].update(name="reg:squarederror"),
    "more features": lambda d: d["learner"]["learner_model_param"].update(num_feature="4"),
    "more classes": lambda d: d["learner"]["learner_model_param"].update(num_class="4"),
    "no statistics": lambda d: d["learner"]["attributes"].clear(),
    "strange statistics": lambda d: d["learner"]["attributes"].update({STATISTICS: '{"x": [1]}'}),
    "no learner": lambda d: d.clear(),
    "members of nothing": lambda d: d.update(members=[{"weight": 1}]),
    "no members": lambda d: d.update(members=[]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_said_before_xgboost_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    document = json.loads(_grown(RECIPE))
    DAMAGES[name](document)
    path = tmp_path / "trees.json"
    path.write_text(json.dumps(document))
    monkeypatch.setattr(tree_file, "open_booster", lambda content: pytest.fail("opened"))
    with pytest.raises(ModelError) as caught:
        open_trees(path, RECIPE)
    said = str(caught.value)
    assert said.startswith(f"{path} can't be opened as a model of decision trees (")
    assert said.endswith("train it again, or put a copy that is whole in its place.")
    assert "\n" not in said


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"[1]", b"[" * 100_000, b"null", b"\xff{}"])
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trees.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="can't be opened as a model of decision trees"):
        open_trees(path, RECIPE)
    path.write_bytes(_grown(RECIPE)[:-100])
    with pytest.raises(ModelError, match="can't be opened"):
        open_trees(path, RECIPE)


def test_without_xgboost_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_trees(tmp_path / "trees.json", _model(RECIPE))
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingDependencyError, match=r"need XGBoost .*install.*\[baseline\]"):
        open_trees(tmp_path / "trees.json", RECIPE)


@pytest.mark.slow
def test_the_same_pixels_give_the_same_bytes_with_any_number_of_threads() -> None:
    program = (
        "import hashlib, numpy as np\n"
        "from polynya.recipe.model import XgboostOptions\n"
        "from training.trees.booster import grow\n"
        "x = np.random.default_rng(0).normal(size=(20000, 6)).astype('float32')\n"
        "y = ((x[:, 0] * x[:, 1] > 0) + (x[:, 2] > 1)).astype('uint8')\n"
        "made = grow(x, y, None, XgboostOptions(rounds=9), n_classes=3, seed=1,\n"
        "            after_round=lambda n: None, facts={})\n"
        "print(hashlib.sha256(made).hexdigest())\n"
    )
    said = set()
    for threads in ("1", "2"):
        env = {**environment(), "OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
        done = launch([sys.executable, "-c", program], cwd=ROOT, env=env, timeout=120)
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1

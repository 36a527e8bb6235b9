"""The file of a model of decision trees: XGBoost's own JSON, or those of several trainings.

XGBoost trusts its files: a branch that leads nowhere, or back, ends the process or never ends. So a
file is read as plain JSON and checked before XGBoost sees it. Nothing in it can run code.

The file of an ensemble is {"members": [{"weight": 0.5, "trees": XGBoost's JSON}, ...]}, and has
"merge": "vote" if its members vote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from polynya.errors import ModelError, RecipeError
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_bytes
from training.models.features import FeaturePlan, FeatureStatistics, make_features
from training.trees.booster import CLASSES_OBJECTIVE, MASKS_OBJECTIVE, open_booster
from training.trees.pixel_model import Member, PixelModel

STATISTICS = "polynya_statistics"
"""Name of the attribute with the statistics of the features, as JSON."""

_MOST_BYTES = 2**28
_TRIED_EDGE = 16
_SUM_TOLERANCE = 0.01
_NODE_ARRAYS = (
    "left_children",
    "right_children",
    "split_indices",
    "split_conditions",
    "default_left",
    "parents",
    "base_weights",
    "loss_changes",
    "sum_hessian",
    "split_type",
)
_SHAPE_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


def statistics_text(statistics: FeatureStatistics | None) -> str:
    """Write statistics as JSON; every bit of each number is kept."""
    if statistics is None:
        return "null"
    return json.dumps({name: values.tolist() for name, values in asdict(statistics).items()})


def make_member(content: bytes, recipe: Recipe) -> Member:
    """Check the JSON of one training and open it with XGBoost.

    Raises:
        ValueError: It is no model, or a damaged one.
        RecipeError: The recipe's indices can't be computed.
        MissingDependencyError: XGBoost isn't installed.
    """
    try:
        document = json.loads(content)
        learner = document["learner"]
        plan = FeaturePlan.of(recipe)
        nodes = _check_learner(learner, len(plan.names), recipe)
        statistics = _statistics(learner["attributes"], len(plan.names))
    except _SHAPE_ERRORS as error:
        raise ValueError(str(error) if type(error) is ValueError else repr(error)) from None
    if plan.needs_statistics and statistics is None:
        raise ValueError("the statistics of its bands are missing")
    return Member(open_booster(content), make_features(plan, statistics), nodes, content)


def save_trees(path: Path, model: PixelModel) -> None:
    """Write the file, complete or not at all."""
    if len(model.members) == 1 and model.votes_of_masks is None:
        content = model.members[0].content
    else:
        members = [
            {"weight": weight, "trees": json.loads(member.content)}
            for member, weight in zip(model.members, model.weights, strict=True)
        ]
        merge = {} if model.votes_of_masks is None else {"merge": "vote"}
        content = json.dumps({"members": members, **merge}, separators=(",", ":")).encode()
    write_bytes(path, content)


def open_trees(path: Path, recipe: Recipe) -> PixelModel:
    """Open a file and make sure that it is a model of this recipe.

    Args:
        path: JSON file that `save_trees` wrote.
        recipe: Recipe with bands, indices and classes.

    Raises:
        ModelError: It is no such model, is damaged, or has other features or classes.
        MissingDependencyError: XGBoost isn't installed.
    """
    try:
        members, weights, votes = _members(path, recipe)
        classes = recipe.classes
        model = PixelModel(
            members,
            weights,
            len(recipe.scene.seen_bands),
            classes.n_classes,
            classes.has_masks if votes else None,
        )
        _check_answer(model, recipe)
    except RecipeError:
        raise
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} can't be opened as a model of decision trees ({str(error).rstrip('.')}); train"
            " it again, or put a copy that is whole in its place."
        ) from None
    return model


def _members(path: Path, recipe: Recipe) -> tuple[tuple[Member, ...], tuple[float, ...], bool]:
    """Read members, their weights, and whether they vote."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes, more than {_MOST_BYTES}")
    content = path.read_bytes()
    try:
        document = json.loads(content)
        if "members" not in document:
            return (make_member(content, recipe),), (1.0,), False
        parts = [(json.dumps(m["trees"]), float(m["weight"])) for m in document["members"]]
        merge = document.get("merge", "mean")
    except _SHAPE_ERRORS as error:
        raise ValueError(str(error) if type(error) is ValueError else repr(error)) from None
    weights = tuple(weight for _, weight in parts)
    if not all(weight >= 0 for weight in weights) or not math.isclose(sum(weights), 1.0):
        raise ValueError("the weights of its members don't add up to 1")
    if merge not in ("mean", "vote"):
        raise ValueError(f"it merges its members by {merge!r}")
    members = tuple(make_member(text.encode(), recipe) for text, _ in parts)
    return members, weights, merge == "vote"


def _check_learner(learner: Mapping[str, Any], features: int, recipe: Recipe) -> int:
    """Check everything by which XGBoost finds its way; return the number of nodes."""
    classes = recipe.classes
    wanted = MASKS_OBJECTIVE if classes.has_masks else CLASSES_OBJECTIVE
    if learner["objective"]["name"] != wanted:
        raise ValueError(f"its objective is not {wanted}")
    shape = learner["learner_model_param"]
    outputs = int(shape["num_target"]) if classes.has_masks else int(shape["num_class"])
    if outputs != classes.n_classes:
        raise ValueError(f"it has {outputs} outputs and its recipe {classes.n_classes} classes")
    if int(shape["num_feature"]) != features:
        raise ValueError(
            f"it has {shape['num_feature']} features and its recipe {features} bands and indices"
        )
    booster = learner["gradient_booster"]
    model = booster["model"]
    trees, groups = model["trees"], model["tree_info"]
    if booster["name"] != "gbtree" or int(model["gbtree_model_param"]["num_trees"]) != len(trees):
        raise ValueError("trees are missing")
    if len(groups) != len(trees) or any(
        type(group) is not int or not 0 <= group < outputs for group in groups
    ):
        raise ValueError("trees belong to no class")
    ends = model["iteration_indptr"]
    if ends != sorted(ends) or ends[0] != 0 or ends[-1] != len(trees):
        raise ValueError("rounds have other trees")
    return sum(_check_tree(tree, features) for tree in trees)


def _check_tree(tree: Mapping[str, Any], features: int) -> int:
    count = int(tree["tree_param"]["num_nodes"])
    if count < 1 or any(len(tree[name]) != count for name in _NODE_ARRAYS):
        raise ValueError("nodes of a tree are missing")
    if int(tree["tree_param"]["size_leaf_vector"]) > 1 or any(tree["split_type"]):
        raise ValueError("a tree has leaves or splits of another kind")
    left, right, split = (
        np.array(tree[name], np.int64)
        for name in ("left_children", "right_children", "split_indices")
    )
    inner = left != -1
    children = np.concatenate([left[inner], right[inner]])
    # Each node but the first is the child of one node, and children come after their parents.
    if (
        ((left == -1) != (right == -1)).any()
        or not np.array_equal(np.sort(children), np.arange(1, count))
        or (left[inner] <= np.flatnonzero(inner)).any()
        or (right[inner] <= np.flatnonzero(inner)).any()
    ):
        raise ValueError("the branches of a tree don't lead to its leaves")
    if ((split < 0) | (split >= features))[inner].any():
        raise ValueError("a tree splits by a feature that isn't there")
    if not np.isfinite(np.array(tree["split_conditions"], np.float64)).all():
        raise ValueError("numbers of a tree are not finite")
    return count


def _statistics(attributes: Mapping[str, str], features: int) -> FeatureStatistics | None:
    content = json.loads(attributes[STATISTICS])
    if content is None:
        return None
    arrays = {name: np.array(values, np.float64) for name, values in content.items()}
    if any(own.shape != (features,) or not np.isfinite(own).all() for own in arrays.values()):
        raise ValueError("the statistics of its bands are damaged")
    return FeatureStatistics(**arrays)


def _check_answer(model: PixelModel, recipe: Recipe) -> None:
    """Try a model on one small image, and check that the results are probabilities."""
    shape = (1, _TRIED_EDGE, _TRIED_EDGE, model.bands)
    image = (np.arange(np.prod(shape)) % 256).reshape(shape).astype(np.float32)
    if not recipe.scene.sees_colors:
        image[:, 0] = np.nan
    found = model.predict_on_batch(image)
    sums = found.sum(axis=-1)
    is_right = np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1 + _SUM_TOLERANCE
    if not is_right or not (recipe.classes.has_masks or np.allclose(sums, 1, atol=_SUM_TOLERANCE)):
        raise ValueError("its answers are not probabilities")

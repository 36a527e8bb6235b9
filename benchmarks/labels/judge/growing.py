"""Grow the judge's trees, and ask trees that have not seen a family about that family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from autolabel.filters.illumination.judge import Judge
from autolabel.filters.illumination.patches import NAMES
from benchmarks.labels.judge.examples import View, related

_HARM = 10.0
"""Weight of a patch that makes labels worse, relative to one that makes them better."""
_MOST_WEIGHT = 5.0
"""Points of benefit from which on a patch weighs no more."""
_WEIGHTS = {"samples": 3.0}
"""Weights of families; others have 1. Of this one there are fewer sites (`list_examples`)."""
_SEEDS = (0, 1, 2)
"""Seeds of the forests; their log odds are averaged."""


@dataclass(frozen=True)
class Examples:
    """All patches of some views, one after another."""

    numbers: NDArray[np.float64]
    """(N, len(NAMES))."""
    benefit: NDArray[np.float64]
    """(N,), points."""
    changed: NDArray[np.float64]
    """(N,), points."""
    family: NDArray[np.str_]
    """(N,)."""

    @classmethod
    def of(cls, views: Sequence[View]) -> Examples:
        """Gather the patches of some views."""
        family = [view.family for view in views for _ in view.benefit]
        return cls(
            np.concatenate([view.numbers for view in views]),
            np.concatenate([view.benefit for view in views]),
            np.concatenate([view.changed for view in views]),
            np.array(family, np.str_),
        )


def grow(examples: Examples, chosen: NDArray[np.bool_]) -> Judge:
    """Grow a judge on some examples.

    Args:
        examples: All examples.
        chosen: bool (N,), those to grow on.
    """
    benefit, changed = examples.benefit[chosen], examples.changed[chosen]
    better = benefit > 0.0
    weight = np.minimum(np.abs(benefit) + 0.05 * changed + 0.01, _MOST_WEIGHT)
    weight *= np.where(better, 1.0, _HARM)
    weight *= [_WEIGHTS.get(family, 1.0) for family in examples.family[chosen]]
    forests = []
    for seed in _SEEDS:
        forest = HistGradientBoostingClassifier(
            max_iter=300,
            learning_rate=0.06,
            max_leaf_nodes=20,
            min_samples_leaf=15,
            l2_regularization=5.0,
            max_features=0.3,
            random_state=seed,
        )
        forests.append(forest.fit(examples.numbers[chosen], better, sample_weight=weight))
    return _judge_of(forests)


def _judge_of(forests: Sequence[HistGradientBoostingClassifier]) -> Judge:
    """Put the trees of some forests one after another, with the mean of their log odds."""
    # scikit-learn shows these trees in no other way; the lock file pins its version, and a test
    # compares the judge's chances with the forests' own.
    trees = [tree.nodes for forest in forests for (tree,) in forest._predictors]  # noqa: SLF001
    starts = [forest._baseline_prediction for forest in forests]  # noqa: SLF001
    first = np.cumsum([0, *(len(nodes) for nodes in trees[:-1])])
    nodes = np.concatenate(trees)
    offset = np.repeat(first, [len(nodes) for nodes in trees])
    leaf = nodes["is_leaf"].astype(np.bool_)
    return Judge(
        root=first.astype(np.int32),
        feature=np.where(leaf, -1, nodes["feature_idx"]).astype(np.int16),
        limit=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
        missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        left=(nodes["left"] + offset).astype(np.int32),
        right=(nodes["right"] + offset).astype(np.int32),
        leaf=np.where(leaf, nodes["value"], 0.0) / len(forests),
        start=float(np.mean(starts)),
    )


def save(judge: Judge, path: Path) -> None:
    """Write a judge as the filter reads it."""
    np.savez_compressed(path, names=np.array(NAMES), **vars(judge))


def left_out(examples: Examples) -> NDArray[np.float64]:
    """Return the chance of each patch by a judge that has seen nothing of its family, (N,)."""
    chance = np.zeros(len(examples.benefit))
    for family in np.unique(examples.family):
        own = examples.family == family
        unseen = ~np.isin(examples.family, list(related(str(family))))
        chance[own] = grow(examples, unseen).chance(examples.numbers[own])
    return chance

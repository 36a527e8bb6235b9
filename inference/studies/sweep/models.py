"""Models of a sweep side by side on validation tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autolabel.label_pictures import tile_picture
from inference.predict.decision import read_decision
from inference.predict.predict import open_for_tiles, open_model
from inference.studies.out_of_fold import predicted, tile_labels, validation_tiles
from inference.studies.sweep.comparison import Compared
from inference.studies.sweep.planning import Plan
from inference.studies.sweep.trials import Training, shown
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.report.side_by_side import ComparedTile
from polynya.shards.dataset import StoredTile
from training.input.split import split_by_file

_TILES = 3
"""Tiles that are shown."""


def chosen_models(trials: Sequence[Compared], plan: Plan) -> list[tuple[str, Training]]:
    """Choose the models to show, with a title each.

    They are the best ones of each value of the study's parameter `lines`; without it, the best and
    the worst trial. Each with the first seed.

    Args:
        trials: Trials with a score, best first.
        plan: The sweep.
    """
    score, lines = plan.scores[0], plan.options.lines
    firsts = [one for one in trials if np.isfinite(one.values[0, 0])]
    if lines is not None:
        chosen = list({one.trial.levels[lines]: one for one in reversed(firsts)}.values())[::-1]
    else:
        chosen = [*firsts[:1], *firsts[1:][-1:]]
    unit = "" if score.less_is_better else " %"
    return [
        (
            f"{one.trial.number:04d}"
            + (f", {shown(one.trial.levels[lines])}" if lines is not None else "")
            + f": {score.text(float(one.values[0, 0]))}{unit}",
            Training(one.trial, 0),
        )
        for one in chosen[: plan.options.compared]
    ]


def compare_models(plan: Plan, trainings: Sequence[Training]) -> list[ComparedTile]:
    """Predict some validation tiles with several models.

    Tiles are those of different scenes whose labels have the greatest entropy.

    Raises:
        PolynyaError: A tile or a model can't be read.
    """
    tiles = _varied_tiles(plan, plan.recipe(trainings[0]))
    labels: list[list[NDArray[np.uint8]]] = [[] for _ in tiles]
    for training in trainings:
        folder = plan.folder.model(training)
        model = open_model(folder)
        decision = read_decision(folder, model.recipe)
        found = predicted(tiles, open_for_tiles(model, decision), model.recipe)
        for own, tile, probabilities in zip(labels, tiles, found, strict=True):
            own.append(tile_labels(tile, probabilities, decision, model.classes))
    return [
        ComparedTile(
            f"{tile.scene_id} {tile.row} {tile.col}",
            tile_picture(tile, plan.shards),
            tile.label,
            own,
        )
        for tile, own in zip(tiles, labels, strict=True)
    ]


def _varied_tiles(plan: Plan, recipe: Recipe) -> list[StoredTile]:
    split = split_by_file(plan.shards, recipe.split)
    best: dict[str, tuple[float, StoredTile]] = {}
    for tile in validation_tiles(plan.shards, split):
        varied = _entropy(tile.label, recipe.classes)
        if varied > best.get(tile.scene_id, (-1.0, tile))[0]:
            best[tile.scene_id] = varied, tile
    ordered = sorted(best.values(), key=lambda pair: -pair[0])
    return [tile for _, tile in ordered[:_TILES]]


def _entropy(labels: NDArray[np.uint8], classes: ClassScheme) -> float:
    """Entropy of the labels of a tile, nats; nodata counts as nothing."""
    counts = np.bincount(labels[labels != classes.nodata].ravel()).astype(float)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())

"""Scores of finished models on further tiles: other labels, other images, changed tiles.

They are known when the trainings are over, and take no part in them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from inference.studies.sweep.study import EvaluationOptions
from inference.studies.sweep.trials import Training
from polynya.errors import ShardError
from polynya.progress import track
from polynya.recipe.overrides import resolve
from polynya.recipe.recipe import Recipe
from polynya.shards.dataset import ShardSet, StoredTile
from polynya.splits.split_file import TileSplit, read_split

if TYPE_CHECKING:
    from inference.studies.sweep.planning import Plan


def evaluate_models(plan: Plan) -> None:
    """Score all finished models on the further tiles of the study, unless that is done already.

    Raises:
        PolynyaError: A model or a tile can't be read, no tile is left, or a file can't be written.
    """
    if not plan.options.evaluate:
        return
    made_from = _digest(plan)
    left = [
        training
        for training in plan.trainings()
        if (over := plan.folder.over(training)) is not None
        and over[0] == "finished"
        and not plan.folder.evaluated(training, made_from)
    ]
    if not left:
        return
    split = read_split(plan.folder.split)
    for training in track(left, "Evaluating models"):
        plan.folder.keep_evaluated(training, _evaluated(plan, training, split), made_from)


def _digest(plan: Plan) -> str:
    """Digest of what evaluations are made from; the folder's models and tiles don't change."""
    content: list[Any] = [one.model_dump() for one in plan.options.evaluate.values()]
    content += [list(plan.options.evaluate), plan.base.seed]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _evaluated(plan: Plan, training: Training, split: TileSplit) -> dict[str, Any]:
    """Scores by name of the evaluation, each as `validation` in metrics.json."""
    # They load TensorFlow.
    import keras

    from inference.predict.decision import Decision
    from inference.predict.predict import open_for_tiles, open_model
    from inference.studies.out_of_fold import predicted, tile_labels
    from training.metrics.base import Sample
    from training.metrics.tally import Tally
    from training.model_folder.card import scores_record

    keras.utils.clear_session()
    model, decision = open_model(plan.folder.model(training)), Decision()
    recipe, classes = model.recipe, model.classes
    forward = open_for_tiles(model, decision)
    found = {}
    for name, options in plan.options.evaluate.items():
        tally = Tally(classes, recipe.training.metrics)
        tiles = _tiles(plan, training, options, split, resolve(recipe, {"seed": plan.base.seed}))
        while batch := list(islice(tiles, recipe.training.batch_size)):
            for tile, values in zip(batch, predicted(batch, forward, recipe), strict=True):
                labels = tile_labels(tile, values, decision, classes)
                tally.add(Sample(tile.label, labels, classes, values))
        if not tally.images:
            raise ShardError(
                f"The study's 'evaluate.{name}' has no tile with a label that the study's split"
                " doesn't train on; give other tiles as --shards, or change the recipe's split."
            )
        found[name] = scores_record(tally, classes)
    return found


def _tiles(
    plan: Plan, training: Training, options: EvaluationOptions, split: TileSplit, recipe: Recipe
) -> Iterator[StoredTile]:
    """Read the tiles of an evaluation: those that no training has seen, changed if asked for."""
    name = options.shards
    shards: ShardSet = plan.data.of(training.trial) if name is None else plan.data.named[name]
    changes: Any = None
    if options.augment:
        from training.copies.changes import TileChanges

        changes = TileChanges(recipe)
    for tile in shards.tiles(shards.row_groups(shards.scene_ids)):
        key = (tile.scene_id, tile.row, tile.col)
        own = split.tiles.get(key)
        validates = own is not None and own.fold == 0
        trains = own is not None and split.trains(key, 0)
        if trains or (name is None and not validates):
            continue
        if changes is not None:
            image, label, _ = changes.change(tile.image, tile.label, key, 1)
            tile = replace(tile, image=image, label=label)
        yield tile

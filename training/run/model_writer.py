"""Writes files and prints progress during a training, on rank 0 only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from polynya.errors import ModelError
from polynya.progress import console
from polynya.provenance import provenance
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text
from training.model_facts.drawing import draw_network
from training.model_facts.facts import ModelFacts, fact_rows, facts_of
from training.model_facts.graph import at_size
from training.model_folder import checkpoints
from training.model_folder import folder as model_folder
from training.model_folder.card import model_card
from training.model_folder.checkpoints import Arrays, Position
from training.model_folder.training_log import EpochRecord
from training.run.build import TrainingData, seen_size
from training.run.listener import Listener

_FEW_STEPS = 100
"""Number of steps that is too small: even small networks need some hundreds."""
_LEAST_RECALL = 0.01


class ModelWriter(Listener):
    """Writes the files of one model, except checkpoints, and prints a line for each epoch.

    Args:
        folder: Folder of the model.
        recipe: Recipe of the training.
        data: Data of the training.
        model: The model in training.
    """

    def __init__(
        self, folder: Path, recipe: Recipe, data: TrainingData, model: keras.Model
    ) -> None:
        self._folder = folder
        self._recipe = recipe
        self._data = data
        self._model = model

    def epoch(
        self,
        position: Position,
        record: EpochRecord,
        is_best: bool,
        metrics: Mapping[str, Any],
    ) -> None:
        """Save the model if it is the best, write history.csv and steps.csv, and print a line."""
        if is_best:
            self._write_best(position)
        self.checkpoint(position)
        self._print(record, is_best)

    def resume(self, position: Position) -> None:
        """Save the best model, because a later, lost epoch may have replaced it."""
        self._write_best(position)

    def checkpoint(self, position: Position) -> None:
        """Write history.csv and steps.csv, each only if it has a row."""
        for name, rows in (
            (model_folder.HISTORY_FILE, position.history),
            (model_folder.STEPS_FILE, position.steps),
        ):
            if rows:
                model_folder.write_csv(self._folder / name, rows)

    def _write_best(self, position: Position) -> None:
        model_folder.save_model(self._folder, self._model, self._recipe)
        model_folder.write_json(self._folder / model_folder.METRICS_FILE, position.best_metrics)

    def average(self, position: Position, moments: int) -> None:
        """Save the mean of the weights in place of the best epoch, and print its scores."""
        self._write_best(position)
        line = f"Mean of the weights at {moments} moments"
        if self._data.split.validation:
            found = position.best_metrics["validation"]
            line += (
                f": validation loss {found['loss']:.4f}, accuracy {found['accuracy']:.4f}, mean IoU"
                f" {found['mean_iou']:.4f}"
            )
        console.print(line, soft_wrap=True)

    def _print(self, record: EpochRecord, is_best: bool) -> None:
        line = f"Epoch {record.epoch}/{self._recipe.training.epochs}: loss {record.loss:.4f}"
        if self._data.split.validation:
            line += (
                f", validation loss {record.val_loss:.4f}, accuracy {record.val_accuracy:.4f},"
                f" mean IoU {record.val_mean_iou:.4f}{' (best)' if is_best else ''}"
            )
        speed = f"{record.images_per_second:.1f} images/s, {record.seconds:.1f} s"
        if record.reduced_bytes:
            speed += f", {100 * record.waiting_share:.0f} % waiting for other ranks"
        console.print(f"{line}; {speed}", soft_wrap=True)

    def end(self, position: Position, best_weights: Arrays, about: Mapping[str, str]) -> None:
        """Write the files of a finished model, then delete its checkpoints.

        Raises:
            ModelError: The model's file can't be opened, or has wrong weights. Then the checkpoints
                stay.
        """
        _check_model(self._folder, best_weights)
        split = self._data.split
        model_folder.write_split(self._folder, split, self._data.digests)
        by_file = {} if split.digest is None else {"split_digest": split.digest}
        size = seen_size(self._recipe)
        network = at_size(self._model, [(size, size, self._model.input_shape[-1])])
        network_facts = facts_of(network)
        facts = provenance(
            self._recipe,
            **by_file,
            shards_digest=self._data.shards_digest,
            data_digest=self._data.digest,
            keras_version=keras.__version__,
            parameters=str(self._model.count_params()),
            pass_mb=f"{network_facts.pass_mb:.2f}",
            **about,
        )
        model_folder.write_json(self._folder / model_folder.PROVENANCE_FILE, facts)
        self._draw(network, size)
        told = _table(network_facts, size, position.history[-1].images_per_second)
        write_text(
            self._folder / model_folder.CARD_FILE,
            model_card(self._recipe, split, position.best_metrics, facts, network=told),
        )
        checkpoints.remove_all(self._folder)
        for doubt in doubts(position, self._recipe):
            console.print(f"Look at this model before you use it: {doubt}.", soft_wrap=True)

    def _draw(self, network: keras.Model, size: int) -> None:
        title = f"{self._recipe.model.name} for {self._recipe.classes.name}"
        write_text(
            self._folder / model_folder.NETWORK_PICTURE,
            draw_network(network, f"{title}, images of {size} x {size} pixels"),
        )


def _table(facts: ModelFacts, size: int, images_per_second: float) -> str:
    """The card's table of the facts of a network, for tiles as it saw them."""
    speed = f"{images_per_second:.1f} images/s in the last epoch"
    rows = [*fact_rows(facts), ("training speed of all ranks", speed)]
    lines = [f"For images of {size} x {size} pixels:", "", "| fact | value |", "|---|---|"]
    lines += [f"| {what} | {value} |" for what, value in rows]
    return "\n".join([*lines, "", f"![]({model_folder.NETWORK_PICTURE})"])


def doubts(position: Position, recipe: Recipe) -> list[str]:
    """List signs that a finished model has hardly learnt, in words; usually empty."""
    found = []
    validation = position.best_metrics.get("validation", {})
    recalls = [c["recall"] for c in validation.get("classes", {}).values()]
    for title, recall in zip(recipe.classes.titles, recalls, strict=False):
        if recall < _LEAST_RECALL:  # NaN where the class is absent.
            found.append(f"it finds {100 * recall:.1f} % of the validation pixels of '{title}'")
    if len(position.steps) < _FEW_STEPS:
        found.append(
            f"it was trained for {len(position.steps)} steps; more epochs, a smaller batch_size or"
            " smaller tiles give more steps"
        )
    return found


def _check_model(folder: Path, weights: Arrays) -> None:
    """Open a model as every user will, and compare its weights with the weights in memory."""
    found = model_folder.load_model(folder).keras_model.get_weights()
    if len(found) != len(weights) or not all(map(np.array_equal, found, weights)):
        raise ModelError(
            f"{folder / model_folder.MODEL_FILE} doesn't have the weights that were written; check"
            " the disk, and start again with --resume."
        )

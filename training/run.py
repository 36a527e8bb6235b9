"""One training run, from shards to a model folder."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from polynya.errors import ModelError
from polynya.files import write_text
from polynya.progress import console, track
from polynya.provenance import provenance
from polynya.recipe import Recipe, load_recipe
from polynya.shards import ShardSet, open_shards
from training import model_folder
from training.card import model_card, scores_record
from training.collective import Collective
from training.inputs import steps_per_epoch
from training.loop import Trainer, ValidationResult
from training.metrics import Scores, scores
from training.prepare import TrainingData, check_recipe, load_data, make_trainer, rank_seed
from training.together import together


@dataclass(frozen=True)
class EpochRecord:
    """A row of history.csv."""

    epoch: int
    """From 1."""
    learning_rate: float
    """Of the epoch's first step."""
    loss: float
    """Mean over all valid pixels of the epoch, nats."""
    val_loss: float
    val_accuracy: float
    val_mean_iou: float
    images_per_second: float
    """Training tiles of all ranks, over the time of the training steps."""
    seconds: float
    """Of the whole epoch, validation included."""


@dataclass(frozen=True)
class StepRecord:
    """A row of steps.csv."""

    step: int
    """From 1, over all epochs."""
    epoch: int
    loss: float
    """Mean over the valid pixels of the global batch, nats."""
    valid_pixels: int


@dataclass(frozen=True)
class TrainingSummary:
    """What a run did; the same on every rank."""

    folder: Path
    best_epoch: int
    history: tuple[EpochRecord, ...]
    weights_digest: str
    """Of the weights after the last step, which is the same on every rank."""
    ranks: int


def train_model(
    shards_folder: str | Path,
    out: str | Path,
    recipe_file: str | Path | None,
    collective: Collective,
    *,
    threads: int = 1,
    overwrite: bool = False,
) -> TrainingSummary:
    """Train a model on shards and write its folder (rank 0).

    Args:
        shards_folder: From `polynya label` or `autolabel/job.py`.
        out: Folder for the model.
        recipe_file: YAML; None takes the recipe of the shards.
        collective: The ranks.
        threads: Of this rank.
        overwrite: Replace a finished model.

    Raises:
        PolynyaError: Shards, recipe or output can't be used; every rank raises the same.
    """

    def prepare() -> tuple[Recipe, ShardSet]:
        shards = open_shards(shards_folder)
        recipe = shards.recipe if recipe_file is None else load_recipe(recipe_file)
        check_recipe(recipe, shards)
        return recipe, shards

    def start() -> Trainer:
        if collective.rank == 0:
            model_folder.write_recipe(model_folder.start_folder(out, overwrite), recipe)
        # Each rank draws its own dropout; the weights come from rank 0, however many there are.
        keras.utils.set_random_seed(rank_seed(recipe, collective.rank))
        return make_trainer(recipe, len(data.training), collective)

    recipe, shards = together(collective, prepare)
    data = load_data(shards, recipe, collective, threads)
    trainer = together(collective, start)
    trainer.broadcast()
    return _Run(Path(out), recipe, data, trainer, collective).train()


class _Run:
    """The epochs of one run. Only rank 0 writes and prints."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        data: TrainingData,
        trainer: Trainer,
        collective: Collective,
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.data = data
        self.trainer = trainer
        self.collective = collective
        self.is_first = collective.rank == 0
        self.history: list[EpochRecord] = []
        self.steps: list[StepRecord] = []
        self.best_epoch = 0
        self.best_value = math.nan
        self.best_metrics: dict[str, Any] = {}

    def train(self) -> TrainingSummary:
        options, size = self.recipe.training, self.collective.size
        steps = steps_per_epoch(len(self.data.training), batch_size=options.batch_size, size=size)
        progress = track(range(options.epochs * steps), "Training, steps", enabled=self.is_first)
        for epoch in range(options.epochs):
            self._train_epoch(epoch, progress)
        next(progress, None)
        digest = self._check_ranks()
        if self.is_first:
            self._finish(digest)
        self.collective.barrier()
        return TrainingSummary(self.folder, self.best_epoch, tuple(self.history), digest, size)

    def _train_epoch(self, epoch: int, progress: Iterator[int]) -> None:
        options, collective = self.recipe.training, self.collective
        start = time.monotonic()
        learning_rate = self.trainer.learning_rate()
        indices = self.data.training.epoch_indices(
            epoch=epoch,
            seed=self.recipe.seed,
            shuffle=options.shuffle,
            batch_size=options.batch_size,
            rank=collective.rank,
            size=collective.size,
        )
        sums = self.trainer.train_epoch(
            self.data.training.batches(indices), on_step=lambda: next(progress)
        )
        trained = time.monotonic()
        validation = self.trainer.validate(self.data.validation.all_batches(options.batch_size))
        found = scores(validation.confusion)
        loss, pixels = sums.sum(axis=0)
        self._add_steps(epoch, sums)
        record = EpochRecord(
            epoch=epoch + 1,
            learning_rate=learning_rate,
            loss=float(loss / max(pixels, 1.0)),
            val_loss=validation.loss,
            val_accuracy=found["accuracy"],
            val_mean_iou=found["mean_iou"],
            images_per_second=len(self.data.training) / (trained - start),
            seconds=time.monotonic() - start,
        )
        self.history.append(record)
        is_best = self._is_best(record)
        if is_best:
            self._note_best(record, validation, found)
        if self.is_first:
            self._write_epoch(record, is_best)

    def _add_steps(self, epoch: int, sums: NDArray[np.float64]) -> None:
        first = len(self.steps) + 1
        self.steps += [
            StepRecord(first + i, epoch + 1, float(loss / max(pixels, 1.0)), int(pixels))
            for i, (loss, pixels) in enumerate(sums)
        ]

    def _is_best(self, record: EpochRecord) -> bool:
        if not self.data.split.validation:
            value = -record.loss
        elif self.recipe.training.monitor == "loss":
            value = -record.val_loss
        elif self.recipe.training.monitor == "accuracy":
            value = record.val_accuracy
        else:
            value = record.val_mean_iou
        better = math.isnan(self.best_value) or value > self.best_value
        if better:
            self.best_value = value
        return better

    def _note_best(self, record: EpochRecord, validation: ValidationResult, found: Scores) -> None:
        self.best_epoch = record.epoch
        self.best_metrics = {
            "epoch": record.epoch,
            "training": {"loss": record.loss},
            "validation": {
                "loss": validation.loss,
                **scores_record(found, self.recipe.classes),
                "confusion": validation.confusion.tolist(),
            },
        }

    def _write_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if is_best:
            model_folder.save_model(self.folder, self.trainer.model, self.recipe)
            model_folder.write_json(self.folder / model_folder.METRICS_FILE, self.best_metrics)
        model_folder.write_csv(self.folder / model_folder.HISTORY_FILE, self.history)
        model_folder.write_csv(self.folder / model_folder.STEPS_FILE, self.steps)
        line = f"Epoch {record.epoch}/{self.recipe.training.epochs}: loss {record.loss:.4f}"
        if self.data.split.validation:
            line += (
                f", validation loss {record.val_loss:.4f}, accuracy {record.val_accuracy:.4f},"
                f" mean IoU {record.val_mean_iou:.4f}{' (best)' if is_best else ''}"
            )
        speed = f"{record.images_per_second:.1f} images/s, {record.seconds:.1f} s"
        console.print(f"{line}; {speed}", soft_wrap=True)

    def _check_ranks(self) -> str:
        """Digest of the last weights, compared over the ranks: a silent drift must not pass."""
        digests = self.collective.gather(weights_digest(self.trainer.model))
        if len(set(digests)) > 1:
            raise ModelError(
                f"The weights differ between ranks ({', '.join(digests)}); the ranks' machines or"
                " software differ, so start them all in the same environment."
            )
        return str(digests[0])

    def _finish(self, digest: str) -> None:
        about = provenance(
            self.recipe,
            shards_digest=self.data.shards_digest,
            keras_version=keras.__version__,
            ranks=str(self.collective.size),
            parameters=str(self.trainer.model.count_params()),
            last_weights_digest=digest,
            best_epoch=str(self.best_epoch),
        )
        split = self.data.split
        model_folder.write_json(
            self.folder / model_folder.SPLIT_FILE,
            {"training": split.training, "validation": split.validation},
        )
        model_folder.write_json(self.folder / model_folder.PROVENANCE_FILE, about)
        write_text(
            self.folder / model_folder.CARD_FILE,
            model_card(self.recipe, split, self.best_metrics, about),
        )


def weights_digest(model: keras.Model) -> str:
    """SHA-256 (first 16 hex digits) of all weights, to the last bit."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]

"""One training run, from shards to a model folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from polynya.errors import ModelError
from polynya.progress import console, track
from polynya.recipe.recipe import Recipe
from training.errors import StoppedError
from training.input.batches import steps_per_epoch
from training.input.validation import ValidationTiles
from training.model_folder import checkpoints
from training.model_folder.card import scores_record
from training.model_folder.checkpoints import Arrays, Checkpoint, Position
from training.model_folder.training_log import EpochRecord, StepRecord, TrainingSummary
from training.optimisation.schedules import epochs_since_best, plateau_drops
from training.ranks.port import Collective
from training.run.averaging import Averaging
from training.run.build import TrainingData
from training.run.listener import Listener
from training.run.model_writer import ModelWriter
from training.step.trainer import NotFiniteError, StepResult, Trainer, ValidationResult


class Run:
    """The epochs of one run. Only rank 0 writes and prints.

    Args:
        folder: Folder of the model.
        recipe: Recipe of the training.
        data: Tiles of this rank.
        trainer: Model, optimizer and step.
        collective: The ranks.
        checkpoint: Checkpoint to go on from; only rank 0 has its arrays. None for a new training.
        tile_names: Function from indices of training tiles to their names in messages.
        listeners: Other listeners of the training, on rank 0.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        data: TrainingData,
        trainer: Trainer,
        collective: Collective,
        checkpoint: Checkpoint | None,
        tile_names: Callable[[list[int]], list[str]],
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.options = recipe.training
        self.data = data
        self.trainer = trainer
        self.collective = collective
        self.tile_names = tile_names
        self.held = ExitStack()
        """Resources that the run holds until `train` ends, such as the lock of its folder."""
        self.is_first = collective.rank == 0
        self.listeners: tuple[Listener, ...] = ()
        if self.is_first:
            self.listeners = (ModelWriter(folder, recipe, data, trainer.model), *listeners)
        self.position = Position()
        self.best_weights: Arrays = []
        self.step_tiles = self.options.batch_size * self.options.accumulate
        """Number of tiles that this rank uses in one step."""
        self.averaging = Averaging(recipe, data, trainer, collective)
        if checkpoint is not None:
            self._go_on_from(checkpoint)
        # All ranks start with the weights, optimizer and loss scale of rank 0.
        trainer.broadcast()

    def train(self, wants_stop: Callable[[], bool] = lambda: False) -> TrainingSummary:
        """Train to the end.

        Args:
            wants_stop: Whether this rank was told to stop. If one rank was, all ranks stop.

        Raises:
            StoppedError: A rank was told to stop; there is a checkpoint.
            ModelError: A number was not finite, or the weights differ between ranks.
            OutputError: Something can't be written; only this rank raises it.
        """
        with self.held:
            for listener in self.listeners:
                listener.start(self.position)
            try:
                return self._train(wants_stop)
            except BaseException as error:
                is_stopped = isinstance(error, (StoppedError, KeyboardInterrupt))
                for listener in self.listeners:
                    listener.leave(self.position, "stopped" if is_stopped else "failed")
                raise

    def _train(self, wants_stop: Callable[[], bool]) -> TrainingSummary:
        steps_left = (self.options.epochs - self.position.epoch) * self._steps_of_epoch()
        steps_left -= self.position.epoch_steps
        progress = track(range(steps_left), "Training, steps", enabled=self.is_first)
        while self.position.epoch < self.options.epochs and not self._is_over():
            self._train_epoch(progress, wants_stop)
        next(progress, None)
        digest = self._check_ranks()
        size, history = self.collective.size, self.position.history
        best_epoch = len(history) - epochs_since_best(self._scores())
        if averages := self.averaging.has_mean(self.position):
            self._take_mean()
        if self.is_first:
            about = {"ranks": str(size), "last_weights_digest": digest}
            for key in ("started_from", "started_with"):
                if text := getattr(self.position, key):
                    about[key] = text
            about["best_epoch"] = str(best_epoch)
            if averages:
                about["averaged_moments"] = str(self.position.averaged)
            for listener in self.listeners:
                listener.end(self.position, self.best_weights, about)
        self.collective.barrier()
        moments = self.position.averaged if averages else 0
        return TrainingSummary(self.folder, best_epoch, tuple(history), digest, size, moments)

    def _train_epoch(self, progress: Iterator[int], wants_stop: Callable[[], bool]) -> None:
        start = time.monotonic()
        position = self.position
        if position.epoch_steps == 0 and 0 < position.epoch == self.options.freeze_encoder_epochs:
            self.trainer.thaw(position.epoch / self.options.epochs)
        if position.epoch_steps == 0:
            position.learning_rate = self.trainer.learning_rate()
        tiles, waiting = -position.epoch_tiles, 0.0
        batches = self._batches()
        source = self.data.training.batches(batches.reshape(-1, self.options.batch_size))
        try:
            for step, result in enumerate(self.trainer.train(source, wants_stop), start=1):
                next(progress)
                self._note_step(result)
                waiting += result.waiting_s
                self._stop_or_save(step, result)
            self.trainer.check_weights(len(batches))
        except NotFiniteError as error:
            raise self._not_finite(error, batches) from None
        trained = time.monotonic() - start
        known, validation = self._validate()
        record = EpochRecord(
            epoch=position.epoch + 1,
            learning_rate=position.learning_rate,
            loss=self._epoch_loss(),
            val_loss=validation.loss,
            val_accuracy=(found := validation.tally.together())["accuracy"],
            val_mean_iou=found["mean_iou"],
            images_per_second=(tiles + position.epoch_tiles) / trained,
            waiting_share=float(self.collective.average(waiting / trained)),
            reduced_bytes=self.trainer.reduced_bytes,
            seconds=time.monotonic() - start,
            val_mean_f1=found["mean_f1"],
            **({} if known is None else _known_scores(known)),
        )
        self._finish_epoch(record, validation, known)

    def _validate(self) -> tuple[ValidationResult | None, ValidationResult]:
        """Score the model on the training tiles, if the recipe wants that, and on validation ones.

        Every rank must call it.
        """
        size, known = self.options.batch_size, None
        if self.options.metrics.training:
            tiles = ValidationTiles(self.data.tiles, self.recipe, self.collective)
            known = self.trainer.validate(tiles.all_batches(size))
        return known, self.trainer.validate(self.data.validation.all_batches(size))

    def _batches(self) -> NDArray[np.int64]:
        """List the tiles of this rank in the remaining steps of the epoch: int64 (steps, tiles)."""
        return self.data.training.epoch_indices(
            epoch=self.position.epoch,
            seed=self.recipe.seed,
            shuffle=self.options.shuffle,
            batch_size=self.step_tiles,
            rank=self.collective.rank,
            size=self.collective.size,
            seen=self.position.epoch_tiles,
        )

    def _steps_of_epoch(self) -> int:
        return steps_per_epoch(
            len(self.data.training), batch_size=self.step_tiles, size=self.collective.size
        )

    def _note_step(self, result: StepResult) -> None:
        position, tiles = self.position, len(self.data.training)
        record = StepRecord(len(position.steps) + 1, position.epoch + 1, result.loss, result.pixels)
        position.steps.append(record)
        for listener in self.listeners:
            listener.step(record)
        position.epoch_steps += 1
        position.epoch_tiles += self.step_tiles * self.collective.size
        position.epoch_tiles = min(position.epoch_tiles, tiles)
        self.averaging.after_step(position)
        # After a start with another number of ranks, the last step may have fewer tiles.
        done = position.epoch_tiles == tiles
        position.epoch_share = 1.0 if done else position.epoch_steps / self._steps_of_epoch()

    def _stop_or_save(self, step: int, result: StepResult) -> None:
        every, done = self.options.checkpoints.every_steps, len(self.position.steps)
        is_due = every is not None and done % every == 0
        if result.wants_stop or is_due:
            self.trainer.check_weights(step)
        if result.wants_stop:
            self._save_checkpoint()
            self.collective.barrier()  # When the first rank ends, a launcher kills the others.
            raise StoppedError(
                f"Training was told to stop and has left a checkpoint after step {done}; the same"
                " command with --resume goes on from there."
            )
        if is_due:
            self._save_checkpoint()

    def _epoch_loss(self) -> float:
        rows = [row for row in self.position.steps if row.epoch == self.position.epoch + 1]
        pixels = sum(row.valid_pixels for row in rows)
        return sum(row.loss * row.valid_pixels for row in rows) / max(pixels, 1)

    def _finish_epoch(
        self,
        record: EpochRecord,
        validation: ValidationResult,
        known: ValidationResult | None,
    ) -> None:
        position, options = self.position, self.options
        position.history.append(record)
        position.epoch, position.epoch_steps, position.epoch_tiles = record.epoch, 0, 0
        position.epoch_share = 0.0
        self.averaging.after_epoch(position)
        self._lower_learning_rate()
        is_best = epochs_since_best(self._scores()) == 0
        metrics = self._metrics(record, validation, known)
        if is_best:
            position.best_metrics = metrics
        if self.is_first:
            if is_best:
                self.best_weights = self.trainer.model.get_weights()
            for listener in self.listeners:
                listener.epoch(position, record, is_best, metrics)
        every = options.checkpoints.every_epochs
        if every is not None and record.epoch % every == 0:
            self._save_checkpoint()

    def _metrics(
        self, record: EpochRecord, validation: ValidationResult, known: ValidationResult | None
    ) -> dict[str, Any]:
        """Content of metrics.json."""
        classes = self.recipe.classes
        training = {} if known is None else scores_record(known.tally, classes)
        return {
            "epoch": record.epoch,
            "training": {"loss": record.loss, **training},
            "validation": {"loss": validation.loss, **scores_record(validation.tally, classes)},
        }

    def _take_mean(self) -> None:
        """Make the mean of the weights the model, and score it. Every rank must call it."""
        position = self.position
        self.averaging.take_mean()
        self.trainer.check_weights(len(position.steps))
        self._check_ranks()
        known, validation = self._validate()
        position.best_metrics = {
            **self._metrics(position.history[-1], validation, known),
            "averaged_moments": position.averaged,
        }
        if self.is_first:
            self.best_weights = self.trainer.model.get_weights()
            for listener in self.listeners:
                listener.average(position, position.averaged)

    def _scores(self) -> list[float]:
        monitor = self.options.monitor if self.data.counts.can_validate else "training loss"
        return [record.score(monitor) for record in self.position.history]

    def _is_over(self) -> bool:
        patience, waited = self.options.early_stopping, epochs_since_best(self._scores())
        return patience is not None and waited >= patience

    def _lower_learning_rate(self) -> None:
        if self.options.plateau is not None:
            patience, factor = self.options.plateau
            drops = plateau_drops(self._scores(), patience)
            self.trainer.scale_learning_rate(factor**drops)

    def _save_checkpoint(self) -> None:
        """Write a checkpoint. Every rank must call it, because it gathers all random states."""
        random_states = self.collective.gather(_values(self.trainer.random_state()))
        if self.is_first:
            for listener in self.listeners:
                listener.checkpoint(self.position)
            checkpoint = Checkpoint(
                position=self.position,
                recipe=self.recipe,
                data_digest=self.data.digest,
                state=_values(self.trainer.state()),
                best_weights=self.best_weights,
                weight_sums=self.averaging.sums,
                random_states=random_states,
            )
            checkpoints.write(self.folder, checkpoint, keep=self.options.checkpoints.keep)

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        self.position, self.best_weights = checkpoint.position, checkpoint.best_weights
        self.averaging.go_on(checkpoint.weight_sums, self.position)
        model = self.trainer.model
        if self.best_weights:
            model.set_weights(self.best_weights)
            for listener in self.listeners:
                listener.resume(self.position)
        if self.is_first:
            _assign(self.trainer.state(), checkpoint.state)
            console.print(f"Going on after step {len(self.position.steps)}", soft_wrap=True)
        if len(checkpoint.random_states) == self.collective.size:
            random_state = checkpoint.random_states[self.collective.rank]
            _assign(self.trainer.random_state(), random_state)
        self._lower_learning_rate()

    def _not_finite(self, error: NotFiniteError, batches: NDArray[np.int64]) -> ModelError:
        """Make an error that names step and tiles; save a checkpoint if all weights are finite."""
        done, epoch = len(self.position.steps), self.position.epoch + 1
        if error.what == "weight":
            # It is not known which step spoiled the weight. The last checkpoint is still good.
            self.collective.barrier()
            return ModelError(
                f"A weight is not a finite number after step {done} (epoch {epoch}); {error.remedy}"
            )
        own = batches[error.step - 1]
        by_rank = self.collective.gather((error.in_this_rank, own[own >= 0].tolist()))
        guilty = [tiles for is_guilty, tiles in by_rank if is_guilty]
        tiles = sorted(tile for batch in guilty or [t for _, t in by_rank] for tile in batch)
        self.trainer.share_statistics()
        if all(np.isfinite(weight).all() for weight in self.trainer.model.get_weights()):
            self._save_checkpoint()
        self.collective.barrier()
        return ModelError(
            f"The {error.what} is not a finite number at step {done + 1} (epoch {epoch}), in the"
            f" batch of tiles {', '.join(self.tile_names(tiles))}; {error.remedy}"
        )

    def _check_ranks(self) -> str:
        """Compute the digest of the last weights; ModelError if it differs between ranks."""
        digests = self.collective.gather(weights_digest(self.trainer.model))
        if len(set(digests)) > 1:
            raise ModelError(
                f"The weights differ between ranks ({', '.join(digests)}); the ranks' machines or"
                " software differ, so start them all in the same environment."
            )
        return str(digests[0])


def weights_digest(model: keras.Model) -> str:
    """SHA-256 (first 16 hex digits) of all bits of all weights."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]


def _known_scores(known: ValidationResult) -> dict[str, float]:
    """Columns of history.csv about the training tiles."""
    found = known.tally.together()
    return {
        "training_loss": known.loss,
        "training_accuracy": found["accuracy"],
        "training_mean_iou": found["mean_iou"],
    }


def _values(variables: list[Any]) -> Arrays:
    return [variable.value.numpy() for variable in variables]


def _assign(variables: list[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

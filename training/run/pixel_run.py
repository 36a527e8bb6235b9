"""One training of decision trees on single pixels, from tiles to a model folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.progress import track
from polynya.provenance import provenance
from polynya.recipe.classes import ClassScheme
from polynya.recipe.model import XgboostOptions
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text
from training.errors import StoppedError
from training.labels import most_probable
from training.metrics.base import Sample
from training.metrics.tally import Tally
from training.model_folder import folder as model_folder
from training.model_folder.card import model_card, scores_record
from training.model_folder.checkpoints import Position
from training.model_folder.training_log import EpochRecord, TrainingSummary
from training.models.features import FeaturePlan, FeatureStatistics, make_features
from training.run.build import TrainingData
from training.run.class_weights import loss_weights
from training.run.listener import Listener
from training.trees.booster import grow, library_version
from training.trees.importances import draw_importances, importances, importances_text
from training.trees.pixel_model import Floats, PixelModel, features_of
from training.trees.pixels import Pixels, draw_pixels
from training.trees.tree_file import STATISTICS, make_member, statistics_text

_TILES_AT_ONCE = 16
_LEAST_PROBABILITY = 1e-7
"""Lower bound in logarithms, as in Keras."""


class PixelRun:
    """A training that is prepared; see `training.run.epochs.Run`, whose place it takes.

    All rounds together count as one epoch. There are no checkpoints, because it takes minutes.

    Args:
        folder: Folder of the model, locked and emptied.
        recipe: Recipe of the training.
        options: Its section `model`.
        data: All tiles.
        statistics: Statistics of the training tiles, if the recipe's features need them.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        options: XgboostOptions,
        data: TrainingData,
        statistics: FeatureStatistics | None,
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.options = options
        self.data = data
        self.statistics = statistics
        self.plan = FeaturePlan.of(recipe)
        self.held = ExitStack()
        """Resources that the run holds until `train` ends, such as the lock of its folder."""
        self.listeners: tuple[Listener, ...] = ()
        """They are told of the one epoch, when its files are written."""
        self.model: PixelModel | None = None
        """The trees, once they have grown."""

    def predict(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Predict images (B, H, W, bands) once the trees have grown: float32 (B, H, W, C)."""
        assert self.model is not None
        return self.model.predict_on_batch(images)

    def train(self, wants_stop: Callable[[], bool] = lambda: False) -> TrainingSummary:
        """Draw pixels, grow trees on them, and validate on all pixels of the validation tiles.

        Args:
            wants_stop: Whether this process was told to stop.

        Raises:
            StoppedError: It was; nothing is kept.
            ShardError: A tile can't be read.
            OutputError: Something can't be written.
        """
        position = Position()
        with self.held:
            for listener in self.listeners:
                listener.start(position)
            try:
                return self._train(position, wants_stop)
            except BaseException as error:
                is_stopped = isinstance(error, (StoppedError, KeyboardInterrupt))
                for listener in self.listeners:
                    listener.leave(position, "stopped" if is_stopped else "failed")
                raise

    def _train(self, position: Position, wants_stop: Callable[[], bool]) -> TrainingSummary:
        start = time.monotonic()
        pixels = self._draw(wants_stop)
        self.model = model = self._grow(pixels, wants_stop)
        trained = time.monotonic() - start
        answers = model.members[0].answers(pixels.features, model.n_classes)
        loss = _loss_sum(answers, pixels.labels, self.recipe.classes)
        val_loss, tally = self._validate(model, wants_stop)
        found = tally.together()
        record = EpochRecord(
            epoch=1,
            learning_rate=self.options.learning_rate,
            loss=loss / len(pixels.labels),
            val_loss=val_loss,
            val_accuracy=found["accuracy"],
            val_mean_iou=found["mean_iou"],
            val_mean_f1=found["mean_f1"],
            images_per_second=len(self.data.training) / trained,
            waiting_share=0.0,
            reduced_bytes=0,
            seconds=time.monotonic() - start,
        )
        metrics = {
            "epoch": record.epoch,
            "training": {"loss": record.loss},
            "validation": {"loss": val_loss, **scores_record(tally, self.recipe.classes)},
        }
        self._write(model, record, metrics, len(pixels.labels))
        position.epoch, position.best_metrics = record.epoch, metrics
        position.history.append(record)
        for listener in self.listeners:
            listener.epoch(position, record, True, metrics)
            listener.end(position, [], {})
        digest = hashlib.sha256(model.members[0].content).hexdigest()[:16]
        return TrainingSummary(self.folder, 1, (record,), digest, 1)

    def _draw(self, wants_stop: Callable[[], bool]) -> Pixels:
        source = self.data.training
        # In the order of the shards, so that pixels don't depend on the recipe's `training.input`.
        indices = source.epoch_indices(
            epoch=0,
            seed=self.recipe.seed,
            shuffle=False,
            batch_size=_TILES_AT_ONCE,
            rank=0,
            size=1,
        )
        batches = track(source.batches(indices), "Drawing pixels, batches", len(indices))
        return draw_pixels(
            _until(batches, wants_stop),
            indices,
            partial(features_of, features=make_features(self.plan, self.statistics)),
            self.recipe.classes,
            limit=self.options.pixels,
            balanced=self.options.balanced,
            counts=self.data.counts.training,
            seed=self.recipe.seed,
        )

    def _grow(self, pixels: Pixels, wants_stop: Callable[[], bool]) -> PixelModel:
        classes = self.recipe.classes
        factors = loss_weights(self.recipe, self.data.counts.training)
        progress = iter(track(range(self.options.rounds), "Growing trees, rounds"))

        def after_round(number: int) -> None:
            next(progress)
            _stop_if(wants_stop)

        content = grow(
            pixels.features,
            _targets(pixels.labels, classes),
            None if factors is None else np.array(factors)[pixels.labels],
            self.options,
            n_classes=classes.n_classes,
            seed=self.recipe.seed,
            after_round=after_round,
            facts={STATISTICS: statistics_text(self.statistics)},
        )
        next(progress, None)
        member = make_member(content, self.recipe)
        return PixelModel((member,), (1.0,), len(self.plan.bands), classes.n_classes)

    def _validate(self, model: PixelModel, wants_stop: Callable[[], bool]) -> tuple[float, Tally]:
        """Compute mean loss (NaN without a label) and metrics of the validation tiles."""
        classes = self.recipe.classes
        tally, loss, count = Tally(classes, self.recipe.training.metrics), 0.0, 0
        tiles = self.data.validation
        steps = -(-len(tiles) // _TILES_AT_ONCE)
        batches = track(tiles.all_batches(_TILES_AT_ONCE), "Validating, batches", steps)
        for images, labels in _until(batches, wants_stop):
            truth = np.asarray(labels)
            found = model.predict_on_batch(np.asarray(images))
            labels_found = most_probable(found, classes)
            for sample in zip(truth, labels_found, found, strict=True):
                tally.add(Sample(*sample[:2], classes, sample[2]))
            valid = truth != classes.nodata
            loss += _loss_sum(found[valid], truth[valid], classes)
            count += int(valid.sum())
        return loss / count if count else float("nan"), tally

    def _write(
        self, model: PixelModel, record: EpochRecord, metrics: dict[str, Any], pixels: int
    ) -> None:
        """Write all files of the model; the card comes last."""
        folder, split = self.folder, self.data.split
        model_folder.save_model(folder, model, self.recipe)
        # Open it as every user will.
        model_folder.load_model(folder)
        model_folder.write_json(folder / model_folder.METRICS_FILE, metrics)
        model_folder.write_csv(folder / model_folder.HISTORY_FILE, [record])
        rows = importances(model, self.plan.names)
        model_folder.write_csv(folder / model_folder.IMPORTANCES_FILE, rows)
        draw_importances(
            folder / model_folder.IMPORTANCES_PICTURE, rows, "What the decision trees look at"
        )
        model_folder.write_split(folder, split, self.data.digests)
        facts = provenance(
            self.recipe,
            **({} if split.digest is None else {"split_digest": split.digest}),
            shards_digest=self.data.shards_digest,
            data_digest=self.data.digest,
            xgboost_version=library_version(),
            parameters=str(model.count_params()),
            pixels=str(pixels),
            ranks="1",
        )
        model_folder.write_json(folder / model_folder.PROVENANCE_FILE, facts)
        card = model_card(self.recipe, split, metrics, facts, importances=importances_text(rows))
        write_text(folder / model_folder.CARD_FILE, card)


def _until(batches: Any, wants_stop: Callable[[], bool]) -> Iterator[Any]:
    for batch in batches:
        _stop_if(wants_stop)
        yield batch


def _stop_if(wants_stop: Callable[[], bool]) -> None:
    if wants_stop():
        raise StoppedError(
            "Stopped; decision trees have no checkpoints, so the same command with --resume begins"
            " this training again"
        )


def _targets(labels: NDArray[np.uint8], classes: ClassScheme) -> NDArray[Any]:
    """Codes (N,) as they are; masks as bool (N, C)."""
    if not classes.has_masks:
        return labels
    return labels[:, None] >> np.arange(classes.n_classes, dtype=np.uint8) & 1 > 0


def _loss_sum(found: Floats, labels: NDArray[np.uint8], classes: ClassScheme) -> float:
    """Sum over pixels of the cross-entropy in nats; for masks, of its mean over the masks.

    Args:
        found: Probabilities (N, C).
        labels: (N,), labels of the scheme.
        classes: The scheme.
    """
    targets = _targets(labels, classes)
    if classes.has_masks:
        logs = np.log(np.maximum(np.where(targets, found, 1 - found), _LEAST_PROBABILITY))
        return float(-logs.mean(axis=-1).sum(dtype=np.float64))
    own = np.take_along_axis(found, targets[:, None].astype(np.intp), axis=-1)
    return float(-np.log(np.maximum(own, _LEAST_PROBABILITY)).sum(dtype=np.float64))

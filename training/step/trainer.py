"""The steps of an epoch and the validation, for any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from polynya.errors import ModelError
from polynya.recipe.classes import ClassScheme
from polynya.recipe.metrics import MetricsOptions
from polynya.shards.soft_labels import WHOLE, harden
from training.losses.base import Loss, label_targets
from training.losses.crossentropy import CrossEntropy
from training.metrics.base import Sample
from training.metrics.tally import Tally
from training.optimisation.schedules import Schedule
from training.ranks.port import Collective
from training.step.batch_norm import average_over_ranks, batch_normalisations, take_moments
from training.step.graph import StepOptions, TrainingStep

SMALLEST_LOSS_SCALE = 1.0
"""If gradients overflow float16 even with this scale, the scale is not the cause."""


@dataclass(frozen=True)
class StepResult:
    """Result of one step; only the last two fields differ between ranks."""

    loss: float
    """Loss of the global batch; 0 without valid pixels."""
    pixels: int
    """Number of valid pixels of the global batch."""
    wants_stop: bool
    """Whether any rank was told to stop."""
    updated: bool
    """Whether weights changed. False: float16 overflowed, and the step only lowered the scale."""
    rank_loss_sum: float
    """This rank's part of the loss, as a sum; not finite if this rank's loss is not finite."""
    waiting_s: float
    """Seconds from this rank's last gradient to the end of the exchange."""


@dataclass(frozen=True)
class ValidationResult:
    """Sums over all validation tiles of all ranks."""

    loss: float
    """Loss over all validation tiles; NaN without valid pixels."""
    tally: Tally
    """All metrics of the recipe."""

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix of the labels (`training.metrics.confusion.confusion_of`)."""
        return self.tally.confusion


class NotFiniteError(ModelError):
    """Loss, gradients or weights of a step are not finite; every rank raises it at the same step.

    Args:
        step: Step of this call of `Trainer.train`, from 1.
        what: "loss", "gradient" or "weight".
        in_this_rank: Whether the number is in this rank's own loss.
    """

    remedy = (
        "lower the recipe's key 'training.learning_rate', lengthen 'training.warmup_epochs' or set"
        " 'training.clip_norm'."
    )

    def __init__(self, step: int, what: str, in_this_rank: bool) -> None:
        self.step = step
        self.what = what
        self.in_this_rank = in_this_rank
        super().__init__(
            f"The {what} is not a finite number at step {step} of this epoch; {self.remedy}"
        )


class Trainer:
    """A model, its optimizer and the ranks that train it together.

    Args:
        model: Model from images to probabilities.
        optimizer: A Keras optimizer.
        collective: The ranks.
        classes: Class scheme of the labels.
        loss: Loss that training minimises; None for cross-entropy.
        augmentation: Layers on (images, labels), applied in the step.
        options: Options of a step in addition to the plain gradient.
        schedule: The optimizer's schedule; None if it has a fixed learning rate.
        frozen: Layers of the model that don't train until `thaw`.
        metrics: What validation measures in addition to the confusion matrix.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        collective: Collective,
        *,
        classes: ClassScheme,
        loss: Loss | None = None,
        augmentation: Sequence[keras.layers.Layer] = (),
        options: StepOptions | None = None,
        schedule: Schedule | None = None,
        frozen: Sequence[keras.layers.Layer] = (),
        metrics: MetricsOptions | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.options = options or StepOptions()
        self._collective = collective
        self._classes = classes
        self._loss = loss or CrossEntropy()
        self._augmentation = tuple(augmentation)
        self._schedule = schedule
        self._metrics = metrics
        # All of them, so that a checkpoint has the same variables whether layers are frozen or not.
        optimizer.build(model.trainable_variables)
        self._fresh_numbers = [v.value.numpy() for v in optimizer.variables if len(v.shape) == 0]
        self._step = TrainingStep(
            model,
            optimizer,
            collective,
            loss=self._loss,
            classes=classes,
            augmentation=self._augmentation,
            options=self.options,
            frozen=frozen,
        )
        self._predict_step: Any = tf.function(self._validate, jit_compile=False, autograph=False)

    @property
    def reduced_bytes(self) -> int:
        """Bytes of gradients that this rank sends to the exchange in each step."""
        return self._collective.wire_bytes([v.value for v in self._step.variables])

    def state(self) -> list[Any]:
        """Variables that are the same on every rank: weights, optimizer, loss scale."""
        return [*self.model.weights, *self.optimizer.variables, *self._step.state()]

    def random_state(self) -> list[Any]:
        """Keras variables of the random generators of dropout and augmentation, each rank's own."""
        weights = {id(weight) for weight in self.model.weights}
        dropout = [v for v in self.model.variables if id(v) not in weights]
        return [*dropout, *(v for layer in self._augmentation for v in layer.variables)]

    def broadcast(self) -> None:
        """Set the weights and the optimizer of every rank to those of rank 0.

        Random states stay, because each rank must draw its own random numbers.
        """
        self._collective.broadcast_variables(self.state())

    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.learning_rate)

    def scale_learning_rate(self, factor: float) -> None:
        """Set the factor in the optimizer's schedule from the next step on."""
        if self._schedule is not None:
            self._schedule.scale.assign(factor)

    def thaw(self, done_share: float) -> None:
        """Let all layers train from the next step on. Every rank must call it.

        The optimizer starts again, and the schedule goes on. Otherwise Adam would take the means of
        the gradients of thawed layers, which start at 0, for those of all steps: their first steps
        would be up to six times too large.

        Args:
            done_share: Share of the training that is done, 0..1.
        """
        self._step.thaw()
        numbers = iter(self._fresh_numbers)
        for variable in self.optimizer.variables:
            fresh = np.zeros(variable.shape) if len(variable.shape) else next(numbers)
            variable.assign(fresh)
        if self._schedule is not None:
            self._schedule.begin_again(done_share)

    def train(
        self,
        batches: Iterable[tuple[Any, Any]],
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[StepResult]:
        """Train on every batch; each step takes as many as the options accumulate.

        Args:
            batches: Pairs of images uint8 or float32 (B, H, W, bands) and labels uint8 (B, H, W),
                or soft labels (B, H, W, C). Every rank has the same number of batches, a multiple
                of the batches per step.
            wants_stop: Function that says whether this rank was told to stop; called before each
                exchange.

        Yields:
            The result of each step.

        Raises:
            NotFiniteError: A number of a step is not finite. The step did not change the weights.
        """
        step = 0
        for index, (images, labels) in enumerate(batches, start=1):
            if index % self.options.accumulate == 1 % self.options.accumulate:
                self._step.begin()
            if index % self.options.accumulate:
                self._step.accumulate(images, labels)
                continue
            stop = tf.constant(float(wants_stop()), tf.float64)
            step += 1
            result = _step_result(self._step.finish(images, labels, stop).numpy())
            if not np.isfinite(result.loss):
                raise NotFiniteError(step, "loss", not np.isfinite(result.rank_loss_sum))
            if not (result.updated or self._may_overflow()):
                raise NotFiniteError(step, "gradient", False)
            yield result

    def check_weights(self, step: int) -> None:
        """Check the weights before they are saved: ReLU can hide NaN from loss and gradients.

        Every rank must call it, because moving statistics are shared first.

        Args:
            step: The last step, as `train` counts them.

        Raises:
            NotFiniteError: A weight is not finite.
        """
        self.share_statistics()
        kept = [*self.model.trainable_variables, *self._step.statistics]
        norm = tf.linalg.global_norm([v.value for v in kept])
        if not np.isfinite(norm.numpy()):
            raise NotFiniteError(step, "weight", False)

    def share_statistics(self) -> None:
        """Set the moving statistics of batch normalisation to their mean over the ranks.

        Every rank must call it before weights are used or saved.
        """
        average_over_ranks(self._step.statistics, self._collective)

    def find_statistics(self, batches: Iterable[tuple[int, Any, Any]], seed: int) -> None:
        """Find the moving statistics of batch normalisation again, for weights that were averaged.

        They become mean and variance over all pixels of all batches of all ranks. Each batch is
        augmented and goes through the model as in training, so a layer sees what those before it
        make of the moments of that batch. Random numbers depend on `seed` and the batch's number
        only, so the result doesn't depend on the number of ranks. Every rank must call it.

        Args:
            batches: Number of the batch among those of all ranks, images and labels.
            seed: Seed of the random numbers.

        Source: section 3.1 of P. Izmailov et al., "Averaging weights leads to wider optima and
        better generalization", 2018; here moments of batches are added exactly, not averaged.
        """
        sizes = [2 * layer.moving_mean.shape[0] + 1 for layer in batch_normalisations(self.model)]
        if not sizes:
            return
        total = np.zeros(sum(sizes))
        generators = self.random_state()
        before = [variable.value.numpy() for variable in generators]
        with self._step.batch_moments() as moments:
            for number, images, labels in batches:
                for place, variable in enumerate(generators):
                    rng = np.random.default_rng([seed, number, place])
                    variable.assign(rng.integers(2**32, size=variable.shape, dtype=np.uint32))
                total += np.concatenate([t.numpy() for t in moments(images, labels)])
        for variable, value in zip(generators, before, strict=True):
            variable.assign(value)
        total = self._collective.sum(total)
        take_moments(self.model, np.split(total, np.cumsum(sizes)[:-1]))

    def take_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights of every rank to those of rank 0. Every rank must call it.

        Args:
            weights: In the order of `model.weights`; only those of rank 0 count.
        """
        if self._collective.rank == 0:
            self.model.set_weights(weights)
        self._collective.broadcast_variables(self.model.weights)

    def _may_overflow(self) -> bool:
        return self.options.loss_scaling and float(self._step.loss_scale) >= SMALLEST_LOSS_SCALE

    def validate(self, batches: Iterable[tuple[Any, Any]]) -> ValidationResult:
        """Score the model on validation batches; each rank gives its own part of them.

        Ranks may have different numbers of batches; sums are exchanged only at the end.
        """
        self.share_statistics()
        tally = Tally(self._classes, self._metrics)
        sums = np.zeros(self._loss.size)
        for images, labels in batches:
            predicted, own_sums, probabilities = self._predict_step(images, labels)
            sums += own_sums.numpy()
            found = probabilities.numpy() if tally.needs_probabilities else None
            for sample in _samples(labels.numpy(), predicted.numpy(), found, self._classes):
                tally.add(sample)
        tally.take(self._collective.sum(tally.numbers()))
        sums = self._collective.sum(sums)
        return ValidationResult(self._loss_of(sums, tally.images > 0), tally)

    def predict(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Predict a few images (B, H, W, bands): probabilities, float32 (B, H, W, C)."""
        found = self.model(tf.cast(images, tf.float32), training=False)
        return np.asarray(tf.cast(found, tf.float32))

    def _loss_of(self, sums: NDArray[np.float64], is_any_valid: bool) -> float:
        if not is_any_valid:
            return float("nan")
        if self._loss.additive:
            return float(sums[0] / sums[1])
        return float(self._loss.value(tf.constant(sums, tf.float32)))

    def _validate(self, images: Any, labels: Any) -> tuple[Any, Any, Any]:
        probabilities = self.model(tf.cast(images, tf.float32), training=False)
        probabilities = tf.cast(probabilities, tf.float32)
        targets, valid = label_targets(labels, self._classes)
        sums = self._loss.sums(targets, probabilities, valid)
        return _most_probable(probabilities, self._classes), sums, probabilities


def _samples(
    labels: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    probabilities: NDArray[np.float32] | None,
    classes: ClassScheme,
) -> Iterator[Sample]:
    """Yield the tiles of a batch, without those that fill it up."""
    soft = labels if labels.ndim == 4 else None
    truths = labels if soft is None else harden(soft, classes)
    for number, truth in enumerate(truths):
        if (truth != classes.nodata).any():
            yield Sample(
                truth,
                predicted[number],
                classes,
                None if probabilities is None else probabilities[number],
                None if soft is None else soft[number] / WHOLE,
            )


def _most_probable(probabilities: Any, classes: ClassScheme) -> Any:
    """Find the most probable label of each pixel: from float32 (B, H, W, C) to uint8 (B, H, W)."""
    if not classes.has_masks:
        return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
    bits = tf.constant([1 << code for code in classes.codes])
    return tf.cast(tf.reduce_sum(tf.where(probabilities >= 0.5, bits, 0), axis=-1), tf.uint8)


def _step_result(values: NDArray[np.float64]) -> StepResult:
    loss, pixels, stops, finite, rank_loss_sum, waiting = (float(v) for v in values)
    pixels = int(pixels) if np.isfinite(pixels) else 0
    return StepResult(loss, pixels, stops > 0, finite > 0, rank_loss_sum, waiting)

"""The graph of one training step: forward, backward, exchange between ranks, update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from polynya.recipe.classes import ClassScheme
from training.labels import is_unlabelled
from training.losses.base import Loss, label_targets
from training.ranks.port import Collective
from training.step.batch_norm import (
    batch_normalisations,
    moving_statistics,
    recorded_moments,
    synchronise,
    without_moments,
)

FIRST_LOSS_SCALE = 2.0**15
GREATEST_LOSS_SCALE = 2.0**24
STEPS_UNTIL_LARGER_SCALE = 2000
"""Finite steps before the loss scale grows, as in Keras' LossScaleOptimizer (P. Micikevicius et
al., "Mixed precision training", 2018)."""


@dataclass(frozen=True)
class StepOptions:
    """Options of a step in addition to the plain gradient of the loss."""

    accumulate: int = 1
    """Number of batches in one step; their gradients are added before the exchange."""
    clip_norm: float | None = None
    """Greatest Euclidean norm of all gradients together, after the exchange."""
    weight_decay: float = 0.0
    """Factor of coupled weight decay: after clipping, factor * weight is added to the gradient."""
    jit: bool = False
    """Compile forward and backward pass with XLA."""
    loss_scaling: bool = False
    """For float16: scale the loss up before the backward pass and the gradients down after it."""
    pixels: int = 1
    """Approximate number of pixels in a global step, with nodata; for a loss per image, number of
    images. Accumulated gradients are divided by the next power of two, so that gradients of large
    batches fit into 16 bits. Except for that, the value doesn't change the result."""


class TrainingStep:
    """One step of all ranks. The loss is taken over all valid pixels of the batches of all ranks.

    If the loss is a mean over pixels or images, the ranks add up their counts during the forward
    pass. Then each rank computes the gradient of its part of the mean. For any other loss, the
    ranks exchange the sums of the loss between forward and backward pass. Then each rank multiplies
    the gradients of its own sums by the slopes of the loss at the sums of all ranks. In both cases,
    the sum of the ranks' gradients is the gradient of the step. With Adasum, each rank takes the
    loss of its own batches, and the result depends on the number of ranks.

    If a number is not finite, there is no update, and the moving statistics of batch normalisation
    are reset to their values before the step.

    Args:
        model: Model from images to probabilities.
        optimizer: A Keras optimizer, already built.
        collective: The ranks.
        loss: Loss that the step minimises.
        classes: Class scheme of the labels.
        augmentation: Layers on (images, labels).
        options: Other options.
        frozen: Layers that keep their weights until `thaw`; their batch normalisation uses its
            moving statistics.

    Raises:
        ValueError: A step has several batches, but the loss is not a mean.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        collective: Collective,
        *,
        loss: Loss,
        classes: ClassScheme,
        augmentation: Sequence[keras.layers.Layer],
        options: StepOptions,
        frozen: Sequence[keras.layers.Layer] = (),
    ) -> None:
        if options.accumulate > 1 and not loss.additive:
            raise ValueError(
                "`accumulate` must be 1 with a loss that isn't additive. Received:"
                f" accumulate={options.accumulate}"
            )
        self._model = model
        self._loss = loss
        self._optimizer = optimizer
        self._collective = collective
        self._classes = classes
        self._augmentation = augmentation
        self._options = options
        synchronise(model, collective)
        self.statistics = moving_statistics(model)
        self._statistics_before = [tf.Variable(v.value) for v in self.statistics]
        self._unit = 2.0 ** (options.pixels - 1).bit_length()
        first_scale = FIRST_LOSS_SCALE if options.loss_scaling else 1.0
        self.loss_scale = keras.Variable(first_scale, trainable=False)
        self.loss_scale_age = keras.Variable(0, dtype="int32", trainable=False)
        self._sums = tf.Variable(tf.zeros(3, tf.float64))
        self._frozen = tuple(frozen)
        self._make_graphs()

    def _make_graphs(self) -> None:
        """Make the functions of a step; they are traced with the layers that are frozen now."""
        of_frozen = {id(v) for layer in self._frozen for v in layer.trainable_variables}
        self.variables = [v for v in self._model.trainable_variables if id(v) not in of_frozen]
        """Variables that the step changes by gradients."""
        summed = self.variables if self._options.accumulate > 1 else []
        self._gradient_sums = [tf.Variable(tf.zeros_like(v.value)) for v in summed]
        # XLA can't compile Horovod's operations, nor some operations of the augmentation. If the
        # forward function is compiled, its backward pass is also compiled.
        self._gradients: Any = self._total_and_gradients
        self._forward: Any = self._own_sums
        if self._options.jit:
            compiled = partial(tf.function, jit_compile=True, autograph=False)
            self._gradients, self._forward = compiled(self._gradients), compiled(self._forward)
        self.accumulate: Any = tf.function(self._accumulate, jit_compile=False, autograph=False)
        self.finish: Any = tf.function(self._finish, jit_compile=False, autograph=False)

    def thaw(self) -> None:
        """Let all layers train from the next step on."""
        self._frozen = ()
        self._make_graphs()

    def state(self) -> list[Any]:
        """Variables that the next step needs, other than those of model and optimizer."""
        return [self.loss_scale, self.loss_scale_age]

    def begin(self) -> None:
        """Save the moving statistics before the first batch of a step, in case the step fails."""
        for kept, variable in zip(self._statistics_before, self.statistics, strict=True):
            kept.assign(variable.value)

    def _accumulate(self, images: Any, labels: Any) -> None:
        """Add the gradients of a batch to the gradients of this rank's step."""
        images, labels = self._augmented(images, labels)
        gradients, total = self._gradients(images, labels, tf.constant(1.0 / self._unit))
        for gradient_sum, gradient in zip(self._gradient_sums, gradients, strict=True):
            gradient_sum.assign_add(gradient)
        self._sums.assign_add(tf.concat([[total], self._counts(labels)], axis=0))

    def _finish(self, images: Any, labels: Any, wants_stop: Any) -> Any:
        """Add the step's last batch, exchange, update.

        Args:
            images: uint8 (B, H, W, bands).
            labels: uint8 (B, H, W), or soft labels (B, H, W, C).
            wants_stop: float64 scalar, 1 if this rank was told to stop.

        Returns:
            float64 (6,): the loss, the number of valid pixels of all ranks, the number of ranks
            that want to stop, whether everything was finite, this rank's own part of the loss as a
            sum, and the seconds from this rank's last gradient to the end of the exchange.
        """
        images, labels = self._augmented(images, labels)
        own = self._sums[1:] + self._counts(labels)
        counts = tf.concat([own, [wants_stop]], axis=0)
        pixels, count, stops = tf.unstack(self._collective.sum_tensors([counts], "counts")[0])
        if self._loss.additive:
            divisor = own[1] if self._collective.adasum else count
            gradients, own_total = self._mean_gradients(images, labels, divisor)
            (total,) = self._collective.sum_tensors([own_total], "loss")
            loss = total / tf.maximum(count, 1.0)
        else:
            gradients, own_total, loss = self._exchanged_gradients(images, labels)
        ready = _time_after(gradients)
        gradients = self._collective.reduce_gradients(gradients, "gradient")
        waiting = _time_after(gradients) - ready
        finite = self._update(gradients)
        for kept, variable in zip(self._statistics_before, self.statistics, strict=True):
            variable.assign(tf.where(finite, variable.value, kept))
        finite = tf.cast(finite, tf.float64)
        return tf.stack([loss, pixels, stops, finite, own_total, waiting])

    def _mean_gradients(self, images: Any, labels: Any, divisor: Any) -> tuple[list[Any], Any]:
        """Compute gradients of this rank's part of a mean, and this rank's total loss, float64."""
        # A batch without any valid pixel has zero gradients, so the divisor doesn't matter.
        share = tf.cast(1.0 / tf.maximum(divisor, 1.0), tf.float32)
        gradients, total = self._gradients(images, labels, share)
        own_total = self._sums[0] + total
        return self._take_accumulated(gradients, share), own_total

    @contextmanager
    def batch_moments(self) -> Iterator[Callable[[Any, Any], list[Any]]]:
        """Give, within the block, a function that looks at what batch normalisation sees.

        Yields:
            Function from images and labels, which are augmented, to a total of each layer as in
            `recorded_moments`.
        """
        channels = [n.moving_mean.shape[0] for n in batch_normalisations(self._model)]
        with without_moments(self._frozen), recorded_moments(self._model) as found:

            def moments(images: Any, labels: Any) -> list[Any]:
                found.clear()
                images, _ = self._augmented(images, labels)
                self._model(images, training=True)
                none = [tf.zeros(2 * count + 1, tf.float64) for count in channels]
                return [found.get(number, zeros) for number, zeros in enumerate(none)]

            yield tf.function(moments, jit_compile=False, autograph=False)

    def _exchanged_gradients(self, images: Any, labels: Any) -> tuple[list[Any], Any, Any]:
        """Compute, for any loss, gradients of this rank's sums times the slopes of the loss.

        Returns:
            The gradients, the total of this rank's sums (not finite if one sum is not finite), and
            the loss; float64.
        """
        with tf.GradientTape() as tape:
            own = self._forward(images, labels)
        sums = own
        if not self._collective.adasum:
            (sums,) = self._collective.sum_tensors([tf.cast(own, tf.float64)], "sums")
            sums = tf.cast(sums, tf.float32)
        with tf.GradientTape() as of_value:
            of_value.watch(sums)
            loss = self._loss.value(sums)
        slopes = of_value.gradient(loss, sums) * self.loss_scale.value
        variables = [v.value for v in self.variables]
        gradients = self._unscaled(tape.gradient(own, variables, output_gradients=slopes))
        loss = tf.cast(loss, tf.float64)
        if self._collective.adasum:
            (loss,) = self._collective.sum_tensors([loss / self._collective.size], "loss")
        return gradients, tf.reduce_sum(tf.cast(own, tf.float64)), loss

    def _augmented(self, images: Any, labels: Any) -> tuple[Any, Any]:
        images, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.int32)
        for layer in self._augmentation:
            images, labels = layer(images, labels)
        return images, labels

    def _counts(self, labels: Any) -> Any:
        """Count valid pixels, and the pixels or images that the loss averages: float64 (2,)."""
        valid = ~is_unlabelled(labels, self._classes.nodata)
        pixels = tf.reduce_sum(tf.cast(valid, tf.float64))
        if not self._loss.per_image:
            return tf.stack([pixels, pixels])
        images = tf.reduce_any(valid, axis=[1, 2])
        return tf.stack([pixels, tf.reduce_sum(tf.cast(images, tf.float64))])

    def _own_sums(self, images: Any, labels: Any) -> Any:
        """Compute the sums of the loss over a batch, float32 (size,)."""
        with without_moments(self._frozen):
            probabilities = tf.cast(self._model(images, training=True), tf.float32)
        targets, valid = label_targets(labels, self._classes)
        return self._loss.sums(targets, probabilities, valid)

    def _total_and_gradients(self, images: Any, labels: Any, share: Any) -> tuple[list[Any], Any]:
        """Compute gradients of `share` * total of a mean, and the total, float64."""
        with tf.GradientTape() as tape:
            total = self._own_sums(images, labels)[0]
            scaled = total * (self.loss_scale.value * share)
        gradients = tape.gradient(scaled, [v.value for v in self.variables])
        return self._unscaled(gradients), tf.cast(total, tf.float64)

    def _unscaled(self, gradients: list[Any]) -> list[Any]:
        if not self._options.loss_scaling:
            return gradients
        return [gradient / self.loss_scale.value for gradient in gradients]

    def _take_accumulated(self, gradients: list[Any], share: Any) -> list[Any]:
        """Add the gradients of earlier batches of the step, and reset those to 0."""
        if self._gradient_sums:
            gradients = [
                s * (self._unit * share) + g
                for s, g in zip(self._gradient_sums, gradients, strict=True)
            ]
            for variable in (*self._gradient_sums, self._sums):
                variable.assign(tf.zeros_like(variable))
        return gradients

    def _update(self, gradients: list[Any]) -> Any:
        """Update the weights if all gradients are finite; return whether they are."""
        variables = self.variables
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm)
        if self._options.clip_norm is not None:
            factor = self._options.clip_norm / tf.maximum(norm, self._options.clip_norm)
            gradients = [gradient * factor for gradient in gradients]
        if self._options.weight_decay:
            pairs = zip(gradients, variables, strict=True)
            gradients = [g + self._options.weight_decay * v.value for g, v in pairs]

        def apply() -> Any:
            self._optimizer.apply(gradients, variables)
            return tf.constant(True)

        if self._options.loss_scaling:
            self._adapt_loss_scale(finite)
        return tf.cond(finite, apply, lambda: tf.constant(False))

    def _adapt_loss_scale(self, finite: Any) -> None:
        scale, age = self.loss_scale.value, self.loss_scale_age.value + 1
        grow = finite & (age >= STEPS_UNTIL_LARGER_SCALE)
        larger = tf.minimum(2.0 * scale, GREATEST_LOSS_SCALE)
        self.loss_scale.assign(tf.where(finite, tf.where(grow, larger, scale), scale / 2.0))
        self.loss_scale_age.assign(tf.where(finite & ~grow, age, 0))


def _time_after(tensors: Sequence[Any]) -> Any:
    """Take the time when all these tensors are ready, float64, seconds since 1970.

    On a GPU, it is the time when the work for the tensors is queued, unless an exchange waits for
    them.
    """
    with tf.control_dependencies(tensors):
        return tf.timestamp()

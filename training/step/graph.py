"""The graph of one training step: forward, backward, exchange between ranks, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from training.losses.crossentropy import masked_crossentropy
from training.ranks.collective import Collective

FIRST_LOSS_SCALE = 2.0**15
GREATEST_LOSS_SCALE = 2.0**24
STEPS_UNTIL_LARGER_SCALE = 2000
"""As in Keras' LossScaleOptimizer (P. Micikevicius et al., "Mixed precision training", 2018)."""


@dataclass(frozen=True)
class StepOptions:
    """What a step does beside the plain gradient of the mean loss."""

    accumulate: int = 1
    """Batches whose gradients are added up before the exchange."""
    clip_norm: float | None = None
    """Greatest Euclidean norm of all gradients together, after the exchange."""
    class_weights: tuple[float, ...] | None = None
    """Factor on the loss of a pixel by its class."""
    jit: bool = False
    """Compile forward and backward pass with XLA."""
    loss_scaling: bool = False
    """For float16: scale the loss up before the backward pass and the gradients down after it."""
    pixels: int = 1
    """Of a global step, about and nodata included. Gradients of batches that are added up are
    divided by the next power of two, so that those of large batches fit into 16 bits. Any value
    gives the same result otherwise."""


class TrainingStep:
    """One step of all ranks. Its loss is the mean over all valid pixels of all their batches.

    The pixels of all ranks are counted while the model looks at them, so each rank's gradient is
    that of its part of the mean, and the sum of these is used as it arrives. With Adasum each rank
    takes the mean over its own pixels, and what is made of these means depends on how many ranks
    there are.

    An update with anything in it that is not finite is not made.

    Args:
        model: From images 0..255 to probabilities.
        optimizer: A Keras optimizer, built.
        collective: The ranks.
        nodata: Label code of pixels that don't count.
        augmentation: Layers on (images, labels).
        options: More.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        collective: Collective,
        *,
        nodata: int,
        augmentation: Sequence[keras.layers.Layer],
        options: StepOptions,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._collective = collective
        self._nodata = nodata
        self._augmentation = augmentation
        self._options = options
        self._unit = 2.0 ** (options.pixels - 1).bit_length()
        first_scale = FIRST_LOSS_SCALE if options.loss_scaling else 1.0
        self.loss_scale = keras.Variable(first_scale, trainable=False)
        self.loss_scale_age = keras.Variable(0, dtype="int32", trainable=False)
        variables = model.trainable_variables if options.accumulate > 1 else []
        self._gradient_sums = [tf.Variable(tf.zeros_like(v.value)) for v in variables]
        self._sums = tf.Variable(tf.zeros(2, tf.float64))
        # XLA can't compile Horovod's operations, nor some of the augmentation's.
        self._gradients = (
            tf.function(self._loss_and_gradients, jit_compile=True, autograph=False)
            if options.jit
            else self._loss_and_gradients
        )
        self.accumulate: Any = tf.function(self._accumulate, jit_compile=False, autograph=False)
        self.finish: Any = tf.function(self._finish, jit_compile=False, autograph=False)

    def state(self) -> list[Any]:
        """Variables that the next step depends on, beside those of model and optimizer."""
        return [self.loss_scale, self.loss_scale_age]

    def _accumulate(self, images: Any, labels: Any) -> None:
        """Add the gradients of a batch to those of this rank's step."""
        images, labels = self._augmented(images, labels)
        gradients, loss = self._gradients(images, labels, tf.constant(1.0 / self._unit))
        for gradient_sum, gradient in zip(self._gradient_sums, gradients, strict=True):
            gradient_sum.assign_add(gradient)
        self._sums.assign_add(tf.stack([loss, self._count(labels)]))

    def _finish(self, images: Any, labels: Any, wants_stop: Any) -> Any:
        """Add the step's last batch, exchange, update.

        Args:
            images: uint8 (B, H, W, bands).
            labels: uint8 (B, H, W).
            wants_stop: float64 scalar, 1 where this rank was told to stop.

        Returns:
            float64 (6,): loss summed over the valid pixels of all ranks, their number, ranks that
            want to stop, whether all was finite, this rank's own loss sum, and the seconds from
            its last gradient to the last one of the exchange.
        """
        images, labels = self._augmented(images, labels)
        own_pixels = self._sums[1] + self._count(labels)
        counts = tf.stack([own_pixels, wants_stop])
        pixels, stops = tf.unstack(self._collective.sum_tensors([counts], "counts")[0])
        divisor = own_pixels if self._collective.adasum else pixels
        # A batch without any valid pixel has zero gradients: nothing to divide.
        share = tf.cast(1.0 / tf.maximum(divisor, 1.0), tf.float32)
        gradients, loss = self._gradients(images, labels, share)
        own_loss = self._sums[0] + loss
        gradients = self._take_accumulated(gradients, share)
        (all_loss,) = self._collective.sum_tensors([own_loss], "loss")
        ready = _time_after(gradients)
        gradients = self._collective.reduce_gradients(gradients, "gradient")
        waiting = _time_after(gradients) - ready
        finite = tf.cast(self._update(gradients), tf.float64)
        return tf.stack([all_loss, pixels, stops, finite, own_loss, waiting])

    def _augmented(self, images: Any, labels: Any) -> tuple[Any, Any]:
        images, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.int32)
        for layer in self._augmentation:
            images, labels = layer(images, labels)
        return images, labels

    def _count(self, labels: Any) -> Any:
        """Valid pixels, float64."""
        return tf.reduce_sum(tf.cast(labels != self._nodata, tf.float64))

    def _loss_and_gradients(self, images: Any, labels: Any, share: Any) -> tuple[list[Any], Any]:
        """Gradients of `share` of the loss sum; and that sum, float64."""
        with tf.GradientTape() as tape:
            probabilities = self._model(images, training=True)
            total, _ = masked_crossentropy(
                labels,
                probabilities,
                nodata=self._nodata,
                class_weights=self._options.class_weights,
            )
            scaled = total * (self.loss_scale.value * share)
        gradients = tape.gradient(scaled, [v.value for v in self._model.trainable_variables])
        if self._options.loss_scaling:
            gradients = [gradient / self.loss_scale.value for gradient in gradients]
        return gradients, tf.cast(total, tf.float64)

    def _take_accumulated(self, gradients: list[Any], share: Any) -> list[Any]:
        """The gradients with those of the batches before, which are forgotten."""
        if self._gradient_sums:
            gradients = [
                s * (self._unit * share) + g
                for s, g in zip(self._gradient_sums, gradients, strict=True)
            ]
            for variable in (*self._gradient_sums, self._sums):
                variable.assign(tf.zeros_like(variable))
        return gradients

    def _update(self, gradients: list[Any]) -> Any:
        """Change the weights, unless a gradient is not finite; returns whether."""
        variables = self._model.trainable_variables
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm)
        if self._options.clip_norm is not None:
            factor = self._options.clip_norm / tf.maximum(norm, self._options.clip_norm)
            gradients = [gradient * factor for gradient in gradients]

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
    """Seconds since 1970, float64, when the last of these tensors is there.

    On a GPU: when the work that makes it is queued, unless an exchange waits for it.
    """
    with tf.control_dependencies(tensors):
        return tf.timestamp()

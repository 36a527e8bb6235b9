"""The training step, the epoch and the validation, for any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from polynya.errors import ModelError
from training.collective import Collective
from training.losses import masked_crossentropy
from training.metrics import confusion_matrix

Step = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class ValidationResult:
    """Sums over all validation tiles of all ranks."""

    loss: float
    """Mean over valid pixels, nats; NaN without any."""
    confusion: NDArray[np.int64]
    """(C, C): rows are the truth, columns the prediction."""


class Trainer:
    """A model, its optimizer and the ranks that train it together.

    The loss of a step is the mean over all valid pixels of the global batch. Each rank takes the
    gradient of its *sum*; gradients and pixel counts are summed over ranks and divided once. So
    the result does not depend on how many ranks share the batch, nor on where its nodata is.

    Args:
        model: From images 0..255 to probabilities.
        optimizer: A Keras optimizer.
        collective: The ranks.
        nodata: Label code of pixels that don't count.
        augmentation: Layers on (images, labels), applied in the step.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        collective: Collective,
        *,
        nodata: int,
        augmentation: Sequence[keras.layers.Layer] = (),
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._collective = collective
        self._nodata = nodata
        self._augmentation = tuple(augmentation)
        optimizer.build(model.trainable_variables)
        # No XLA around Horovod's operations: it can't compile them.
        self._train_step: Step = tf.function(self._step, jit_compile=False)
        self._predict_step: Step = tf.function(self._validate, jit_compile=False)

    def broadcast(self) -> None:
        """Start every rank from the weights and the optimizer of rank 0.

        Random states (dropout, augmentation) stay: each rank must draw its own.
        """
        self._collective.broadcast_variables([*self.model.weights, *self.optimizer.variables])

    def learning_rate(self) -> float:
        """Learning rate of the step to come."""
        return float(self.optimizer.learning_rate)

    def train_epoch(
        self, batches: Iterable[tuple[Any, Any]], on_step: Callable[[], object]
    ) -> NDArray[Any]:
        """Train on every batch.

        Args:
            batches: Pairs of uint8 (B, H, W, bands) and uint8 (B, H, W); as many on every rank.
            on_step: Called after each step.

        Returns:
            float64 (steps, 2): of each step the loss summed over the valid pixels of the global
            batch, and their number.

        Raises:
            ModelError: The loss of a step is not finite; every rank raises it at that step.
        """
        sums = []
        for step, (images, labels) in enumerate(batches):
            loss_and_count = self._train_step(images, labels).numpy().astype(np.float64)
            if not np.isfinite(loss_and_count).all():
                raise ModelError(
                    f"The loss is not a finite number at step {step + 1} of this epoch; lower the"
                    " recipe's key 'training.learning_rate' or lengthen 'training.warmup_epochs'."
                )
            sums.append(loss_and_count)
            on_step()
        return np.array(sums).reshape(-1, 2)

    def _step(self, images: Any, labels: Any) -> Any:
        images, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.int32)
        for layer in self._augmentation:
            images, labels = layer(images, labels)
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            probabilities = self.model(images, training=True)
            total, count = masked_crossentropy(labels, probabilities, nodata=self._nodata)
        gradients = tape.gradient(total, [v.value for v in variables])
        (sums,) = self._collective.sum_tensors([tf.stack([total, count])], name="loss")
        gradients = self._collective.sum_tensors(gradients, name="gradient")
        # A global batch without any valid pixel has zero gradients: nothing to divide.
        pixels = tf.maximum(sums[1], 1.0)
        self.optimizer.apply([gradient / pixels for gradient in gradients], variables)
        return sums

    def validate(self, batches: Iterable[tuple[Any, Any]]) -> ValidationResult:
        """Score the model on batches that all ranks together go through once.

        Ranks may have different numbers of batches; sums are exchanged at the end only.
        """
        n_classes = int(self.model.output_shape[-1])
        confusion = np.zeros((n_classes, n_classes), np.int64)
        sums = np.zeros(2)
        for images, labels in batches:
            codes, loss_and_count = self._predict_step(images, labels)
            sums += loss_and_count.numpy()
            confusion += confusion_matrix(
                labels.numpy(), codes.numpy(), n_classes, ignore=self._nodata
            )
        confusion = self._collective.sum(confusion)
        sums = self._collective.sum(sums)
        loss = float(sums[0] / sums[1]) if sums[1] > 0 else float("nan")
        return ValidationResult(loss, confusion)

    def _validate(self, images: Any, labels: Any) -> tuple[Any, Any]:
        probabilities = self.model(tf.cast(images, tf.float32), training=False)
        sums = masked_crossentropy(labels, probabilities, nodata=self._nodata)
        return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8), tf.stack(sums)

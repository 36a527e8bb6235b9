"""Lovász loss: the Jaccard index itself, made continuous."""

from __future__ import annotations

from typing import Any

from keras import ops

from polynya.recipe.loss import LovaszOptions
from training.losses.base import Loss, MeanLoss, Weights


class Lovasz(MeanLoss):
    """Mean over images of the Lovász extension of 1 - Jaccard, averaged over classes.

    The errors |t - p| of a class are sorted, the greatest first. Each is multiplied by what 1 -
    Jaccard grows by if its pixel becomes wrong too. Sorting ties pixels together, so no sums of
    two halves of a batch give the loss of the whole; each image therefore has its own loss, and
    the result is the same on any number of ranks.

    Args:
        n_classes: C.
        class_weights: Weights of the classes in their mean; None for equal ones.
        present_only: Take the mean only over the classes that occur in the image; the loss of an
            image without any is 0.

    Source: M. Berman et al., "The Lovász-Softmax loss", 2018, algorithm 1 and equation 11.
    """

    per_image = True

    def __init__(
        self, *, n_classes: int, class_weights: Weights = None, present_only: bool = True
    ) -> None:
        self._weights = list(class_weights or [1.0] * n_classes)
        self._present_only = present_only

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        shape = ops.shape(probabilities)
        valid = ops.broadcast_to(valid, shape)
        # Pixels that don't count come last, and with an error of 0 add nothing.
        errors = ops.where(valid, ops.abs(targets - probabilities), 0.0)
        order = ops.where(valid, errors, -1.0)
        flat = (shape[0], shape[1] * shape[2], shape[3])
        errors, order = ops.reshape(errors, flat), ops.reshape(order, flat)
        true = ops.reshape(ops.where(valid, targets, 0.0), flat)
        places = ops.flip(ops.argsort(ops.stop_gradient(order), axis=1), axis=1)
        errors = ops.take_along_axis(errors, places, axis=1)
        true = ops.take_along_axis(true, places, axis=1)
        losses = ops.sum(errors * ops.stop_gradient(_growth(true)), axis=1)
        weights = ops.convert_to_tensor(self._weights, "float32")
        if self._present_only:
            weights = weights * ops.cast(ops.greater(ops.sum(true, axis=1), 0.0), "float32")
        weights = ops.broadcast_to(weights, ops.shape(losses))
        total = ops.sum(weights, axis=-1)
        none = ops.equal(total, 0.0)
        of_images = ops.sum(weights * losses, axis=-1) / ops.where(none, 1.0, total)
        return ops.sum(of_images)


def _growth(true: Any) -> Any:
    """Growth of 1 - Jaccard with each further wrong pixel: (B, N, C) from sorted targets."""
    whole = ops.sum(true, axis=1, keepdims=True)
    common = whole - ops.cumsum(true, axis=1)
    union = whole + ops.cumsum(1.0 - true, axis=1)
    loss = 1.0 - common / ops.maximum(union, 1.0)
    return ops.concatenate([loss[:, :1], loss[:, 1:] - loss[:, :-1]], axis=1)


def build(options: LovaszOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `lovasz` of a recipe."""
    return Lovasz(
        n_classes=n_classes,
        class_weights=class_weights,
        present_only=options.classes == "present",
    )

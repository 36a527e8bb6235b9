"""Hinge losses: a pixel costs nothing once its class is ahead by a margin of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import HingeOptions
from training.losses.base import Loss, MeanLoss, Weights, mean_over_masks, weighted


class Hinge(MeanLoss):
    """Mean over valid pixels of w max(0, 1 + max_c (1 - t_c) p_c - sum_c t_c p_c).

    w is the weight of the pixel's class. With `binary`, each class is a separate mask: the mean
    over valid pixels and masks of w_c max(0, 1 - (2 t - 1) (2 p - 1)).

    Args:
        class_weights: One weight per class; None for 1.
        binary: Whether classes are masks that may overlap.

    Source: K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass kernel-based
    vector machines", 2001, in the form of Keras' CategoricalHinge, which Segmentation Gym uses.
    """

    def __init__(
        self, class_weights: Sequence[float] | None = None, *, binary: bool = False
    ) -> None:
        self._class_weights = class_weights
        self._is_binary = binary

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        if self._is_binary:
            losses = ops.relu(1.0 - (2.0 * targets - 1.0) * (2.0 * probabilities - 1.0))
            return mean_over_masks(weighted(losses, self._class_weights), valid)
        own = ops.sum(targets * probabilities, axis=-1)
        others = ops.max((1.0 - targets) * probabilities, axis=-1)
        losses = ops.relu(1.0 + others - own)
        if self._class_weights is not None:
            losses = losses * ops.sum(weighted(targets, self._class_weights), axis=-1)
        return ops.sum(ops.where(ops.all(valid, axis=-1), losses, 0.0))


def build(options: HingeOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `hinge` of a recipe."""
    return Hinge(class_weights, binary=options.binary)

"""Focal loss: pixels that are already correct have less weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import FocalOptions
from training.losses.base import Loss, MeanLoss, Weights, mean_over_masks, safe_log, weighted


class Focal(MeanLoss):
    """Mean over valid pixels of -sum_c w_c t_c (1 - p_c)^g log p_c, in nats.

    With `binary`, each class is a separate mask: the mean over valid pixels and masks of
    -w_c (t (1 - p)^g log p + (1 - t) p^g log(1 - p)).

    Args:
        class_weights: w, one weight per class; None for 1. The paper calls it alpha.
        gamma: g, at least 1, so that the slope is finite where p is 1.
        binary: Whether classes are masks that may overlap.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection", 2017.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        *,
        gamma: float = 2.0,
        binary: bool = False,
    ) -> None:
        if gamma < 1.0:
            raise ValueError(f"`gamma` must be at least 1. Received: gamma={gamma}")
        self._class_weights = class_weights
        self._gamma = gamma
        self._is_binary = binary

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        losses = targets * self._of_true(probabilities)
        if self._is_binary:
            losses = losses + (1.0 - targets) * self._of_true(1.0 - probabilities)
            return mean_over_masks(weighted(losses, self._class_weights), valid)
        losses = ops.sum(weighted(losses, self._class_weights), axis=-1)
        return ops.sum(ops.where(ops.all(valid, axis=-1), losses, 0.0))

    def _of_true(self, probabilities: Any) -> Any:
        """Loss where the target is 1, from the probability of the target."""
        rest = 1.0 - probabilities
        # Rounding makes some probabilities greater than 1. Not ops.maximum: it may hide NaN.
        rest = ops.where(ops.less(rest, 0.0), 0.0, rest)
        return -(ops.power(rest, self._gamma) * safe_log(probabilities))


def build(options: FocalOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `focal` of a recipe."""
    return Focal(class_weights, gamma=options.gamma, binary=options.binary)

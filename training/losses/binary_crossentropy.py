"""Cross-entropy of masks that may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polynya.recipe.loss import BinaryCrossEntropyOptions
from training.losses.base import (
    Loss,
    MeanLoss,
    Weights,
    mean_over_masks,
    safe_log,
    smoothed,
    weighted,
)


class BinaryCrossEntropy(MeanLoss):
    """Mean over valid pixels and masks of -w_c (t log p + (1 - t) log(1 - p)), in nats.

    Each class is a separate mask, so masks may overlap and targets may be soft.

    Args:
        class_weights: w, one weight per mask; None for 1.
        label_smoothing: s in 0..1: targets become (1 - s) t + s / 2.
    """

    def __init__(
        self, class_weights: Sequence[float] | None = None, *, label_smoothing: float = 0.0
    ) -> None:
        self._class_weights = class_weights
        self._smoothing = label_smoothing

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        targets = smoothed(targets, self._smoothing, 0.5)
        there, absent = safe_log(probabilities), safe_log(1.0 - probabilities)
        losses = -(targets * there + (1.0 - targets) * absent)
        return mean_over_masks(weighted(losses, self._class_weights), valid)


def build(options: BinaryCrossEntropyOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `binary_crossentropy` of a recipe."""
    return BinaryCrossEntropy(class_weights, label_smoothing=options.label_smoothing)

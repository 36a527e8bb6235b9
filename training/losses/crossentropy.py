"""Cross-entropy of classes that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import CrossEntropyOptions
from training.losses.base import (
    Loss,
    MeanLoss,
    Weights,
    number_of_pixels,
    one_hot_targets,
    safe_log,
    smoothed,
    weighted,
)


class CrossEntropy(MeanLoss):
    """Categorical cross-entropy: the mean over valid pixels of -sum_c w_c t_c log p_c, in nats.

    Args:
        class_weights: w, one weight per class; None for 1. The count of pixels is not weighted, as
            with Keras' class weights.
        label_smoothing: s in 0..1: targets become (1 - s) t + s / C (C. Szegedy et al.,
            "Rethinking the Inception architecture for computer vision", 2016).
        soft_labels: Whether targets may be other than one-hot.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        *,
        label_smoothing: float = 0.0,
        soft_labels: bool = False,
    ) -> None:
        self._class_weights = class_weights
        self._smoothing = label_smoothing
        self.soft_labels = soft_labels or label_smoothing > 0.0

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        if self.soft_labels:
            targets = smoothed(targets, self._smoothing, 1.0 / targets.shape[-1])
            parts = -targets * safe_log(probabilities)
            losses = ops.sum(weighted(parts, self._class_weights), axis=-1)
        else:
            # One logarithm per pixel instead of one per class.
            losses = -safe_log(ops.sum(targets * probabilities, axis=-1))
            if self._class_weights is not None:
                losses = losses * ops.sum(weighted(targets, self._class_weights), -1)
        return ops.sum(ops.where(ops.all(valid, axis=-1), losses, 0.0))


def masked_crossentropy(
    labels: Any,
    probabilities: Any,
    *,
    nodata: int,
    class_weights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Sum the categorical cross-entropy of class codes over the pixels that have a class.

    The function returns this sum and the number of pixels, not their quotient. The loss of a step
    is the mean over all valid pixels of the *global* batch. A mean of the ranks' means would give
    more weight to the pixels of a rank with more nodata.

    Args:
        labels: Integer (B, H, W), class codes 0..C-1 or `nodata`.
        probabilities: float32 (B, H, W, C); each pixel's probabilities add up to 1.
        nodata: Code of pixels that don't count.
        class_weights: See `CrossEntropy`.

    Returns:
        float32 scalars: the sum (nats), and the number of valid pixels (exact up to 2**24).
    """
    probabilities = ops.cast(probabilities, "float32")
    targets, valid = one_hot_targets(labels, nodata=nodata, n_classes=probabilities.shape[-1])
    total = CrossEntropy(class_weights).total(targets, probabilities, valid)
    return total, number_of_pixels(valid)


def build(options: CrossEntropyOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `crossentropy` of a recipe."""
    return CrossEntropy(class_weights, label_smoothing=options.label_smoothing)

"""Cross-entropy of classes that exclude each other, and of masks that may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from training.losses.base import (
    MeanLoss,
    mean_over_masks,
    number_of_pixels,
    one_hot_targets,
    safe_log,
)


class CrossEntropy(MeanLoss):
    """Categorical cross-entropy: the mean over valid pixels of -sum_c w_c t_c log p_c, in nats.

    Args:
        class_weights: w, one number a class; None for 1. The number of pixels stays unweighted, as
            in Keras' class weights.
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
        self._is_soft = soft_labels or label_smoothing > 0.0

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        if self._is_soft:
            targets = smoothed(targets, self._smoothing, 1.0 / targets.shape[-1])
            parts = -targets * safe_log(probabilities)
            losses = ops.sum(weighted(parts, self._class_weights), axis=-1)
        else:
            # One logarithm a pixel and not one a class.
            losses = -safe_log(ops.sum(targets * probabilities, axis=-1))
            if self._class_weights is not None:
                losses = losses * ops.sum(weighted(targets, self._class_weights), -1)
        return ops.sum(ops.where(ops.all(valid, axis=-1), losses, 0.0))


class BinaryCrossEntropy(MeanLoss):
    """Mean over valid pixels and masks of -w_c (t log p + (1 - t) log(1 - p)), in nats.

    Each class is a mask of its own, so masks may overlap and targets may be soft.

    Args:
        class_weights: w, one number a mask; None for 1.
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


def weighted(of_classes: Any, class_weights: Sequence[float] | None) -> Any:
    """Values (..., C), each times the weight of its class."""
    if class_weights is None:
        return of_classes
    return of_classes * ops.convert_to_tensor(class_weights, "float32")


def smoothed(targets: Any, share: float, towards: float) -> Any:
    """Targets of which a share is replaced by the same number everywhere."""
    return targets * (1.0 - share) + share * towards if share > 0.0 else targets


def masked_crossentropy(
    labels: Any,
    probabilities: Any,
    *,
    nodata: int,
    class_weights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Categorical cross-entropy of class codes, summed over the pixels that have one.

    It is returned with the number of those pixels, not as their quotient: the loss of a step is the
    mean over all valid pixels of the *global* batch, and a mean of the ranks' means would give a
    pixel more weight where its rank has more nodata.

    Args:
        labels: Integer (B, H, W), class codes 0..C-1 or `nodata`.
        probabilities: float32 (B, H, W, C), each pixel's sum is 1.
        nodata: Code of pixels that don't count.
        class_weights: As of `CrossEntropy`.

    Returns:
        float32 scalars: the sum (nats), and the number of valid pixels (exact up to 2**24).
    """
    probabilities = ops.cast(probabilities, "float32")
    targets, valid = one_hot_targets(labels, nodata=nodata, n_classes=probabilities.shape[-1])
    total = CrossEntropy(class_weights).total(targets, probabilities, valid)
    return total, number_of_pixels(valid)

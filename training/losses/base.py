"""The interface of a loss: sums that add up over pixels, batches and ranks, and their value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.classes import ClassScheme
from polynya.shards.soft_labels import WHOLE
from training.labels import is_unlabelled

Weights = Sequence[float] | None
"""One weight per class; None for 1."""

SMALLEST_PROBABILITY = 1e-7
"""Lower bound inside the logarithm: about the resolution of a float32 softmax near 1."""


class Loss:
    """A function of sums over valid pixels: `value(sums of all batches and ranks)`.

    By the chain rule, a rank multiplies the gradient of each of its own sums by the slope of
    `value` at the sums of *all* ranks. So a rank needs only the sums of the other ranks, and the
    gradients of all ranks add up to the gradient of one rank with all pixels.

    Attributes:
        size: Number of sums.
        additive: The sums are a total and a count that doesn't depend on the model, and the value
            is total / count. Then the gradients of totals can be added up over batches before the
            count is known.
        per_image: The count is the number of images with a valid pixel, not of valid pixels.
        soft_labels: Targets may differ from 0 and 1, so formulas for 0 and 1 only can't be used.
    """

    size: int
    additive: bool
    per_image: bool
    soft_labels: bool = False

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        """Compute the sums of a batch.

        Args:
            targets: float32 (B, H, W, C): one-hot, masks of 0 and 1 that may overlap, or soft
                labels in 0..1.
            probabilities: float32 (B, H, W, C), in 0..1.
            valid: bool (B, H, W, 1) or (B, H, W, C): what is counted.

        Returns:
            float32 (size,).
        """
        raise NotImplementedError

    def value(self, sums: Any) -> Any:
        """Compute the loss, a float32 scalar, from the sums of all ranks, float32 (size,)."""
        raise NotImplementedError


class MeanLoss(Loss):
    """Base of `additive` losses: a mean over valid pixels, or over images with valid pixels."""

    size = 2
    additive = True
    per_image = False

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        count = number_of_images(valid) if self.per_image else number_of_pixels(valid)
        # Not even NaN where nothing counts reaches a gradient: 0 times NaN would be NaN.
        probabilities = ops.where(valid, probabilities, 0.5)
        return ops.stack([self.total(targets, probabilities, valid), count])

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        """Sum the losses of all pixels, before the division by the count: float32 scalar."""
        raise NotImplementedError

    def value(self, sums: Any) -> Any:
        return sums[0] / ops.maximum(sums[1], 1.0)


def one_hot_targets(labels: Any, *, nodata: int, n_classes: int) -> tuple[Any, Any]:
    """Find targets and valid pixels from class codes.

    Args:
        labels: Integer (B, H, W), class codes 0..C-1 or `nodata`.
        nodata: Code of pixels that don't count.
        n_classes: C.

    Returns:
        float32 (B, H, W, C) and bool (B, H, W, 1).
    """
    labels = ops.cast(labels, "int32")
    valid = ops.not_equal(labels, nodata)
    return ops.one_hot(ops.where(valid, labels, 0), n_classes), ops.expand_dims(valid, -1)


def mask_targets(labels: Any, *, nodata: int, n_masks: int) -> tuple[Any, Any]:
    """Find targets and valid pixels from labels with one bit per mask (`ClassScheme`).

    Args:
        labels: Integer (B, H, W): bit k is set where mask k is; or `nodata`.
        nodata: Label of pixels that don't count.
        n_masks: C.

    Returns:
        float32 (B, H, W, C), 0 or 1, and bool (B, H, W, 1).
    """
    labels = ops.cast(labels, "int32")
    valid = ops.not_equal(labels, nodata)
    known = ops.expand_dims(ops.where(valid, labels, 0), -1)
    bits = ops.bitwise_and(known, ops.convert_to_tensor([1 << k for k in range(n_masks)], "int32"))
    return ops.cast(ops.not_equal(bits, 0), "float32"), ops.expand_dims(valid, -1)


def label_targets(labels: Any, classes: ClassScheme) -> tuple[Any, Any]:
    """Find targets and valid pixels from any labels of a scheme: class codes, masks or soft labels.

    Args:
        labels: Integer (B, H, W); or soft labels (B, H, W, C), see `polynya.shards.soft_labels`.
        classes: The scheme.

    Returns:
        float32 (B, H, W, C) and bool (B, H, W, 1).
    """
    if len(labels.shape) == 4:
        valid = ~is_unlabelled(labels, classes.nodata)[..., None]
        return ops.cast(ops.where(valid, labels, 0), "float32") / WHOLE, valid
    if classes.has_masks:
        return mask_targets(labels, nodata=classes.nodata, n_masks=classes.n_classes)
    return one_hot_targets(labels, nodata=classes.nodata, n_classes=classes.n_classes)


def safe_log(probabilities: Any) -> Any:
    """Logarithm, constant (slope 0) below `SMALLEST_PROBABILITY`; NaN stays NaN."""
    # Not ops.maximum: it may turn NaN into a number and so hide that a training has failed.
    too_small = ops.less(probabilities, SMALLEST_PROBABILITY)
    return ops.log(ops.where(too_small, SMALLEST_PROBABILITY, probabilities))


def number_of_pixels(valid: Any) -> Any:
    """Count valid pixels, float32 (exact up to 2**24).

    A pixel with only some valid masks counts as the share of valid masks.
    """
    valid = ops.cast(valid, "float32")
    return ops.sum(valid) / valid.shape[-1]


def number_of_images(valid: Any) -> Any:
    """Count images with a valid pixel, float32."""
    return ops.sum(ops.cast(ops.any(valid, axis=(1, 2, 3)), "float32"))


def mean_over_masks(losses: Any, valid: Any) -> Any:
    """Average losses over masks, then sum over pixels: (B, H, W, C) to a scalar."""
    return ops.sum(ops.where(valid, losses, 0.0)) / losses.shape[-1]


def weighted(of_classes: Any, class_weights: Sequence[float] | None) -> Any:
    """Multiply values (..., C) by the weights of the classes."""
    if class_weights is None:
        return of_classes
    return of_classes * ops.convert_to_tensor(class_weights, "float32")


def smoothed(targets: Any, share: float, towards: float) -> Any:
    """Smooth targets: (1 - share) * targets + share * towards."""
    return targets * (1.0 - share) + share * towards if share > 0.0 else targets

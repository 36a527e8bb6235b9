"""What a loss is: sums that add up over pixels, batches and ranks, and a value of these sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.classes import ClassScheme
from polynya.shards.soft_labels import WHOLE
from training.labels import is_unlabelled

Weights = Sequence[float] | None
"""One number a class; None for 1."""

SMALLEST_PROBABILITY = 1e-7
"""Below it the logarithm is cut off; the smallest that float32 softmax resolves beside 1."""


class Loss:
    """A function of sums over valid pixels: `value(sums of all batches and ranks)`.

    By the chain rule the gradient of a rank is that of its own sums, each times the slope of
    `value` at the sums of *all* ranks. So a rank needs nothing of the others but their sums, and
    the gradients of all ranks add up to that of one rank with all pixels.

    Attributes:
        size: Number of sums.
        additive: The sums are a total and a number that doesn't depend on the model, and the value
            is their quotient. Then the gradients of totals can be added up over batches before the
            number is known.
        per_image: The number is that of images with a valid pixel, not that of valid pixels.
        soft_labels: Targets may be other than 0 and 1, so what is the same for these only is out.
    """

    size: int
    additive: bool
    per_image: bool
    soft_labels: bool = False

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        """What adds up.

        Args:
            targets: float32 (B, H, W, C): one-hot, masks of 0 and 1 that may overlap, or soft
                labels in 0..1.
            probabilities: float32 (B, H, W, C), in 0..1.
            valid: bool (B, H, W, 1) or (B, H, W, C): what counts.

        Returns:
            float32 (size,).
        """
        raise NotImplementedError

    def value(self, sums: Any) -> Any:
        """The loss, a float32 scalar, of the sums of everything, float32 (size,)."""
        raise NotImplementedError


class MeanLoss(Loss):
    """A mean over valid pixels, or over images that have some; what `additive` losses share."""

    size = 2
    additive = True
    per_image = False

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        count = number_of_images(valid) if self.per_image else number_of_pixels(valid)
        return ops.stack([self.total(targets, probabilities, valid), count])

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        """What the value is a mean of, summed: float32 scalar."""
        raise NotImplementedError

    def value(self, sums: Any) -> Any:
        return sums[0] / ops.maximum(sums[1], 1.0)


def one_hot_targets(labels: Any, *, nodata: int, n_classes: int) -> tuple[Any, Any]:
    """Targets and valid pixels of class codes.

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
    """Targets and valid pixels of labels with a bit for each mask (`ClassScheme`).

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
    """Targets and valid pixels of labels of a scheme: one-hot, masks, or soft.

    Args:
        labels: Integer (B, H, W); soft ones (B, H, W, C), see `polynya.shards.soft_labels`.
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
    """Logarithm, cut off below `SMALLEST_PROBABILITY`, where its slope is 0; NaN stays NaN."""
    # Not ops.maximum, which may turn NaN into a number and so hide that a training has failed.
    too_small = ops.less(probabilities, SMALLEST_PROBABILITY)
    return ops.log(ops.where(too_small, SMALLEST_PROBABILITY, probabilities))


def number_of_pixels(valid: Any) -> Any:
    """Valid pixels, float32 (exact up to 2**24); of one with some valid masks, their share."""
    valid = ops.cast(valid, "float32")
    return ops.sum(valid) / valid.shape[-1]


def number_of_images(valid: Any) -> Any:
    """Images with a valid pixel, float32."""
    return ops.sum(ops.cast(ops.any(valid, axis=(1, 2, 3)), "float32"))


def mean_over_masks(losses: Any, valid: Any) -> Any:
    """Sum over pixels of the mean over masks: (B, H, W, C) to a scalar."""
    return ops.sum(ops.where(valid, losses, 0.0)) / losses.shape[-1]


def weighted(of_classes: Any, class_weights: Sequence[float] | None) -> Any:
    """Values (..., C), each times the weight of its class."""
    if class_weights is None:
        return of_classes
    return of_classes * ops.convert_to_tensor(class_weights, "float32")


def smoothed(targets: Any, share: float, towards: float) -> Any:
    """Targets of which a share is replaced by the same number everywhere."""
    return targets * (1.0 - share) + share * towards if share > 0.0 else targets

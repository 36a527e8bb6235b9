"""Tversky losses: overlap with prices of their own for what is too much and what is missing."""

from __future__ import annotations

from typing import Any

from keras import ops

from polynya.recipe.loss import JdtOptions, TverskyOptions
from training.losses.base import Loss, Weights, number_of_images


class Tversky(Loss):
    """The mean over classes of (1 - index) ** gamma, from sums over valid pixels.

    With TP, FP = P - TP and FN = T - TP of a class, the sums P of probabilities and T of targets,
    and the smoothing s, the index is (TP + s) / (TP + alpha FP + beta FN + s). The sums go over the
    *global* batch, or with `per_image` over each image (`training.losses.overlap`). alpha = beta =
    1/2 is Dice, alpha = beta = 1 is Jaccard.

    Args:
        options: Options of one of the losses.
        n_classes: C.
        class_weights: Weights of the classes in their mean; None for equal ones.
        by_distance: Whether TP is (P + T - sum |p - t|) / 2, the sum of the smaller ones, and not
            sum p t. Both are the same for targets of 0 and 1. For soft labels only the first has
            its minimum where the probabilities equal the labels.

    Source: S. Salehi et al., "Tversky loss function for image segmentation", 2017; gamma: N.
    Abraham and N. Khan, "A novel focal Tversky loss function", 2019; `by_distance`: Z. Wang et al.,
    "Jaccard metric losses" and "Dice semimetric losses", 2023.
    """

    def __init__(
        self,
        options: TverskyOptions | JdtOptions,
        *,
        n_classes: int,
        class_weights: Weights = None,
        by_distance: bool = False,
    ) -> None:
        self.size = 2 if options.per_image else 3 * n_classes
        self.additive = self.per_image = options.per_image
        self._options = options
        self._weights = list(class_weights or [1.0] * n_classes)
        self._by_distance = by_distance

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        axes = (1, 2) if self.per_image else (0, 1, 2)
        probabilities = ops.where(valid, probabilities, 0.0)
        targets = ops.where(valid, targets, 0.0)
        predicted, true = ops.sum(probabilities, axis=axes), ops.sum(targets, axis=axes)
        if self._by_distance:
            distance = ops.sum(ops.abs(probabilities - targets), axis=axes)
            both = 0.5 * (predicted + true - distance)
        else:
            both = ops.sum(targets * probabilities, axis=axes)
        if not self.per_image:
            return ops.concatenate([both, predicted, true])
        losses = self._loss(both, predicted, true)
        counts = ops.any(valid, axis=(1, 2, 3))
        return ops.stack([ops.sum(ops.where(counts, losses, 0.0)), number_of_images(valid)])

    def value(self, sums: Any) -> Any:
        if self.per_image:
            return sums[0] / ops.maximum(sums[1], 1.0)
        return self._loss(*ops.split(sums, 3))

    def _loss(self, both: Any, predicted: Any, true: Any) -> Any:
        """Compute the loss (...) from sums (..., C)."""
        options = self._options
        extra = options.alpha * (predicted - both) + options.beta * (true - both)
        # 1 - index, with a numerator that is not negative: a power of a negative number is NaN.
        extra = ops.where(ops.less(extra, 0.0), 0.0, extra)
        whole = both + extra + options.smoothing
        losses = extra / ops.where(ops.equal(whole, 0.0), 1.0, whole)
        if options.gamma != 1.0:
            losses = ops.power(losses, options.gamma)
        weights = ops.convert_to_tensor(self._weights, "float32")
        if options.classes == "present":
            weights = weights * ops.cast(ops.greater(true, 0.0), "float32")
        weights = ops.broadcast_to(weights, ops.shape(losses))
        total = ops.sum(weights, axis=-1)
        none = ops.equal(total, 0.0)
        return ops.sum(weights * losses, axis=-1) / ops.where(none, 1.0, total)


def build(options: TverskyOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `tversky` of a recipe."""
    return Tversky(options, n_classes=n_classes, class_weights=class_weights)

"""Tversky losses: overlap with prices of their own for what is too much and what is missing."""

from __future__ import annotations

from typing import Any

from keras import ops

from polynya.recipe.loss import JdtOptions, TverskyOptions
from training.losses.base import Loss, Weights
from training.losses.overlap import OverlapLoss


class Tversky(OverlapLoss):
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
        super().__init__(
            n_classes=n_classes,
            class_weights=class_weights,
            per_image=options.per_image,
            present_only=options.classes == "present",
        )
        self._options = options
        self._by_distance = by_distance

    def _overlap(self, targets: Any, probabilities: Any, axes: tuple[int, ...]) -> Any:
        if not self._by_distance:
            return super()._overlap(targets, probabilities, axes)
        distance = ops.abs(probabilities - targets)
        return 0.5 * ops.sum(probabilities + targets - distance, axis=axes)

    def _losses(self, both: Any, predicted: Any, true: Any) -> Any:
        options = self._options
        extra = options.alpha * (predicted - both) + options.beta * (true - both)
        # 1 - index, with a numerator that is not negative: a power of a negative number is NaN.
        extra = ops.where(ops.less(extra, 0.0), 0.0, extra)
        whole = both + extra + options.smoothing
        losses = extra / ops.where(ops.equal(whole, 0.0), 1.0, whole)
        return losses if options.gamma == 1.0 else ops.power(losses, options.gamma)


def build(options: TverskyOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `tversky` of a recipe."""
    return Tversky(options, n_classes=n_classes, class_weights=class_weights)

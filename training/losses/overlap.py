"""Dice and Jaccard losses: how much prediction and truth overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import DiceOptions, JaccardOptions
from training.losses.base import Loss, Weights, number_of_images


class OverlapLoss(Loss):
    """Base of losses of the sums of overlap, prediction and truth of each class.

    Args:
        n_classes: C.
        class_weights: Weights of the classes in their mean; None for equal ones.
        per_image: Whether each image has its own sums; else they go over the global batch.
        present_only: Take the mean only over the classes that occur in the truth.
    """

    def __init__(
        self,
        *,
        n_classes: int,
        class_weights: Sequence[float] | None,
        per_image: bool,
        present_only: bool,
    ) -> None:
        self.size = 2 if per_image else 3 * n_classes
        self.additive = self.per_image = per_image
        self._weights = list(class_weights or [1.0] * n_classes)
        self._present_only = present_only

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        axes = (1, 2) if self.per_image else (0, 1, 2)
        probabilities = ops.where(valid, probabilities, 0.0)
        targets = ops.where(valid, targets, 0.0)
        predicted, true = ops.sum(probabilities, axis=axes), ops.sum(targets, axis=axes)
        both = self._overlap(targets, probabilities, axes)
        if not self.per_image:
            return ops.concatenate([both, predicted, true])
        losses = self._mean(self._losses(both, predicted, true), true)
        counts = ops.any(valid, axis=(1, 2, 3))
        return ops.stack([ops.sum(ops.where(counts, losses, 0.0)), number_of_images(valid)])

    def value(self, sums: Any) -> Any:
        if self.per_image:
            return sums[0] / ops.maximum(sums[1], 1.0)
        both, predicted, true = ops.split(sums, 3)
        return self._mean(self._losses(both, predicted, true), true)

    def _overlap(self, targets: Any, probabilities: Any, axes: tuple[int, ...]) -> Any:
        """Sum what prediction and truth have in common: (..., C)."""
        return ops.sum(targets * probabilities, axis=axes)

    def _losses(self, both: Any, predicted: Any, true: Any) -> Any:
        """Compute the loss of each class, (..., C), from sums (..., C)."""
        raise NotImplementedError

    def _mean(self, losses: Any, true: Any) -> Any:
        """Average over classes: (..., C) to (...); 0 where no class counts."""
        weights = ops.convert_to_tensor(self._weights, "float32")
        if self._present_only:
            weights = weights * ops.cast(ops.greater(true, 0.0), "float32")
        weights = ops.broadcast_to(weights, ops.shape(losses))
        total = ops.sum(weights, axis=-1)
        none = ops.equal(total, 0.0)
        mean = ops.sum(weights * losses, axis=-1) / ops.where(none, 1.0, total)
        return ops.where(none, 0.0, mean)


class Overlap(OverlapLoss):
    """1 minus the mean over classes of a measure of overlap, from sums over valid pixels.

    With I = sum p t, P = sum p, T = sum t of a class and the smoothing s, Dice is
    (2 I + s) / (P + T + s) and Jaccard is (I + s) / (P + T - I + s). Both are 1 where prediction
    and truth are empty. The sums go over the *global* batch, so the loss is the same on any number
    of ranks. With `per_image`, each image has its own sums, and the loss is the mean over the
    images that have a valid pixel.

    Args:
        measure: "dice" or "jaccard".
        n_classes: C.
        class_weights: Weights of the classes in their mean; None for equal ones.
        smoothing: s; 0 for none.
        per_image: Whether each image has its own sums.
        present_only: Take the mean only over the classes that occur in the truth; the loss is 0 if
            no class occurs.

    Source: F. Milletari et al., "V-Net", 2016, without squares in the denominator; M. A. Rahman
    and Y. Wang, "Optimizing intersection-over-union in deep neural networks", 2016.
    """

    def __init__(
        self,
        measure: str,
        *,
        n_classes: int,
        class_weights: Sequence[float] | None = None,
        smoothing: float = 1e-5,
        per_image: bool = False,
        present_only: bool = False,
    ) -> None:
        if measure not in ("dice", "jaccard"):
            raise ValueError(f"`measure` must be 'dice' or 'jaccard'. Received: measure={measure}")
        super().__init__(
            n_classes=n_classes,
            class_weights=class_weights,
            per_image=per_image,
            present_only=present_only,
        )
        self._is_dice = measure == "dice"
        self._smoothing = smoothing

    @classmethod
    def of(
        cls, measure: str, options: DiceOptions | JaccardOptions, n_classes: int, weights: Weights
    ) -> Overlap:
        """Build the loss from the options of a recipe."""
        return cls(
            measure,
            n_classes=n_classes,
            class_weights=weights,
            smoothing=options.smoothing,
            per_image=options.per_image,
            present_only=options.classes == "present",
        )

    def _losses(self, both: Any, predicted: Any, true: Any) -> Any:
        common = 2.0 * both if self._is_dice else both
        whole = predicted + true - (0.0 if self._is_dice else both) + self._smoothing
        is_empty = ops.equal(whole, 0.0)
        measure = (common + self._smoothing) / ops.where(is_empty, 1.0, whole)
        return 1.0 - ops.where(is_empty, 1.0, measure)

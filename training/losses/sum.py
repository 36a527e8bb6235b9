"""Several losses as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import SumOptions
from training.losses.base import Loss, Weights
from training.losses.registry import build_loss


class WeightedSum(Loss):
    """sum_i weight_i loss_i, such as binary cross-entropy + Dice.

    If all terms are means over the same count, their sum is also such a mean, with a total and a
    count. Otherwise, the sums of all terms are concatenated.

    Args:
        terms: Weights and losses.
    """

    def __init__(self, terms: Sequence[tuple[float, Loss]]) -> None:
        self._terms = tuple(terms)
        losses = [loss for _, loss in terms]
        self.per_image = losses[0].per_image
        self.additive = all(loss.additive and loss.per_image == self.per_image for loss in losses)
        self.size = 2 if self.additive else sum(loss.size for loss in losses)

    @property
    def soft_labels(self) -> bool:
        """Whether targets may differ from 0 and 1; the same for all terms."""
        return any(loss.soft_labels for _, loss in self._terms)

    @soft_labels.setter
    def soft_labels(self, value: bool) -> None:
        for _, loss in self._terms:
            loss.soft_labels = loss.soft_labels or value

    def sums(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        found = [loss.sums(targets, probabilities, valid) for _, loss in self._terms]
        if not self.additive:
            return ops.concatenate(found)
        total = sum(weight * sums[0] for (weight, _), sums in zip(self._terms, found, strict=True))
        return ops.stack([total, found[0][1]])

    def value(self, sums: Any) -> Any:
        if self.additive:
            return sums[0] / ops.maximum(sums[1], 1.0)
        value, start = 0.0, 0
        for weight, loss in self._terms:
            value = value + weight * loss.value(sums[start : start + loss.size])
            start += loss.size
        return value


def build(options: SumOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `sum` of a recipe."""
    return WeightedSum(
        [
            (term.weight, build_loss(term.loss, n_classes=n_classes, class_weights=class_weights))
            for term in options.terms
        ]
    )

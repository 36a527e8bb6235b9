"""Which loss each of the recipe's options (`polynya.recipe.loss`) stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from polynya.recipe.loss import (
    BinaryCrossEntropyOptions,
    CrossEntropyOptions,
    DiceOptions,
    FocalOptions,
    JaccardOptions,
    LossOptions,
    SumOptions,
)
from training.losses.base import Loss
from training.losses.crossentropy import BinaryCrossEntropy, CrossEntropy
from training.losses.focal import Focal
from training.losses.overlap import Overlap
from training.losses.weighted_sum import WeightedSum

Weights = Sequence[float] | None
"""One number a class; None for 1."""


def build_loss(options: LossOptions, *, n_classes: int, class_weights: Weights = None) -> Loss:
    """The loss that a recipe's key `training.loss` asks for.

    Args:
        options: Of one loss.
        n_classes: Channels of targets and probabilities.
        class_weights: One number a class; see the class of each loss for what it does with them.
    """
    return LOSSES[type(options)](options, n_classes, class_weights)


def _overlap(options: DiceOptions | JaccardOptions, n_classes: int, weights: Weights) -> Loss:
    return Overlap(
        options.name,
        n_classes=n_classes,
        class_weights=weights,
        smoothing=options.smoothing,
        per_image=options.per_image,
        present_only=options.classes == "present",
    )


def _sum(options: SumOptions, n_classes: int, weights: Weights) -> Loss:
    return WeightedSum(
        [
            (term.weight, build_loss(term.loss, n_classes=n_classes, class_weights=weights))
            for term in options.terms
        ]
    )


LOSSES: dict[type, Callable[[Any, int, Weights], Loss]] = {
    CrossEntropyOptions: lambda o, n, w: CrossEntropy(w, label_smoothing=o.label_smoothing),
    BinaryCrossEntropyOptions: lambda o, n, w: BinaryCrossEntropy(
        w, label_smoothing=o.label_smoothing
    ),
    FocalOptions: lambda o, n, w: Focal(w, gamma=o.gamma, binary=o.binary),
    DiceOptions: _overlap,
    JaccardOptions: _overlap,
    SumOptions: _sum,
}
"""Every loss that a recipe can name: from its options, the number of classes and their weights."""

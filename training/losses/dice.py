"""Dice loss: twice the overlap divided by the sum of prediction and truth."""

from __future__ import annotations

from polynya.recipe.loss import DiceOptions
from training.losses.base import Loss, Weights
from training.losses.overlap import Overlap


def build(options: DiceOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `dice` of a recipe."""
    return Overlap.of("dice", options, n_classes, class_weights)

"""Jaccard loss: the overlap divided by the union of prediction and truth."""

from __future__ import annotations

from polynya.recipe.loss import JaccardOptions
from training.losses.base import Loss, Weights
from training.losses.overlap import Overlap


def build(options: JaccardOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `jaccard` of a recipe."""
    return Overlap.of("jaccard", options, n_classes, class_weights)

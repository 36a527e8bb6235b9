"""JDT loss: Jaccard metric, Dice semimetric and Tversky losses for hard and soft labels."""

from __future__ import annotations

from polynya.recipe.loss import JdtOptions
from training.losses.base import Loss, Weights
from training.losses.tversky import Tversky


def build(options: JdtOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `jdt` of a recipe."""
    return Tversky(options, n_classes=n_classes, class_weights=class_weights, by_distance=True)

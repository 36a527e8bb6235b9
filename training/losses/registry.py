"""Finds the loss that a recipe names."""

from __future__ import annotations

from importlib import import_module

from polynya.recipe.loss import LossOptions
from training.losses.base import Loss, Weights


def build_loss(options: LossOptions, *, n_classes: int, class_weights: Weights = None) -> Loss:
    """The loss that a recipe's key `training.loss` asks for: `build` of the module of its name.

    Args:
        options: Of one loss.
        n_classes: Channels of targets and probabilities.
        class_weights: One number a class; see the class of each loss for what it does with them.
    """
    loss: Loss = import_module(f"training.losses.{options.name}").build(
        options, n_classes, class_weights
    )
    return loss

"""Finds the loss that a recipe names."""

from __future__ import annotations

from importlib import import_module

from polynya.recipe.loss import LossOptions
from training.losses.base import Loss, Weights


def build_loss(options: LossOptions, *, n_classes: int, class_weights: Weights = None) -> Loss:
    """Build the loss that a recipe's key `training.loss` names.

    A loss is in the module with the loss's name, which has a function `build`.

    Args:
        options: Options of one loss.
        n_classes: Channels of targets and probabilities.
        class_weights: One weight per class; the class of each loss says how it uses them.
    """
    loss: Loss = import_module(f"training.losses.{options.name}").build(
        options, n_classes, class_weights
    )
    return loss

"""Kullback-Leibler divergence of the prediction from the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from polynya.recipe.loss import KullbackLeiblerOptions
from training.losses.base import Loss, MeanLoss, Weights, safe_log, weighted


class KullbackLeibler(MeanLoss):
    """Mean over valid pixels of sum_c w_c t_c (log t_c - log p_c), in nats.

    It is 0 where probabilities equal the labels, also soft ones; of labels 0 and 1 it equals
    cross-entropy, as the entropy of such labels is 0.

    Args:
        class_weights: w, one weight per class; None for 1.

    Source: S. Kullback and R. Leibler, "On information and sufficiency", 1951.
    """

    soft_labels = True

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        self._class_weights = class_weights

    def total(self, targets: Any, probabilities: Any, valid: Any) -> Any:
        parts = targets * (safe_log(targets) - safe_log(probabilities))
        losses = ops.sum(weighted(parts, self._class_weights), axis=-1)
        return ops.sum(ops.where(ops.all(valid, axis=-1), losses, 0.0))


def build(options: KullbackLeiblerOptions, n_classes: int, class_weights: Weights) -> Loss:
    """Build the loss `kullback_leibler` of a recipe."""
    return KullbackLeibler(class_weights)

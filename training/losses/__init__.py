"""Losses: how far probabilities are from labels, over the pixels that have a label."""

from training.losses.base import Loss, label_targets, mask_targets, one_hot_targets
from training.losses.crossentropy import masked_crossentropy
from training.losses.registry import build_loss

__all__ = [
    "Loss",
    "build_loss",
    "label_targets",
    "mask_targets",
    "masked_crossentropy",
    "one_hot_targets",
]

"""Losses: how far probabilities are from labels, over the pixels that have one."""

from training.losses.crossentropy import masked_crossentropy

__all__ = ["masked_crossentropy"]

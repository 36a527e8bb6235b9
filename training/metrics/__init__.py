"""Metrics: how well a map agrees with labels, all from confusion matrices."""

from training.metrics.confusion import confusion_matrix, confusion_of, image_dice, scores

__all__ = ["confusion_matrix", "confusion_of", "image_dice", "scores"]

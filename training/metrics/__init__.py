"""Metrics: how well a map agrees with labels, all from one confusion matrix."""

from training.metrics.confusion import confusion_matrix, confusion_of, scores

__all__ = ["confusion_matrix", "confusion_of", "scores"]

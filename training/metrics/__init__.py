"""Metrics: how well a map agrees with labels, all from one confusion matrix."""

from training.metrics.confusion import confusion_matrix, scores

__all__ = ["confusion_matrix", "scores"]

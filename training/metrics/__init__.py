"""Metrics: how well a map agrees with labels, most of them from confusion matrices."""

from training.metrics.confusion import confusion_matrix, confusion_of, image_dice, scores
from training.metrics.registry import all_metrics, find_metric
from training.metrics.tally import Tally

__all__ = [
    "Tally",
    "all_metrics",
    "confusion_matrix",
    "confusion_of",
    "find_metric",
    "image_dice",
    "scores",
]

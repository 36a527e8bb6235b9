"""Intersection over union of each class: TP / (TP + FP + FN) (P. Jaccard, 1901)."""

from __future__ import annotations

from training.metrics.base import Counts, Metric, Numbers, ratio


def _value(confusion: Numbers) -> Numbers:
    counts = Counts.of(confusion)
    union = counts.true_positive + counts.false_positive + counts.false_negative
    return ratio(counts.true_positive, union)


METRIC = Metric("iou", "IoU", _value, per_class=True)

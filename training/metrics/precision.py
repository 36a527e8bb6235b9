"""Precision of each class: TP / (TP + FP), the share of what is called the class that is it."""

from __future__ import annotations

from training.metrics.base import Counts, Metric, Numbers, ratio


def _value(confusion: Numbers) -> Numbers:
    counts = Counts.of(confusion)
    return ratio(counts.true_positive, counts.true_positive + counts.false_positive)


METRIC = Metric("precision", "precision", _value, per_class=True)

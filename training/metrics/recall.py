"""Recall of each class: TP / (TP + FN), the share of the class that is found."""

from __future__ import annotations

from training.metrics.base import Counts, Metric, Numbers, ratio


def _value(confusion: Numbers) -> Numbers:
    counts = Counts.of(confusion)
    return ratio(counts.true_positive, counts.true_positive + counts.false_negative)


METRIC = Metric("recall", "recall", _value, per_class=True)

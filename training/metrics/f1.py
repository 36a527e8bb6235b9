"""F1 or Dice of each class: 2 TP / (2 TP + FP + FN) (L. Dice, 1945)."""

from __future__ import annotations

from training.metrics.base import Counts, Metric, Numbers, ratio


def _value(confusion: Numbers) -> Numbers:
    counts = Counts.of(confusion)
    twice = 2 * counts.true_positive
    return ratio(twice, twice + counts.false_positive + counts.false_negative)


METRIC = Metric("f1", "F1", _value, per_class=True)

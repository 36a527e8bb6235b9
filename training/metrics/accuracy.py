"""Share of correct pixels; for masks, share of correct pairs of a pixel and a mask."""

from __future__ import annotations

import numpy as np

from training.metrics.base import Metric, Numbers, ratio


def _value(confusion: Numbers) -> float:
    right = np.trace(confusion, axis1=-2, axis2=-1).sum()
    return float(ratio(right, confusion.sum()))


METRIC = Metric("accuracy", "right", _value)

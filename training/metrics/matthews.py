"""Matthews correlation coefficient of truth and prediction, -1..1; for masks, the mean of theirs.

With s all pixels, r the right ones, t_c the true and p_c the predicted pixels of a class,
(r s - sum t_c p_c) / sqrt((s^2 - sum p_c^2) (s^2 - sum t_c^2)).

J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004.
"""

from __future__ import annotations

import numpy as np

from training.metrics.base import Metric, Numbers, defined_mean, ratio


def _value(confusion: Numbers) -> float:
    if confusion.ndim == 3:
        return defined_mean(np.array([_value(of_mask) for of_mask in confusion]))
    true, predicted, pixels = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    above = confusion.trace() * pixels - true @ predicted
    below = (pixels**2 - predicted @ predicted) * (pixels**2 - true @ true)
    return float(ratio(above, np.sqrt(below)))


METRIC = Metric("matthews", "Matthews correlation", _value)

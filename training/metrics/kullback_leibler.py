"""Kullback-Leibler divergence of probabilities from labels, mean over pixels, in nats.

sum_c t_c log(t_c / p_c); for masks, the mean over masks of the divergence of "there" and "absent".
Labels of 0 and 1 have no entropy, so theirs is the cross-entropy. As in Keras, probabilities count
as at least 1e-7.

S. Kullback and R. Leibler, "On information and sufficiency", 1951.
"""

from __future__ import annotations

import numpy as np

from polynya.recipe.metrics import MetricsOptions
from training.metrics.base import Metric, Numbers, Sample, ratio

_LEAST = 1e-7


def _sums(sample: Sample, options: MetricsOptions) -> Numbers:
    """Sum over pixels, and number of pixels: (2,)."""
    assert sample.probabilities is not None  # `needs_probabilities`
    valid = sample.valid
    targets = sample.targets[valid].astype(np.float64)
    found = sample.probabilities[valid].astype(np.float64)
    total = _divergence(targets, found).sum()
    if sample.classes.has_masks:
        total = (total + _divergence(1 - targets, 1 - found).sum()) / sample.classes.n_classes
    return np.array([total, valid.sum()], np.float64)


def _divergence(targets: Numbers, found: Numbers) -> Numbers:
    # A target of 0 adds nothing, whatever was found.
    return targets * (np.log(np.maximum(targets, _LEAST)) - np.log(np.maximum(found, _LEAST)))


def _value(sums: Numbers) -> float:
    return float(ratio(*sums))


METRIC = Metric(
    "kullback_leibler",
    "Kullback-Leibler divergence",
    _value,
    _sums,
    needs_probabilities=True,
    less_is_better=True,
    unit="nats",
)

"""Expected calibration error (ECE): how far probabilities are from the share that is right.

Pixels are sorted into `BINS` bins of equal width by the probability of the class that was chosen.
In each bin the mean probability is compared with the share of pixels that are right; the error is
the mean of the differences, weighted by pixels. 0 is perfect: of pixels with 0.8, 80 % are right.
Of masks, every pair of a pixel and a mask counts, by the probability of the mask and whether the
truth has it.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np

from polynya.recipe.metrics import MetricsOptions
from training.metrics.base import Metric, Numbers, Sample, ratio

BINS = 15


def _sums(sample: Sample, options: MetricsOptions) -> Numbers:
    """Number of pixels, sum of probabilities and number right of each bin: (BINS, 3)."""
    assert sample.probabilities is not None  # `needs_probabilities`
    valid, classes = sample.valid, sample.classes
    truth, found = sample.truth[valid], sample.predicted[valid]
    probabilities = sample.probabilities[valid].astype(np.float64)  # (N, C)
    if classes.has_masks:
        confidence = probabilities.ravel()
        right = np.stack([classes.where(truth, code) for code in classes.codes], -1).ravel()
    else:
        confidence = np.take_along_axis(probabilities, found[:, None].astype(np.intp), 1)[:, 0]
        right = truth == found
    number = np.clip((confidence * BINS).astype(np.intp), 0, BINS - 1)
    sums = [np.bincount(number, weights, BINS) for weights in (None, confidence, right)]
    return np.stack(sums, axis=-1).astype(np.float64)


def _value(sums: Numbers) -> float:
    return float(ratio(np.abs(sums[:, 1] - sums[:, 2]).sum(), sums[:, 0].sum()))


METRIC = Metric(
    "calibration_error",
    "expected calibration error",
    _value,
    _sums,
    needs_probabilities=True,
    less_is_better=True,
)

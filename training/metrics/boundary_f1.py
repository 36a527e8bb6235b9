"""Boundary F1 of each class: how well the edges of regions agree, within a tolerance.

The edge of a class is its pixels beside a pixel (of four) that is not of the class. Precision is
the share of the predicted edge that is at most the tolerance away from the true edge, recall the
share of the true edge as near to the predicted one; F1 = 2 P R / (P + R). Borders of the image and
of nodata are no edges.

G. Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, who
take 0.75 % of an image's diagonal as the tolerance and the mean over images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.metrics import MetricsOptions
from training.metrics.base import Metric, Numbers, Sample, ratio


def _sums(sample: Sample, options: MetricsOptions) -> Numbers:
    """Pixels of the predicted edge, those near the true one, and the reverse: (4, C)."""
    valid, classes = sample.valid, sample.classes
    columns = []
    for code in classes.codes:
        found = edges(classes.where(sample.predicted, code), valid)
        true = edges(classes.where(sample.truth, code), valid)
        near_true = found & _within(true, options.tolerance)
        near_found = true & _within(found, options.tolerance)
        columns.append([found.sum(), near_true.sum(), true.sum(), near_found.sum()])
    return np.array(columns, np.float64).T


def edges(mask: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Valid pixels of a mask beside a valid pixel (of four) outside the mask: bool (H, W)."""
    outside = np.pad(valid & ~mask, 1)
    beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return np.asarray(mask & valid & beside)


def _within(edge: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Pixels at most so far from an edge, by the distance between the centres of pixels."""
    from scipy.ndimage import distance_transform_edt

    if not edge.any():
        return np.zeros_like(edge)
    return np.asarray(distance_transform_edt(~edge) <= tolerance)


def _value(sums: Numbers) -> Numbers:
    found, near_true, true, near_found = sums
    precision, recall = ratio(near_true, found), ratio(near_found, true)
    # Where only one side has an edge, nothing of it is found.
    precision = np.where((found == 0) & (true > 0), 0.0, precision)
    recall = np.where((true == 0) & (found > 0), 0.0, recall)
    both = precision + recall
    return np.where(both == 0, 0.0, ratio(2 * precision * recall, both))


METRIC = Metric("boundary_f1", "boundary F1", _value, _sums, per_class=True)

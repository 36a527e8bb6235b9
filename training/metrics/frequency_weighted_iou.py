"""Mean IoU of the classes, weighted by their true pixels: sum_c n_c IoU_c / sum_c n_c.

J. Long et al., "Fully convolutional networks for semantic segmentation", 2015.
"""

from __future__ import annotations

import numpy as np

from training.metrics.base import Counts, Metric, Numbers, ratio
from training.metrics.iou import METRIC as IOU


def _value(confusion: Numbers) -> float:
    counts = Counts.of(confusion)
    true = counts.true_positive + counts.false_negative
    return float(ratio((np.nan_to_num(IOU.value(confusion)) * true).sum(), true.sum()))


METRIC = Metric("frequency_weighted_iou", "frequency-weighted IoU", _value)

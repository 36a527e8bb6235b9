"""Weighted statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.light import Floats


def percentile(values: Floats, weights: NDArray[np.generic], percent: float) -> float:
    """Return the value below which `percent` of the weights lie; there is at least one value."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, 0.01 * percent * below[-1])])

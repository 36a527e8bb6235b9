"""Means with intervals, and whether a gain can be told from chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
NOISE = "inside the noise"
UNKNOWN = "noise unknown"
Values = Sequence[float] | NDArray[np.float64]


def interval(values: Values) -> tuple[float, float]:
    """Mean of a sample and half of its confidence interval (Student's t, 95 %).

    Args:
        values: At least two numbers.
    """
    from scipy.stats import t as student  # It takes a second to import.

    numbers = np.asarray(values, np.float64)
    error = numbers.std(ddof=1) / np.sqrt(len(numbers))
    factor = student.ppf((1 + CONFIDENCE) / 2, len(numbers) - 1)
    return float(numbers.mean()), float(factor * error)


def verdict(gains: Values) -> str:
    """Say what paired differences show: "gain", "loss", or `NOISE` if the interval covers 0.

    Args:
        gains: At least two differences of two trainings that differ in one thing only.
    """
    mean, half = interval(gains)
    if not abs(mean) > half:
        return NOISE
    return "gain" if mean > 0 else "loss"


def points(values: Values, sign: str = "", *, factor: float = 100, digits: int = 2) -> str:
    """Mean and interval, such as 71.20 ± 0.85; by default of shares, in percent.

    Args:
        values: Numbers; shares are 0..1.
        sign: "+" writes the sign of a positive mean.
        factor: Factor on the numbers.
        digits: Digits after the point.
    """
    mean, half = interval(factor * np.asarray(values, np.float64))
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"

"""Structural similarity (SSIM) of label images, by which the sea-ice paper reports accuracy.

Label images are compared in the classes' colours. Only windows wholly inside the image and on data
count.

Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: "Image quality assessment: from error
visibility to structural similarity", IEEE Transactions on Image Processing 13 (2004), 600-612,
equation 13 with the constants and the 11 x 11 Gaussian window of deviation 1.5 given there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.recipe.metrics import MetricsOptions
from training.metrics.base import Metric, Numbers, Sample, ratio

WINDOW = 11
"""Height and width of the window, in pixels."""

_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def structural_similarity(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    valid: NDArray[np.bool_] | None = None,
) -> float:
    """Return the mean structural similarity (MSSIM) of two images, and the mean over bands.

    Args:
        first: uint8 (H, W) or (H, W, bands).
        second: The same shape.
        valid: bool (H, W), True where there is data; default: everywhere. Only windows wholly
            inside the image and on data count.

    Returns:
        At most 1; equal images have 1. NaN if no window counts.

    Raises:
        ValueError: The shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(
            "`first` and `second` must have the same shape. "
            f"Received: first.shape={first.shape}, second.shape={second.shape}"
        )
    if valid is None:
        valid = np.ones(first.shape[:2], np.bool_)
    return float(ratio(*_total_and_windows(first, second, valid)))


def _total_and_windows(
    first: NDArray[np.uint8], second: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> Numbers:
    """Sum of the similarity of windows, mean over bands, and number of windows: (2,)."""
    window = np.ones((WINDOW, WINDOW), np.uint8)
    data = valid.astype(np.uint8)
    whole = cv2.erode(data, window, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not whole.any():
        return np.zeros(2)
    bands = list(zip(_bands(first), _bands(second), strict=True))
    total = sum(_similarity_map(x, y)[whole].sum() for x, y in bands) / len(bands)
    return np.array([total, whole.sum()], np.float64)


def _bands(image: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    bands = np.atleast_3d(image).astype(np.float64)
    return [np.ascontiguousarray(bands[..., i]) for i in range(bands.shape[2])]


def _similarity_map(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM of the window around each pixel, float64 (H, W)."""
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variance_x = _local_mean(x * x) - mean_x * mean_x
    variance_y = _local_mean(y * y) - mean_y * mean_y
    covariance = _local_mean(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return similar / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))


def _local_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(image, (WINDOW, WINDOW), _SIGMA), np.float64)


def _sums(sample: Sample, options: MetricsOptions) -> Numbers:
    paint = sample.classes.paint
    return _total_and_windows(paint(sample.truth), paint(sample.predicted), sample.valid)


def _value(sums: Numbers) -> float:
    return float(ratio(*sums))


METRIC = Metric("ssim", "structural similarity", _value, _sums)

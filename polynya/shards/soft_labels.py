"""Soft labels: the share or probability of each class in each pixel, stored as bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme

WHOLE = 254
"""Byte for a share of 1; it is even, so that a share of one half is also a whole number."""


def encode(shares: NDArray[np.float32], nodata: int) -> NDArray[np.uint8]:
    """Convert shares to bytes.

    Args:
        shares: float32 (..., C), 0..1; NaN for unknown pixels.
        nodata: Value of unknown pixels in all channels.

    Returns:
        uint8 (..., C), share times `WHOLE`, rounded.
    """
    known = np.isfinite(shares).all(axis=-1, keepdims=True)
    numbers = np.rint(np.where(known, shares, 0) * WHOLE)
    return np.where(known, numbers, nodata).astype(np.uint8)


def harden(soft: NDArray[np.uint8], classes: ClassScheme) -> NDArray[np.uint8]:
    """Find the most probable label of each pixel.

    Args:
        soft: uint8 (..., H, W, C), from `encode`.
        classes: Class scheme with kind and nodata code.

    Returns:
        uint8 (..., H, W), labels of `ClassScheme`. With exclusive classes, it is the class with the
        greatest share, and the first class if shares are equal. With masks, it has all masks with a
        share of one half or more.
    """
    known = soft[..., 0] != classes.nodata
    if classes.has_masks:
        return classes.labels_of(list(np.moveaxis(2 * soft.astype(int) >= WHOLE, -1, 0)), known)
    return np.where(known, soft.argmax(axis=-1), classes.nodata).astype(np.uint8)

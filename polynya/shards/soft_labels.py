"""Soft labels: of each pixel the share, or the chance, of each class, kept as bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme

WHOLE = 254
"""What stands for a share of 1; one half is a whole number too."""


def encode(shares: NDArray[np.float32], nodata: int) -> NDArray[np.uint8]:
    """Shares as bytes.

    Args:
        shares: float32 (..., C), 0..1; NaN where unknown.
        nodata: What unknown pixels get in all channels.

    Returns:
        uint8 (..., C), share times `WHOLE`, rounded.
    """
    known = np.isfinite(shares).all(axis=-1, keepdims=True)
    numbers = np.rint(np.where(known, shares, 0) * WHOLE)
    return np.where(known, numbers, nodata).astype(np.uint8)


def harden(soft: NDArray[np.uint8], classes: ClassScheme) -> NDArray[np.uint8]:
    """The most probable label of each pixel.

    Args:
        soft: uint8 (..., H, W, C), from `encode`.
        classes: Gives kind and nodata.

    Returns:
        uint8 (..., H, W) as `ClassScheme` has labels: the class with the greatest share, the first
        of equal ones; of masks those whose share is one half or more.
    """
    known = soft[..., 0] != classes.nodata
    if classes.has_masks:
        return classes.labels_of(list(np.moveaxis(2 * soft.astype(int) >= WHOLE, -1, 0)), known)
    return np.where(known, soft.argmax(axis=-1), classes.nodata).astype(np.uint8)

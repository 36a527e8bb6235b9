"""Labels of tiles within a step: codes (B, H, W), or soft labels with one channel per class."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme


def is_unlabelled(labels: Any, nodata: int) -> Any:
    """Find pixels without a label.

    Args:
        labels: Integer (B, H, W); or soft labels (B, H, W, C), nodata in all channels or in none.
        nodata: Code of pixels without a label.

    Returns:
        bool (B, H, W).
    """
    return ops.equal(labels if len(labels.shape) == 3 else labels[..., 0], nodata)


def as_channels(labels: Any) -> Any:
    """Reshape labels to (B, H, W, 1); soft labels stay as they are."""
    return labels[..., None] if len(labels.shape) == 3 else labels


def from_channels(channels: Any, labels: Any) -> Any:
    """Bring channels back to the shape and type of `labels`; reverses `as_channels`."""
    return ops.cast(channels if len(labels.shape) == 4 else channels[..., 0], labels.dtype)


def most_probable(found: NDArray[np.float32], classes: ClassScheme) -> NDArray[np.uint8]:
    """Find the most probable label of each pixel: (..., C) to uint8 (...)."""
    if not classes.has_masks:
        return found.argmax(axis=-1).astype(np.uint8)
    bits = 1 << np.arange(classes.n_classes)
    return np.asarray(((found >= 0.5) * bits).sum(axis=-1), np.uint8)

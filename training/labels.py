"""Labels of tiles within a step: codes (B, H, W), or soft labels with one channel per class."""

from __future__ import annotations

from typing import Any

from keras import ops


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

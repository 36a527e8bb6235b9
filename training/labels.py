"""Labels of tiles within a step: hard ones (B, H, W), or soft ones with a channel a class."""

from __future__ import annotations

from typing import Any

from keras import ops


def is_unlabelled(labels: Any, nodata: int) -> Any:
    """Pixels without a label.

    Args:
        labels: Integer (B, H, W); soft ones (B, H, W, C), which are nodata in all channels or none.
        nodata: Label of pixels without one.

    Returns:
        bool (B, H, W).
    """
    return ops.equal(labels if len(labels.shape) == 3 else labels[..., 0], nodata)


def as_channels(labels: Any) -> Any:
    """Labels as (B, H, W, 1) or, if they are soft, as they are."""
    return labels[..., None] if len(labels.shape) == 3 else labels


def from_channels(channels: Any, labels: Any) -> Any:
    """Channels in the shape and type of the labels that they were made of."""
    return ops.cast(channels if len(labels.shape) == 4 else channels[..., 0], labels.dtype)

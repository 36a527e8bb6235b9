"""Results of the study "Faster UNet" (its Table 4, LandCover.ai), and of a training here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Published:
    """A row of the table."""

    pass_mb: float
    """Memory of a forward and backward pass, MB."""
    epoch_s: float
    """Mean time of an epoch, seconds, on an RTX 4060 Ti."""
    mean_iou: float
    """Mean over the classes of the mean IoU of the images with the class, 0..1."""


TABLE_4 = {
    "unet_base": Published(3966, 730.9526, 0.3246),
    "unet_short": Published(5842, 468.471, 0.2558),
    "unet_skinny": Published(1292.25, 312.0205, 0.3983),
    "unet_less_conv": Published(2444.25, 443.4832, 0.3195),
    "unet_pp": Published(3333, 582.9711, 0.3953),
    "deeplab_v3_plus": Published(872.63, 259.2879, 0.3846),
}
"""Rows by family of models."""


@dataclass(frozen=True)
class Trained:
    """Result of a training."""

    iou: NDArray[np.float64]
    """(C,), mean over the test tiles that have the class, 0..1."""
    epoch_s: float
    """Median time of an epoch with its validation, seconds."""
    epochs: int
    """Epochs until training ended."""
    labels: NDArray[np.uint8]
    """(H, W), classes of the pictured test tile."""

"""Results of the study "Faster UNet", as the study that ships has them, and of a training here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.studies.sweep.study import load_study


@dataclass(frozen=True)
class Published:
    """A row of the table."""

    pass_mb: float
    """Memory of a forward and backward pass, MB."""
    epoch_s: float
    """Mean time of an epoch, seconds, on an RTX 4060 Ti."""
    mean_iou: float
    """Mean over the classes of the mean IoU of the images with the class, 0..1."""


def published() -> dict[str, Published]:
    """Table 4 of the study (LandCover.ai), rows by family of models."""
    table = load_study("faster_unet").options.published["network"]
    sizes, times, scores = (table[name] for name in ("pass size, MB", "epoch, s", "mean IoU, %"))
    return {name: Published(sizes[name], times[name], scores[name] / 100) for name in scores}


TABLE_4 = published()


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

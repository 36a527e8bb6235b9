"""The search for the threshold of a mask with the best score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.ballots import HALF

PixelScore = Literal["mean_iou", "accuracy", "mean_f1"]
"""Scores over the pixels of all scenes together."""
Score = Literal[PixelScore, "mean_dice"]
"""mean_dice is the mean over scenes and classes (`training.metrics.confusion.image_dice`)."""

_CANDIDATES = np.arange(1, 200) / 200
"""Thresholds to try. Between two of them, a mask's score changes little."""


@dataclass(frozen=True)
class Found:
    """Result of a search for a threshold."""

    best: float
    """The best threshold; among equally good thresholds, the one nearest to 0.5."""
    before: float
    """Score of the mask at 0.5; NaN if the mask doesn't occur in the truth."""
    after: float
    """Score at the best threshold; NaN if the mask doesn't occur in the truth."""


def best_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_], score: PixelScore
) -> Found:
    """Try all candidates on one mask.

    Args:
        probabilities: float32 (N,), probabilities of pixels with known truth.
        truth: bool (N,), whether the pixels are under the mask.
        score: Score to maximise. For one mask, mean_f1 is its F1 and mean_iou its IoU.
    """
    from training.metrics.confusion import scores

    if not truth.any():
        return Found(HALF, np.nan, np.nan)
    # Compare in float32, as predictions do.
    passed = np.searchsorted(_CANDIDATES.astype(np.float32), probabilities, side="right")
    # A pixel reaches the k-th candidate if it passes at least k + 1 candidates.
    inside, outside = (
        np.bincount(passed[chosen], minlength=len(_CANDIDATES) + 1)[::-1].cumsum()[::-1]
        for chosen in (truth, ~truth)
    )
    found = []
    for hits, alarms in zip(inside[1:], outside[1:], strict=True):
        confusion = [[[outside[0] - alarms, alarms], [inside[0] - hits, hits]]]
        found.append(scores(np.array(confusion))[score])
    values = np.array(found)
    best = min(np.flatnonzero(values == values.max()), key=lambda k: abs(_CANDIDATES[k] - HALF))
    before = values[np.flatnonzero(_CANDIDATES == HALF)[0]]
    return Found(float(_CANDIDATES[best]), float(before), float(values[best]))

"""The threshold of a mask that gives it the best score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.predict.decision import HALF

Score = Literal["mean_iou", "accuracy", "mean_f1"]

_CANDIDATES = np.arange(1, 200) / 200
"""Thresholds that are tried: a mask's score changes by little between two of them."""


@dataclass(frozen=True)
class Found:
    """What a search for a threshold gives."""

    best: float
    """The threshold; of several as good the one that is next to 0.5."""
    before: float
    """Score of the mask at 0.5; NaN where the truth has none of it."""
    after: float
    """Score at the best threshold, likewise."""


def best_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_], score: Score
) -> Found:
    """Try all candidates on one mask.

    Args:
        probabilities: float32 (N,), of pixels whose truth is known.
        truth: bool (N,), whether they are under the mask.
        score: What is to be as large as possible; of one mask the means are its F1 and IoU.
    """
    from training.metrics.confusion import scores

    if not truth.any():
        return Found(HALF, np.nan, np.nan)
    # As predictions compare them.
    passed = np.searchsorted(_CANDIDATES.astype(np.float32), probabilities, side="right")
    # Pixels that reach the k-th candidate are those that pass k + 1 at least.
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

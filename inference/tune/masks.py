"""The search for threshold and least region of a mask, together, by its mean Dice over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.predict.decision import Connectivity
from training.ballots import HALF

THRESHOLDS = np.arange(1, 40) / 40
"""Thresholds to try."""
LEAST = (0, 4, 9, 16, 32, 64, 128, 256, 512, 1000, 2000, 4000, 7000, 10000, 15000, 20000, 30000)
"""Least sizes of a region to try, in pixels; 0 keeps all."""


@dataclass(frozen=True)
class MaskImage:
    """One mask of one image: what the model says and what is true."""

    probabilities: NDArray[np.float32]
    """float32 (H, W)."""
    valid: NDArray[np.bool_]
    """bool (H, W), True where the image has data."""
    truth: NDArray[np.bool_]
    """bool (H, W), True under the mask."""
    counted: NDArray[np.bool_]
    """bool (H, W), True where the image has data and the truth is known."""


@dataclass(frozen=True)
class Found:
    """The best pair."""

    threshold: float
    """Among equally good pairs, the one nearest to 0.5."""
    least: int
    """Least size of a region in pixels; among equally good ones, the smallest."""
    before: float
    """Mean Dice at 0.5 with all regions."""
    after: float
    """Mean Dice of the best pair."""


def best_threshold_and_least(
    images: Sequence[MaskImage],
    connectivity: Connectivity = 4,
    thresholds: NDArray[np.float64] = THRESHOLDS,
    least: Sequence[int] = LEAST,
) -> Found:
    """Try each threshold with each least region.

    Smaller regions are removed, as `inference.predict.decision.tidy_labels` does. The Dice of an
    image is 1 where neither truth nor prediction has the mask
    (`training.metrics.confusion.image_dice`), so an image without the mask is won by leaving
    nothing. The two are searched for together, because a low threshold brings small regions and is
    only good if they are removed.

    Args:
        images: The mask in all images.
        connectivity: Neighbours of a pixel in a region.
        thresholds: Thresholds to try, among them 0.5.
        least: Least regions to try, among them 0.
    """
    dice = np.zeros((len(thresholds), len(least)))
    for image in images:
        for row, threshold in enumerate(thresholds):
            dice[row] += _dice_of_least(image, float(threshold), least, connectivity)
    dice /= len(images)
    row, column = min(
        np.argwhere(dice == dice.max()),
        key=lambda place: (abs(thresholds[place[0]] - HALF), least[place[1]]),
    )
    plain = np.flatnonzero(thresholds == HALF)[0], list(least).index(0)
    return Found(
        float(thresholds[row]), int(least[column]), float(dice[plain]), float(dice[row, column])
    )


def _dice_of_least(
    image: MaskImage, threshold: float, least: Sequence[int], connectivity: Connectivity
) -> NDArray[np.float64]:
    """Dice of an image for each least region, float64 (len(least),)."""
    # Compare in float32, as predictions do.
    mask = (image.probabilities >= np.float32(threshold)) & image.valid
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    found, hits = (
        np.bincount(labels[chosen], minlength=count)[1:]
        for chosen in (image.counted, image.counted & image.truth)
    )
    kept = stats[1:, cv2.CC_STAT_AREA] >= np.asarray(least)[:, None]
    total = kept @ found + np.count_nonzero(image.counted & image.truth)
    return np.divide(2 * (kept @ hits), total, out=np.ones(len(least)), where=total > 0)

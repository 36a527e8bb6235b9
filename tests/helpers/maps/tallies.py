"""Tallies of confusion matrices that a test writes down."""

from __future__ import annotations

import numpy as np

from polynya.recipe.classes import SEA_ICE, ClassScheme
from training.metrics.base import Sample
from training.metrics.tally import Tally


def tally_of(confusion: list[list[int]], classes: ClassScheme = SEA_ICE) -> Tally:
    """One image with as many pixels of each kind as a confusion matrix says."""
    counts = np.array(confusion)
    pairs = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0)
    truth, found = pairs.astype(np.uint8).T[:, None, :]
    tally = Tally(classes)
    tally.add(Sample(truth, found, classes))
    return tally

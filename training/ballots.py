"""Votes of several models, or of several versions of an image, on the label of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIE_SHARE = 2.0**-10
"""Weight of a probability beside the vote. So the mean probability decides between classes with as
many votes, and a share of votes is at most a thousandth off."""

HALF = 0.5
"""Least probability of a mask without any other rule, and for a vote."""


def ballots(found: NDArray[np.float32], has_masks: bool) -> NDArray[np.float32]:
    """Turn probabilities into votes; the mean of ballots is the share of votes.

    Of classes that exclude each other the most probable gets the vote (equally probable ones share
    it), and of masks each with a probability of at least 0.5. A ballot is (vote + t p) / (1 + t)
    with t = `TIE_SHARE`.

    Args:
        found: (..., C), probabilities.
        has_masks: Whether the channels are masks.

    Returns:
        float32 (..., C); of classes they add up to 1 again.
    """
    if has_masks:
        votes = (found >= HALF).astype(np.float32)
    else:
        votes = (found >= found.max(axis=-1, keepdims=True)).astype(np.float32)
        votes /= votes.sum(axis=-1, keepdims=True)
    return np.asarray((votes + np.float32(TIE_SHARE) * found) / (1 + TIE_SHARE), np.float32)

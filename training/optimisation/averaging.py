"""The mean of the weights of several moments of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class WeightMean:
    """Adds weights up in float64, so that the mean is NumPy's.

    Numbers that are no floats are those of the last moment.

    Args:
        sums: Sums so far, as `sums` of another mean.
        moments: How many they are of.
    """

    def __init__(self, sums: Sequence[NDArray[Any]] = (), moments: int = 0) -> None:
        self.sums = list(sums)
        self.moments = moments

    def add(self, weights: Sequence[NDArray[Any]]) -> None:
        """Add the weights of a moment; always the same shapes."""
        before = self.sums or [np.zeros((), np.float64)] * len(weights)
        pairs = zip(before, weights, strict=True)
        self.sums = [s + w.astype(np.float64) if _is_float(w) else w for s, w in pairs]
        self.moments += 1

    def mean(self, dtypes: Sequence[Any]) -> list[NDArray[Any]]:
        """Compute the mean of at least one moment.

        Args:
            dtypes: Type of each array of the result.
        """
        return [
            (s / self.moments if _is_float(s) else s).astype(dtype)
            for s, dtype in zip(self.sums, dtypes, strict=True)
        ]


def _is_float(array: NDArray[Any]) -> bool:
    return np.issubdtype(array.dtype, np.floating)

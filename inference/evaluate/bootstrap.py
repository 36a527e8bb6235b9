"""Intervals of scores by bootstrap over scenes, and paired comparison of methods.

Pixels of one scene share its ice and its light, so they are no independent sample; scenes are drawn
with replacement, and the score is that of all pixels of the drawn scenes together. Intervals are
the 2.5 and 97.5 % quantiles. Two methods are compared on the same drawn scenes, so what makes a
scene hard for both falls out of their difference.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 (percentile
intervals) and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.studies.gains import CONFIDENCE, NOISE, UNKNOWN

Numbers = NDArray[np.float64]
FEW = 10
"""With fewer units, percentile intervals are clearly too narrow."""


@dataclass(frozen=True)
class Draws:
    """Samples of units with replacement."""

    counts: NDArray[np.int64]
    """How often each unit is in a distinct sample: (D, units)."""
    repeats: NDArray[np.intp]
    """Distinct sample of each sample: (B,). Few units have few distinct samples."""

    @classmethod
    def make(cls, units: int, resamples: int, seed: int) -> Draws:
        """Draw samples of as many units as there are.

        Args:
            units: Number of scenes or sites, at least 1.
            resamples: Number of samples.
            seed: Seed of the random numbers.
        """
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
        counts, repeats = np.unique(drawn, axis=0, return_inverse=True)
        return cls(counts.astype(np.int64), repeats.ravel())

    def values(self, sums: Numbers, score: Callable[[Numbers], Numbers]) -> Numbers:
        """Scores of every sample.

        Args:
            sums: float64 (units, K), sums of each unit that can be added.
            score: Function from added sums (K,) to scores (S,).

        Returns:
            float64 (B, S).
        """
        distinct = np.stack([score(row) for row in self.counts @ sums])
        return distinct[self.repeats]


def by_unit(units: Sequence[str], sums: Numbers) -> Numbers:
    """Add up rows of one unit: (N, K) to (units, K), in the order of the units' names."""
    _, numbers = np.unique(np.asarray(units), return_inverse=True)
    found = np.zeros((int(numbers.max()) + 1, sums.shape[1]))
    np.add.at(found, numbers, sums)
    return found


def interval(values: Numbers) -> tuple[float, float]:
    """Percentile interval of samples, (B,); NaN in fewer than half of them is left out."""
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values) or not len(known):
        return np.nan, np.nan
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def verdict(ends: tuple[float, float], units: int, less_is_better: bool = False) -> str:
    """Say what an interval of a difference shows of the first method.

    Args:
        ends: Interval of the first minus the second.
        units: Number of units that were drawn from.
        less_is_better: Of the score.
    """
    low, high = ends
    if units < 2 or np.isnan(low):
        return UNKNOWN
    if low <= 0 <= high:
        return NOISE
    return "better" if (low > 0) != less_is_better else "worse"

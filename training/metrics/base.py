"""The interface of a metric: sums that add up over samples, batches and ranks, and their value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from polynya.recipe.metrics import MetricsOptions

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One image: truth and prediction."""

    truth: NDArray[np.uint8]
    """(H, W), labels of the scheme; nodata where unknown."""
    predicted: NDArray[np.uint8]
    """(H, W), labels of the scheme. A pixel that is nodata on either side is not counted."""
    classes: ClassScheme
    probabilities: NDArray[Any] | None = None
    """float (H, W, C), 0..1; None if unknown."""
    shares: NDArray[Any] | None = None
    """float (H, W, C), 0..1, soft labels; None for `truth`."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that count: bool (H, W)."""
        nodata = self.classes.nodata
        return np.asarray((self.truth != nodata) & (self.predicted != nodata))

    @property
    def targets(self) -> NDArray[Any]:
        """Wanted probabilities, float (H, W, C): soft labels, or 1 where a pixel has the class."""
        if self.shares is not None:
            return self.shares
        codes = self.classes.codes
        return np.stack([self.classes.where(self.truth, code) for code in codes], -1).astype(float)


@dataclass(frozen=True)
class Metric:
    """A measure of agreement between truth and prediction."""

    name: str
    """Name in recipes, metrics.json and tables."""
    title: str
    value: Callable[[Numbers], Any]
    """Function from the sums of all samples to the value: a float, or with `per_class` float64
    (C,). NaN where it is undefined."""
    sums: Callable[[Sample, MetricsOptions], Numbers] | None = None
    """Function from one sample to its sums, float64 of a shape that depends on the scheme only.
    None: the confusion matrix, see `training.metrics.confusion.confusion_of`."""
    per_class: bool = False
    """Whether there is a value for each class. The mean is over the classes that have one."""
    needs_probabilities: bool = False
    less_is_better: bool = False
    unit: str = ""
    """Unit of the value; empty for a share, 0..1 or -1..1."""

    @property
    def overall(self) -> str:
        """Name of the one number for all classes: of the value, or of its mean over classes."""
        return f"mean_{self.name}" if self.per_class else self.name

    @property
    def heading(self) -> str:
        """Title of that number, with its unit."""
        title = f"mean {self.title}" if self.per_class else self.title
        return f"{title}, {self.unit}" if self.unit else title


@dataclass(frozen=True)
class Counts:
    """Pixels of each class, or inside each mask: float64 (C,) each."""

    true_positive: Numbers
    false_positive: Numbers
    false_negative: Numbers

    @classmethod
    def of(cls, confusion: Numbers) -> Counts:
        """Count in a confusion matrix (C, C), or in those of masks (C, 2, 2)."""
        if confusion.ndim == 3:
            return cls(confusion[:, 1, 1], confusion[:, 0, 1], confusion[:, 1, 0])
        right = np.diag(confusion)
        return cls(right, confusion.sum(axis=0) - right, confusion.sum(axis=1) - right)


def ratio(numerator: Any, denominator: Any) -> Numbers:
    """Divide; NaN where the denominator is 0."""
    denominator = np.asarray(denominator, np.float64)
    undefined = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def defined_mean(values: Numbers) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")

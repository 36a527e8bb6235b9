"""Metrics of many samples: of all their pixels together, and as means over samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from polynya.recipe.metrics import MetricName, MetricsOptions
from training.metrics.base import Metric, Numbers, Sample
from training.metrics.confusion import Scores, confusion_of, values_of
from training.metrics.registry import find_metric, measured


class Tally:
    """Adds up samples; tallies of batches and ranks are added.

    There are two definitions of a score of several samples. `together` takes the sums over all
    pixels, as if the samples were one image. `per_image` takes the value of each sample, and its
    mean over the samples in which it is defined.

    Args:
        classes: Class scheme of the labels.
        options: Further metrics, and what they need.
    """

    def __init__(self, classes: ClassScheme, options: MetricsOptions | None = None) -> None:
        self.classes = classes
        self.options = options or MetricsOptions()
        self.metrics = measured(self.options.further)
        """What is measured, in order."""
        nothing = np.full((1, 1), classes.nodata, np.uint8)
        no_shares = np.zeros((1, 1, classes.n_classes))
        # Sums of a sample that doesn't count are zeros in the right shape.
        sums = self._sums_of(Sample(nothing, nothing, classes, no_shares))
        self._sums = sums
        self._of_images = {name: _as_image(value) for name, value in values_of(sums).items()}
        self.images = 0
        """Number of samples with a pixel that counts."""

    @property
    def needs_probabilities(self) -> bool:
        """Whether samples need their probabilities."""
        return any(metric.needs_probabilities for metric in self.metrics)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix of all samples (`training.metrics.confusion.confusion_of`)."""
        first = next(metric for metric in self.metrics if metric.sums is None)
        return self._sums[first].astype(np.int64)

    def sums_of(self, name: MetricName) -> Numbers | None:
        """Sums of a further metric over all samples; None if it isn't measured."""
        found = find_metric(name)
        return self._sums.get(found)

    def add(self, sample: Sample) -> Scores:
        """Add a sample; return its own values by name."""
        sums = self._sums_of(sample)
        values = values_of(sums)
        if sample.valid.any():
            self.images += 1
            for metric, own in sums.items():
                self._sums[metric] = self._sums[metric] + own
            for name, value in values.items():
                self._of_images[name] = self._of_images[name] + _as_image(value)
        return values

    def together(self) -> Scores:
        """Values over all pixels of all samples, by name (`training.metrics.confusion.scores`)."""
        return values_of(self._sums)

    def per_image(self) -> Scores:
        """Means over samples, by name; NaN where no sample has the value."""
        found = {}
        for name, (total, number) in self._of_images.items():
            mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
            found[name] = mean if mean.ndim else float(mean)
        return found

    def cells(self) -> dict[str, str]:
        """Values of all samples together as cells of a table, by name; of classes `f1 NAME`."""
        found: dict[str, str] = {}
        for name, value in self.together().items():
            if np.ndim(value):
                pairs = zip(self.classes.names, value, strict=True)
                found |= {f"{name} {title}": cell(number) for title, number in pairs}
            else:
                found[name] = cell(value)
        return {"pixels": str(self._pixels), **found}

    @classmethod
    def sum(cls, tallies: Sequence[Tally]) -> Tally:
        """Add up tallies of the same scheme and metrics; at least one."""
        first = tallies[0]
        total = cls(first.classes, first.options)
        total.take(np.sum([tally.numbers() for tally in tallies], axis=0))
        return total

    def numbers(self) -> Numbers:
        """All sums in one row, float64 (N,), to be added to those of other ranks."""
        parts = [np.array([self.images]), *self._sums.values(), *self._of_images.values()]
        return np.concatenate([np.ravel(part).astype(np.float64) for part in parts])

    def take(self, numbers: Numbers) -> None:
        """Take sums from `numbers`, for example after an exchange between ranks."""
        self.images, start = int(numbers[0]), 1
        for sums in (self._sums, self._of_images):
            for key, value in sums.items():
                end = start + value.size
                sums[key] = numbers[start:end].reshape(value.shape)  # type: ignore[index]
                start = end

    def _sums_of(self, sample: Sample) -> dict[Metric, Numbers]:
        confusion = confusion_of(sample.truth, sample.predicted, self.classes).astype(np.float64)
        return {
            metric: confusion if metric.sums is None else metric.sums(sample, self.options)
            for metric in self.metrics
        }

    @property
    def _pixels(self) -> int:
        """Number of pixels that count."""
        confusion = self.confusion
        return int((confusion[0] if self.classes.has_masks else confusion).sum())


def cell(value: float) -> str:
    """A value as a cell of a table; empty if it is undefined."""
    return "" if np.isnan(value) else f"{value:.6f}"


def _as_image(value: Any) -> Numbers:
    """Value and number of one sample, 0 and 0 where it is undefined: (2,) or (2, C)."""
    value = np.asarray(value, np.float64)
    defined = ~np.isnan(value)
    return np.stack([np.where(defined, value, 0.0), defined.astype(np.float64)])

"""Scores of the folds of a cross-validation, and the weights of their models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from polynya.report.tables import Table
from training.metrics.confusion import Scores, scores

LEAST_WEIGHT = 0.2
"""Weight of the worst fold's model; that of the best is 1."""


@dataclass(frozen=True)
class FoldResult:
    """What the model of a fold does on the tiles that it hasn't seen."""

    fold: int
    tiles: int
    """Number of tiles."""
    confusion: NDArray[np.int64]
    """See `training.metrics.confusion.confusion_of`."""


def fold_weights(values: Sequence[float]) -> list[float]:
    """Bring scores to weights from 0.2 (worst) to 1 (best), in proportion to their distance.

    w = 0.2 + 0.8 (s - min s) / (max s - min s), as in a solution for DrivenData's "Kelp Wanted".
    Equal scores give equal weights, 1. An undefined score (NaN) counts as the worst.

    Args:
        values: One score per fold, greater is better.
    """
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return [1.0] * len(values)
    low, high = min(known), max(known)
    if low == high:
        return [LEAST_WEIGHT if np.isnan(value) else 1.0 for value in values]
    return [
        LEAST_WEIGHT
        if np.isnan(value)
        else LEAST_WEIGHT + (1 - LEAST_WEIGHT) * ((value - low) / (high - low))
        for value in values
    ]


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean over classes of the intersection over union; NaN if no pixel has a label."""
    return scores(confusion)["mean_iou"]


def fold_table(
    results: Sequence[FoldResult], weights: Sequence[float], classes: ClassScheme
) -> Table:
    """Table of scores in percent: a row for each fold, then of all folds.

    "mean" and "standard deviation" are over the folds that have the score (`mean_and_spread`).
    "together" has the scores of one confusion matrix, the sum of all.

    Args:
        results: One result per fold.
        weights: Weight of each fold's model.
        classes: Scheme of the confusion matrices.
    """
    numbers = np.array([_numbers(scores(result.confusion)) for result in results])
    together = _numbers(scores(np.sum([result.confusion for result in results], axis=0)))
    rows = [
        (str(result.fold), str(result.tiles), *map(percent, own), f"{weight:.4f}")
        for result, own, weight in zip(results, numbers, weights, strict=True)
    ]
    total = str(sum(result.tiles for result in results))
    rows += [
        ("mean", "", *(percent(mean_and_spread(column)[0]) for column in numbers.T), ""),
        (
            "standard deviation",
            "",
            *(percent(mean_and_spread(column)[1]) for column in numbers.T),
            "",
        ),
        ("together", total, *map(percent, together), ""),
    ]
    ious = (f"IoU {title}" for title in classes.titles)
    columns = ("fold", "tiles", "right", "mean F1", "mean IoU", *ious, "weight")
    return Table("Out-of-fold scores, %", columns, tuple(rows))


def _numbers(found: Scores) -> NDArray[np.float64]:
    """Scores in the order of the table: float64 (3 + C,)."""
    return np.array([found["accuracy"], found["mean_f1"], found["mean_iou"], *found["iou"]])


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of a sample (divided by n - 1) of the values that are defined.

    The mean is NaN without any value, the standard deviation with less than two.
    """
    known = [value for value in values if not np.isnan(value)]
    mean = float(np.mean(known)) if known else float("nan")
    return mean, float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def percent(share: float) -> str:
    """A share as a cell of a table in percent; empty if it is undefined."""
    return "" if np.isnan(share) else f"{share * 100:.2f}"

"""Numbers of a learning curve: its table, and its answer to "have I enough labels?"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.studies.folds import mean_and_spread, percent
from polynya.recipe.classes import ClassScheme
from polynya.report.tables import Table


@dataclass(frozen=True)
class CurvePoint:
    """Trainings on one number of groups, with several seeds."""

    groups: int
    share: float
    """Share of all training groups, 0..1."""
    tiles: tuple[int, ...]
    """Training tiles of each training."""
    mean_ious: tuple[float, ...]
    """Mean IoU of each training on the validation tiles, in its best epoch, 0..1; NaN without."""
    ious: NDArray[np.float64]
    """IoU of each training and class: float64 (trainings, C)."""

    @property
    def mean(self) -> float:
        """Mean of the trainings' mean IoU; NaN if none has one."""
        return mean_and_spread(self.mean_ious)[0]

    @property
    def spread(self) -> float:
        """Standard deviation of the trainings' mean IoU; NaN if fewer than two have one."""
        return mean_and_spread(self.mean_ious)[1]


def curve_table(points: Sequence[CurvePoint], classes: ClassScheme) -> Table:
    """Table of a learning curve in percent: one row for each number of groups."""
    rows = [
        (
            str(point.groups),
            percent(point.share),
            f"{np.mean(point.tiles):.0f}",
            str(len(point.mean_ious)),
            percent(point.mean),
            percent(point.spread),
            percent(min(point.mean_ious)),
            percent(max(point.mean_ious)),
            *(percent(mean_and_spread(of_class)[0]) for of_class in point.ious.T),
        )
        for point in points
    ]
    columns = ("groups", "share", "tiles", "trainings", "mean IoU", "standard deviation")
    ious = (f"IoU {title}" for title in classes.titles)
    return Table("Learning curve, %", (*columns, "least", "greatest", *ious), tuple(rows))


def answer(points: Sequence[CurvePoint]) -> str:
    """Say in one sentence whether more labels would help.

    The gain is the difference of mean IoU between the last two points, and its spread the standard
    deviation of a difference of two trainings, sqrt(s1^2 + s2^2).

    Args:
        points: At least two points, with rising numbers of groups.
    """
    fewer, most = points[-2:]
    gain, spread = most.mean - fewer.mean, math.hypot(fewer.spread, most.spread)
    step = f"from {fewer.groups} to {most.groups} training groups"
    if math.isnan(gain) or math.isnan(spread):
        return (
            f"Nobody can tell whether the labels are enough: too few trainings {step} have a score;"
            " take validation tiles with labels."
        )
    change = f"{abs(gain) * 100:.2f} % mean IoU {step}"
    sure = f"the spread of trainings ({spread * 100:.2f} %)"
    if abs(gain) <= spread:
        return (
            f"No gain that can be told from chance: the change of {gain * 100:+.2f} % mean IoU"
            f" {step} is within {sure}, so more labels of this kind will hardly help by more than"
            " that; more --seeds show smaller gains."
        )
    if gain < 0:
        return (
            f"More labels made it worse: the loss of {change} is more than {sure}; look at the"
            " labels that came last."
        )
    return (
        f"Not enough labels: the gain of {change} is more than {sure}, so more labels will probably"
        " help."
    )

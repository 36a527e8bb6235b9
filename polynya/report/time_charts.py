"""Charts over time: lines with gaps, and dates of which too little is known in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.report.pictures import new_figure, plain, save_figure

_DOUBTFUL = "0.6"
"""Grey of dates of which too little is known."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class TimeLine:
    """Values of one thing."""

    title: str
    values: NDArray[np.float64]
    """float64 (N,), NaN where nothing is known."""
    color: Any = "black"
    """Colour of matplotlib."""


@dataclass(frozen=True)
class TimePanel:
    """A part of the figure, with its own axis of values."""

    title: str
    lines: Sequence[TimeLine]
    limits: tuple[float, float] | None = None
    """Ends of the axis; default: from 0 to the greatest value."""
    threshold: float | None = None
    """Value at which a dashed line is drawn."""


def find_gap(dates: Sequence[str]) -> float:
    """Find the days between two dates that are a gap: more than twice the usual distance."""
    days = np.diff([date.fromisoformat(one).toordinal() for one in dates])
    return 2.0 * float(np.median(days)) if len(days) else 0.0


def runs_of(dates: Sequence[str], joined: NDArray[np.bool_], gap: float) -> list[list[int]]:
    """Split dates into runs that a line joins.

    Args:
        dates: ISO dates in order.
        joined: bool (N,), False for dates that no line goes to.
        gap: Days; a longer distance interrupts the line.

    Returns:
        Positions of the dates of each run.
    """
    days = [date.fromisoformat(one).toordinal() for one in dates]
    runs: list[list[int]] = []
    for at, is_joined in enumerate(joined):
        if not is_joined:
            continue
        goes_on = runs and runs[-1][-1] == at - 1 and days[at] - days[at - 1] <= gap
        if goes_on:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


@plain
def draw_times(
    path: Path,
    dates: Sequence[str],
    panels: Sequence[TimePanel],
    enough: NDArray[np.bool_],
    gap: float,
) -> None:
    """Draw panels under each other, with one axis of time.

    A line goes from one date to the next. It is interrupted where there is no date for longer than
    the gap, where nothing is known, and at dates of which too little is known: those are open grey
    markers.

    Args:
        path: PNG file to write.
        dates: ISO dates in order, (N,).
        panels: Lines with N values each.
        enough: bool (N,), whether enough is known of a date.
        gap: Days.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    times = np.array(dates, "datetime64[D]")
    figure = new_figure(9, 1.2 + 2.3 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        for number, line in enumerate(panel.lines):
            marker = _MARKERS[number % len(_MARKERS)]
            known = np.isfinite(line.values)
            axis.plot([], [], marker + "-", color=line.color, label=line.title)
            for run in runs_of(dates, known & enough, gap):
                axis.plot(times[run], line.values[run], marker + "-", color=line.color)
            doubtful = known & ~enough
            if doubtful.any():
                axis.plot(
                    times[doubtful], line.values[doubtful], marker, color=_DOUBTFUL,
                    markerfacecolor="none",
                )  # fmt: skip
        if panel.threshold is not None:
            axis.axhline(panel.threshold, color="0.4", linestyle="--", linewidth=1)
        axis.set_ylabel(panel.title)
        axis.grid(alpha=0.3)
        if panel.limits:
            margin = 0.04 * (panel.limits[1] - panel.limits[0])
            axis.set_ylim(panel.limits[0] - margin, panel.limits[1] + margin)
        else:
            axis.set_ylim(bottom=0)
        if len(panel.lines) > 1:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    locator = AutoDateLocator()
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if not enough.all():
        figure.suptitle("Grey: too little of the region has data", fontsize=10, color="0.4")
    save_figure(figure, path)

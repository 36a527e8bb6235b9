"""Charts of many trainings: parameters, scores, sizes of models, learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polynya.report.pictures import new_figure, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."), ("v", "-"), ("P", "--"))
"""Marker and line of each series; the first two are those of Segmentation Gym's Figure 4."""
_MOST_TICKS = 12
_LINE = 84
"""Characters of a line of a legend."""
_LONGEST = 22
"""Characters of a tick."""
_LETTER = 0.085
"""Width of a letter of a legend in inches, rather too wide."""
_MOST_PARTS = 3
"""Parts of a dotted key below an axis; the last ones tell keys apart."""
_EMPHASISED = 5
"""Learning curves that get a colour and a name."""


@dataclass(frozen=True)
class Scale:
    """An axis of parallel coordinates."""

    title: str
    positions: NDArray[np.float64]
    """Place of each line on the axis, float64 (N,), 0..1; NaN where it has none."""
    ticks: Sequence[tuple[float, str]]
    """Places and texts of the ticks."""


@dataclass(frozen=True)
class Series:
    """A line through points with a spread."""

    title: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    spread: NDArray[np.float64]
    """Half of the interval of each point; NaN without one."""


@dataclass(frozen=True)
class Panel:
    """A part of a figure, with lines."""

    title: str
    y_title: str
    series: Sequence[Series]


@dataclass(frozen=True)
class EpochCurve:
    """A score after each epoch of a training."""

    title: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Scores of trials over a parameter."""

    title: str
    x: NDArray[np.float64]
    """Position of each trial; for named values their number, from 0."""
    y: NDArray[np.float64]
    ticks: Sequence[str] | None
    """Names of the values; None for an axis of numbers."""
    is_log: bool = False


@plain
def draw_parallel(
    path: Path, scales: Sequence[Scale], scores: NDArray[np.float64], heading: str, worst: bool
) -> None:
    """Draw parallel coordinates: a line for each trial across all axes, in the colour of its score.

    Args:
        path: PNG file to write.
        scales: Axes from left to right.
        scores: Score of each line, float64 (N,).
        heading: Title of the colours.
        worst: Whether the greatest score is the worst one.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure = new_figure(max(6.5, 1.9 * len(scales)), 5)
    axis = figure.subplots()
    colors = ScalarMappable(
        Normalize(np.nanmin(scores), np.nanmax(scores)),
        colormaps["viridis_r" if worst else "viridis"],
    )
    across = np.arange(len(scales))
    order = np.argsort(scores if not worst else -scores)  # The best lies on top.
    for line in order:
        places = [scale.positions[line] for scale in scales]
        axis.plot(across, places, color=colors.to_rgba(scores[line]), linewidth=1.6, alpha=0.8)
    for x, scale in enumerate(scales):
        axis.axvline(x, color="black", linewidth=0.8)
        for place, text in scale.ticks:
            axis.annotate(
                _short(text), (x, place), (4, 0), textcoords="offset points", fontsize=8,
                va="center", bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7,
                                   "pad": 0.6},
            )  # fmt: skip
    axis.set_xticks(across, [_stacked(scale.title) for scale in scales])
    axis.set_yticks([])
    axis.set_xlim(-0.15, len(scales) - 0.55)
    axis.set_ylim(-0.05, 1.05)
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
    figure.colorbar(colors, ax=axis, label=heading, pad=0.02)
    save_figure(figure, path)


@plain
def draw_importances(path: Path, shares: Sequence[tuple[str, float]], title: str) -> None:
    """Draw bars of shares, 0..1, the greatest one above.

    Args:
        path: PNG file to write.
        shares: Name and share of each bar.
        title: Title of the axis.
    """
    ordered = sorted(shares, key=lambda pair: pair[1])
    figure = new_figure(7, 1.2 + 0.4 * len(ordered))
    axis = figure.subplots()
    bars = axis.barh([name for name, _ in ordered], [100 * share for _, share in ordered])
    axis.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=3)
    axis.set_xlim(0, max(100 * ordered[-1][1] * 1.15, 1))
    axis.set_xlabel(title)
    save_figure(figure, path)


@plain
def draw_sizes(path: Path, rows: Sequence[Sequence[Panel]]) -> None:
    """Draw scores over the number of model parameters, a line for each series.

    Rows are scores and columns values of a parameter, as in Segmentation Gym's Figure 4 (Buscombe
    and Goldstein, 2022).

    Args:
        path: PNG file to write.
        rows: Panels of each row; all rows have as many.
    """
    columns = len(rows[0])
    figure = new_figure(max(6.5, 3.4 * columns + 0.8), 3.1 * len(rows) + 0.6)
    axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey="row")
    every = [series for panels in rows for panel in panels for series in panel.series]
    largest = max(series.x.max() for series in every if series.x.size)
    unit, name = (1e6, "millions") if largest >= 1e6 else (1e3, "thousands")
    for of_row, panels in zip(axes, rows, strict=True):
        for axis, panel in zip(of_row, panels, strict=True):
            for number, series in enumerate(panel.series):
                marker, line = _STYLES[number % len(_STYLES)]
                axis.errorbar(
                    series.x / unit, series.y, series.spread, label=series.title, marker=marker,
                    linestyle=line, capsize=3,
                )  # fmt: skip
            axis.set_title(panel.title, fontsize=10)
            axis.grid(alpha=0.3)
        of_row[0].set_ylabel(panels[0].y_title)
        # Intervals of two or three seeds can be much wider than all that there is to see.
        y = np.concatenate([series.y for panel in panels for series in panel.series])
        margin = 0.2 * np.ptp(y[np.isfinite(y)]) or None
        if margin is not None:
            of_row[0].set_ylim(np.nanmin(y) - margin, np.nanmax(y) + margin)
    for axis in axes[-1]:
        axis.set_xlabel(f"Model parameters, {name}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    if len(labels) > 1:
        each = _LETTER * (max(map(len, labels)) + 6)  # Inches, with marker and space.
        fitting = max(1, int(figure.get_figwidth() / each))
        figure.legend(handles, labels, loc="outside upper center", frameon=False,
                      ncols=min(len(labels), fitting))  # fmt: skip
    save_figure(figure, path)


@plain
def draw_by_parameter(path: Path, panels: Sequence[Points], y_title: str) -> None:
    """Draw scores over each parameter: a cross for each trial, and the mean of each named value.

    Args:
        path: PNG file to write.
        panels: One for each parameter.
        y_title: Title of the scores.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(max(5, 3.6 * columns), 3.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        axis.plot(panel.x, panel.y, "x", color="tab:orange", alpha=0.8)
        if panel.ticks is not None:
            places = np.unique(panel.x)
            means = [panel.y[panel.x == place].mean() for place in places]
            axis.plot(places, means, "o-", color="black")
            _name_ticks(axis, panel.ticks)
        elif panel.is_log:
            axis.set_xscale("log")
            within = (1,) if panel.x.max() > 100 * panel.x.min() else (1, 2, 5)
            axis.xaxis.set_major_locator(LogLocator(subs=within))
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(panel.title)
        axis.grid(alpha=0.3)
    for axis in axes[::columns]:
        axis.set_ylabel(y_title)
    save_figure(figure, path)


@plain
def draw_learning(path: Path, curves: Sequence[EpochCurve], y_title: str) -> None:
    """Draw learning curves over each other; the first ones have colours and names.

    Args:
        path: PNG file to write.
        curves: Curves, the most important first.
        y_title: Title of the scores.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.5, 5)
    axis = figure.subplots()
    for number, curve in reversed(list(enumerate(curves))):
        stands_out = number < _EMPHASISED
        epochs = np.arange(1, len(curve.values) + 1)
        axis.plot(
            epochs, curve.values, marker="." if stands_out and len(epochs) < 40 else None,
            color=f"C{number}" if stands_out else "0.75",
            linewidth=1.8 if stands_out else 0.8, zorder=3 if stands_out else 2,
            label=_wrapped(curve.title) if stands_out else None,
        )  # fmt: skip
    axis.set_xlabel("Epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(y_title)
    axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", frameon=False,
                  fontsize=9)  # fmt: skip
    save_figure(figure, path)


def _name_ticks(axis: Axes, names: Sequence[str]) -> None:
    step = math.ceil(len(names) / _MOST_TICKS)
    places = range(0, len(names), step)
    turned = sum(len(_short(names[place])) for place in places) > 34
    axis.set_xticks(
        list(places),
        [_short(names[place]) for place in places],
        rotation=30 if turned else 0,
        ha="right" if turned else "center",
    )
    axis.set_xlim(-0.5, len(names) - 0.5)


def _stacked(key: str) -> str:
    """Write the last parts of a dotted key below each other."""
    return ".\n".join(map(_short, key.split(".")[-_MOST_PARTS:]))


def _wrapped(text: str) -> str:
    """Break a name of a legend into lines; what doesn't fit is left out."""
    return "\n".join(wrap(text, _LINE, max_lines=2, placeholder=" …"))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

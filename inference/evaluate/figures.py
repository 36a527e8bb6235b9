"""Pictures of an evaluation, made of its `Results` alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inference.evaluate.results import ALL, Figure, Group, MethodScore, Results
from inference.evaluate.summary import LESS, MORE, RIGHT
from inference.evaluate.tables import Rows
from polynya.report.pictures import draw_confusion, new_figure, plain, save_figure

ACCURACY, CALIBRATION = "accuracy.png", "calibration.png"
_CONFUSIONS = {ALL: "confusion.png", MORE: "confusion_more.png", LESS: "confusion_less.png"}
FILES = (ACCURACY, CALIBRATION, *_CONFUSIONS.values())

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008: told apart by everybody."""


def draw_all(results: Results, folder: Path, rows: Rows = "truth") -> list[Figure]:
    """Draw what the results have.

    Args:
        results: The evaluation.
        folder: Folder for the pictures.
        rows: What the rows of confusion matrices are.

    Returns:
        The pictures, in the order in which a reader wants them.
    """
    made = []

    def draw(file: str, title: str, work: Callable[[Path], None]) -> None:
        work(folder / file)
        made.append(Figure(file=file, title=title))

    draw(ACCURACY, "Pixels right by method", lambda path: draw_accuracy(path, results))
    for group in results.groups:
        confusions = [(s.method, np.array(s.confusion)) for s in group.scores]
        title = None if group.name == ALL else group.title
        draw(
            _CONFUSIONS[group.name],
            f"Confusion matrices, {group.title}",
            lambda path, c=confusions, t=title: draw_confusion(  # type: ignore[misc]
                path, c, results.classes, rows=rows, title=t
            ),
        )
    if any(score.calibration for score in results.groups[0].scores):
        draw(CALIBRATION, "Reliability diagram", lambda path: draw_calibration(path, results))
    return made


@plain
def draw_accuracy(path: Path, results: Results) -> None:
    """Draw the share of right pixels of each method in each group, with intervals.

    Args:
        path: PNG file to write.
        results: The evaluation.
    """
    methods, groups = [m.name for m in results.methods], results.groups
    figure = new_figure(8.5, 1.9 + 0.42 * len(methods) * max(1, 0.6 * len(groups)))
    axis = figure.subplots()
    height = 0.8 / len(groups)
    lows = []
    for number, group in enumerate(groups):
        values = np.array([_or_nan(score.right) for score in group.scores])
        ends = np.array([_ends(score) for score in group.scores])
        places = np.arange(len(methods)) + (number - (len(groups) - 1) / 2) * height
        errors = np.where(np.isnan(ends), 0, np.abs(ends - values[:, None])).T
        axis.errorbar(
            100 * values, places, xerr=100 * errors, fmt="o", capsize=3,
            color=_COLORS[number % len(_COLORS)], label=f"{group.title} ({_size(group)})",
        )  # fmt: skip
        lows.append(np.nanmin(np.fmin(ends[:, 0], values)))
    axis.set_yticks(range(len(methods)), methods)
    axis.invert_yaxis()
    low = 100 * float(np.nanmin(lows))
    axis.set_xlim(max(0, low - 0.1 * (100 - low) - 0.5), 100.5)
    axis.set_xlabel(f"Pixels right, % (bars: 95 % interval by {results.settings.resampled})")
    axis.grid(axis="x", alpha=0.3)
    figure.legend(
        loc="outside upper center", ncols=2 if len(groups) == 2 else 1, frameon=False, fontsize=9
    )
    save_figure(figure, path)


@plain
def draw_calibration(path: Path, results: Results) -> None:
    """Draw the reliability diagram: what is right over the probability, and how many pixels.

    Args:
        path: PNG file to write.
        results: An evaluation with a method that has probabilities.
    """
    scores = [score for score in results.groups[0].scores if score.calibration]
    figure = new_figure(6.2, 6.6)
    axis, counts = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    axis.plot([0, 1], [0, 1], "--", color="grey", label="perfect")
    for number, score in enumerate(scores):
        color = _COLORS[number % len(_COLORS)]
        bins = score.calibration or []
        known = [one for one in bins if one.pixels]
        axis.plot(
            [one.confidence for one in known], [one.right for one in known], "o-", color=color,
            label=f"{score.method}: error {_or_nan(_error(score)):.3f}", markersize=4,
        )  # fmt: skip
        total = sum(one.pixels for one in bins)
        edges = [one.low for one in bins] + [1.0]
        counts.stairs([100 * one.pixels / total for one in bins], edges, color=color)
    masks = results.classes.has_masks
    axis.set_ylabel("Share under the mask" if masks else "Share right")
    counts.set_ylabel("% of pixels")
    counts.set_xlabel(f"Probability of the {'mask' if masks else 'chosen class'}")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    for one in (axis, counts):
        one.grid(alpha=0.3)
    axis.legend(loc="upper left", fontsize=9)
    save_figure(figure, path)


def _error(score: MethodScore) -> float | None:
    value = score.values.get("calibration_error")
    return None if isinstance(value, list) else value


def _ends(score: MethodScore) -> tuple[float, float]:
    ends: Any = score.intervals.get(RIGHT, (None, None))
    return _or_nan(ends[0]), _or_nan(ends[1])


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _size(group: Group) -> str:
    return f"{group.tiles} tiles" if group.tiles else f"{group.scenes} scenes"

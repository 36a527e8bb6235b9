"""Figures of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.studies.gains import interval
from inference.studies.sweep.comparison import Compared
from inference.studies.sweep.planning import Plan
from inference.studies.sweep.scores import Score, read_history
from inference.studies.sweep.trials import Level, Training, shown
from polynya.report.study_charts import (
    EpochCurve,
    Panel,
    Points,
    Scale,
    Series,
    draw_by_parameter,
    draw_importances,
    draw_learning,
    draw_parallel,
    draw_sizes,
)

SIZES, BY_PARAMETER, PARALLEL = "sizes.png", "by_parameter.png", "parallel.png"
IMPORTANCES, LEARNING, MODELS = "importances.png", "learning_curves.png", "models.png"
FIGURES = (SIZES, BY_PARAMETER, PARALLEL, IMPORTANCES, LEARNING, MODELS)


def draw_figures(
    plan: Plan, trials: Sequence[Compared], shares: dict[str, float] | None
) -> list[tuple[str, str]]:
    """Draw all figures that these trials have something for.

    Args:
        plan: The sweep.
        trials: Trials, best first.
        shares: Importance of each parameter; None without.

    Returns:
        File and caption of each figure.
    """
    known = [one for one in trials if np.isfinite(one.means[0])]
    if not known:
        return []
    out, score = plan.folder.path, plan.scores[0]
    drawn = []

    def draw(name: str, caption: str, function: Callable[[Path], None]) -> None:
        function(out / name)
        drawn.append((name, caption))

    sizes = {one.parameters for one in known if one.parameters is not None}
    if len(sizes) > 1:
        draw(
            SIZES,
            "Scores over the size of models. Bars are 95 % intervals over seeds; they may be cut.",
            lambda path: draw_sizes(path, _size_rows(plan, known)),
        )
    draw(
        BY_PARAMETER,
        f"{score.heading} over each parameter: crosses are trials, the line joins means.",
        lambda path: draw_by_parameter(path, _points(plan, known), score.heading),
    )
    shown_scores = np.array([score.factor * one.means[0] for one in known])
    if len(known) > 1:
        draw(
            PARALLEL,
            "Each line is a trial; its colour is its score.",
            lambda path: draw_parallel(
                path, _scales(plan, known), shown_scores, score.heading, score.less_is_better
            ),
        )
    if shares:
        draw(
            IMPORTANCES,
            "How much of the difference between trials each parameter explains.",
            lambda path: draw_importances(path, [*shares.items()], "Share, %"),
        )
    curves = _curves(plan, known)
    if curves:
        draw(
            LEARNING,
            "Validation after each epoch, with the first seed; the best trials have colours.",
            lambda path: draw_learning(path, curves, _curve_score(plan).heading),
        )
    return drawn


def _size_rows(plan: Plan, trials: Sequence[Compared]) -> list[list[Panel]]:
    columns = _levels(plan, plan.options.columns)
    return [
        [
            Panel(
                "" if column is None else f"{plan.options.columns}: {column}",
                score.heading,
                [
                    _series(trials, plan, line, column, number)
                    for line in _levels(plan, plan.options.lines)
                ],
            )
            for column in columns
        ]
        for number, score in enumerate(plan.scores)
    ]


def _levels(plan: Plan, name: str | None) -> list[str | None]:
    return [None] if name is None else [*plan.options.parameters[name].levels(name)]


def _series(
    trials: Sequence[Compared], plan: Plan, line: str | None, column: str | None, number: int
) -> Series:
    options, factor = plan.options, plan.scores[number].factor
    chosen = [
        one
        for one in trials
        if one.parameters is not None
        and all(
            level is None or name is None or one.trial.levels[name] == level
            for name, level in ((options.lines, line), (options.columns, column))
        )
    ]
    chosen.sort(key=lambda one: one.parameters or 0)
    values = [factor * one.values[:, number] for one in chosen]
    known = [of_trial[np.isfinite(of_trial)] for of_trial in values]
    middle = [of_trial.mean() if of_trial.size else np.nan for of_trial in known]
    spread = [interval(of_trial)[1] if of_trial.size > 1 else np.nan for of_trial in known]
    return Series(
        line or "all trials",
        np.array([one.parameters for one in chosen], np.float64),
        np.array(middle, np.float64),
        np.array(spread, np.float64),
    )


def _points(plan: Plan, trials: Sequence[Compared]) -> list[Points]:
    score = plan.scores[0]
    y = np.array([score.factor * one.means[0] for one in trials])
    found = []
    for name, parameter in plan.options.parameters.items():
        own = [one.trial.levels[name] for one in trials]
        if parameter.ends is None:
            names = [*parameter.levels(name)]
            x = np.array([names.index(str(level)) for level in own], np.float64)
            found.append(Points(name, x, y, names))
        else:
            x = np.array(own, np.float64)
            found.append(Points(name, x, y, None, parameter.log_range is not None))
    return found


def _scales(plan: Plan, trials: Sequence[Compared]) -> list[Scale]:
    score, scales = plan.scores[0], []
    for name, parameter in plan.options.parameters.items():
        own = [one.trial.levels[name] for one in trials]
        if parameter.ends is None:
            names = [*parameter.levels(name)]
            at = _spaced(len(names))
            ticks = [*zip(at.tolist(), names, strict=True)]
            places = np.array([at[names.index(str(level))] for level in own])
        else:
            places, ticks = _number_scale(own, parameter.ends, parameter.log_range is not None)
        scales.append(Scale(name, places, ticks))
    values = np.array([score.factor * one.means[0] for one in trials])
    low, high = values.min(), values.max()
    places = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    ends = [(0.0, f"{low:.{score.digits}f}"), (1.0, f"{high:.{score.digits}f}")]
    return [*scales, Scale(score.heading, places, ends)]


def _spaced(count: int) -> NDArray[np.float64]:
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])


def _number_scale(
    levels: Sequence[Level], ends: tuple[float, float], is_log: bool
) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    change = np.log if is_log else np.asarray
    low, high = change(np.array(ends, np.float64))
    places = (change(np.array(levels, np.float64)) - low) / (high - low)
    return places, [(0.0, shown(ends[0])), (1.0, shown(ends[1]))]


def _curve_score(plan: Plan) -> Score:
    """Score of validation tiles that history.csv has: that of the study, or the loss."""
    for training in plan.trainings():
        if len(read_history(plan.folder, training, plan.scores[0].column)):
            return replace(plan.scores[0], evaluation="")
    return Score("loss", "validation loss")


def _curves(plan: Plan, trials: Sequence[Compared]) -> list[EpochCurve]:
    score, found = _curve_score(plan), []
    for one in trials:
        values = read_history(plan.folder, Training(one.trial, 0), score.column)
        if len(values):
            title = f"{one.trial.number:04d}: {one.trial.text}"
            found.append(EpochCurve(title, score.factor * values))
    return found

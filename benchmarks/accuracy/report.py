"""Tables of the accuracy benchmark: Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from benchmarks.accuracy.models import AFTER_FILTER, THROUGH_CLOUD, BenchModel, Training
from benchmarks.common.report import Report, percent, table_of
from benchmarks.labels.methods import title
from benchmarks.labels.report import (
    accuracy_rows,
    confusion_rows,
    confusion_table,
    overview_table,
    scene_rows,
    set_names,
    set_table,
)
from benchmarks.labels.scoring import (
    SceneResult,
    class_scores,
    mean_right,
    methods_of,
    of_set,
    of_sky,
    total_counts,
)
from benchmarks.labels.sets import CONTAMINATED
from data_samples import SKY_KINDS
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

CLEAR = "clear"
GOALS = {CLEAR: 0.985, **dict.fromkeys(CONTAMINATED, 0.98)}
"""Least share of correct pixels that the model with simulated cloud should reach, by sky."""

GOAL_SETS = ("standard", "blobs")
"""Sets with goals; the other sets show the limits of the model."""


def write_report(
    results: Sequence[SceneResult], trainings: dict[BenchModel, Training], report: Report
) -> None:
    """Print the tables, and write them to `accuracy.md` and as CSV files."""
    tables = [
        goal_table(results),
        training_table(trainings),
        *(set_table(results, name) for name in set_names(results)),
        *(f1_table(results, name) for name in set_names(results)),
        overview_table(results),
        confusion_table(results, THROUGH_CLOUD.name),
        confusion_table(results, AFTER_FILTER.name),
    ]
    files = {
        "goals": goal_table(results),
        "training": training_table(trainings),
        "accuracy": accuracy_rows(results),
        "f1": f1_rows(results),
        "confusion": confusion_rows(results),
        "scenes": scene_rows(results),
    }
    about = (
        f"{len(results)} scenes, {sum(r.pixels for r in results) / 1e6:.1f} million pixels with"
        " data. No model was trained on these scenes, and other simulators made their skies. A mean"
        " is over scenes; the worst scene stands beside it in brackets. F1 is over all pixels"
        " together. If a method is only the name of a filter, thresholds follow it."
    )
    report.write("accuracy", "Models under cloud", about, files, tables)


def goal_table(results: Sequence[SceneResult]) -> Table:
    """Compare the model with simulated cloud with the goals: one row per set and sky."""

    def verdicts(chosen: Sequence[SceneResult], goal: float) -> Iterator[str]:
        for model in (THROUGH_CLOUD, AFTER_FILTER):
            found = mean_right(chosen, model.name)
            yield f"{100 * found:.2f}"
            yield "reached" if found >= goal else f"missed by {100 * (goal - found):.2f}"

    rows = []
    for name in GOAL_SETS:
        for sky, goal in GOALS.items():
            chosen = of_sky(of_set(results, name), sky)
            if chosen:
                rows.append((name, sky, f"{100 * goal:.1f}", *verdicts(chosen, goal)))
    columns = ("set", "sky", "goal", "alone", "is", "after our filter", "then is")
    heading = f"Goals of the {THROUGH_CLOUD.name}: pixels right, %"
    return Table(heading, columns, tuple(rows))


def training_table(trainings: dict[BenchModel, Training]) -> Table:
    """Time and accuracy of the trainings: one row per model."""
    return table_of(
        "Training; validation against the model's own labels, %, including cloudy tiles",
        trainings.items(),
        {
            "model": lambda row: row[0].name,
            "epochs": lambda row: str(row[1].epochs),
            "minutes": lambda row: f"{row[1].seconds / 60:.1f}",
            "images/s": lambda row: f"{row[1].images_per_second:.1f}",
            "own labels right": lambda row: f"{100 * row[1].accuracy:.2f}",
        },
    )


def f1_table(results: Sequence[SceneResult], name: str) -> Table:
    """F1 of each class in one set: one row per method and sky."""
    chosen = [row[1:] for row in f1_rows(of_set(results, name)).rows]
    return Table(f"{name}: F1 by class, %", ("method", "sky", *SEA_ICE.names), tuple(chosen))


def f1_rows(results: Sequence[SceneResult]) -> Table:
    """F1 of each class by set, method and sky, over all pixels; empty if a class doesn't occur."""
    rows = []
    for name, method, sky in product(set_names(results), methods_of(results), SKY_KINDS):
        chosen = of_sky(of_set(results, name), sky)
        if chosen:
            found = class_scores(total_counts(chosen, method), "f1")
            rows.append((name, title(method), sky, *map(percent, found)))
    return Table("F1 by class, %", ("set", "method", "sky", *SEA_ICE.names), tuple(rows))

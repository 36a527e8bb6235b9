"""An evaluation's folder: methods against the truth, from `evaluation.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.evaluate.results import (
    ALL,
    RESULTS_FILE,
    Group,
    MethodScore,
    Results,
    read_results,
)
from inference.report.checks import check_results
from inference.report.matrices import Whisker, confusion_matrix, whisker_chart
from inference.report.piece import Chapter, Known, Piece, number, percent
from polynya.report.charts import Line, line_chart
from polynya.report.html import Html, element, table_element
from polynya.report.parts import file_figure
from polynya.report.tables import Table

_MOST_SCENES = 30
"""Rows of the table of scenes that are shown at once; more are behind a click."""


def describe_evaluation(folder: Path, known: Known) -> Piece:
    """Describe an evaluation's folder."""
    piece = Piece("evaluation", folder)
    with piece.part(RESULTS_FILE, "the scores of the evaluation are"):
        results = read_results(folder / RESULTS_FILE)
        _describe(piece, results, known)
    return piece


def _describe(piece: Piece, results: Results, known: Known) -> None:
    piece.warnings += check_results(f"{piece.name}/{RESULTS_FILE}", results)
    every = results.group()
    if every is not None and every.scores:
        last = every.scores[-1]
        piece.cards += [
            (f"{percent(last.right, 1)}%", f"right, {last.method}", False),
            *_mean_iou(last),
            (f"{every.scenes:,}", "scenes with truth", False),
        ]
    if results.missed:
        piece.cards.append((f"{len(results.missed):,}", "scenes without a score", True))
    piece.add(Chapter.ACCURACY, element("h3", piece.title))
    for group in results.groups:
        piece.add(Chapter.ACCURACY, *_group(group, results))
    piece.add(Chapter.ACCURACY, *_comparisons(results))
    for score in every.scores if every is not None else ():
        if score.calibration:
            piece.add(Chapter.ACCURACY, _reliability(score))
    if results.scenes:
        piece.add(Chapter.ACCURACY, _scenes(results))
    if results.missed:
        rows = tuple((missed.scene, missed.reason) for missed in results.missed)
        table = Table("Scenes without a score", ("scene", "reason"), rows)
        piece.add(Chapter.ACCURACY, table_element(table))
    piece.add(Chapter.ACCURACY, *(element("p", note, _class="quiet") for note in results.notes))
    for figure in results.figures:
        with piece.part(figure.file, "the picture is"):
            # A name in the file could lead out of the folder.
            shown = file_figure(piece.folder / Path(figure.file).name, figure.title)
            summary = element("summary", f"Picture: {figure.title}")
            piece.add(Chapter.ACCURACY, element("details", summary, shown))
    for row in results.scenes:
        known.rights.setdefault(row.scene, {}).update(row.right)


def _mean_iou(score: MethodScore) -> list[tuple[str, str, bool]]:
    value = score.values.get("mean_iou")
    return [] if value is None else [(f"{percent(value, 1)}%", f"mean IoU, {score.method}", False)]


def _group(group: Group, results: Results) -> list[Html]:
    """Chart, table, and confusion matrices of a group of tiles."""
    if not group.scores:
        return []
    where = f"{group.scenes:,} scenes" + (f", {group.tiles:,} tiles" if group.tiles else "")
    whiskers = [
        Whisker(score.method, float(score.right), _interval(score.intervals.get("right")))
        for score in group.scores
        if score.right is not None
    ]
    title = f"Pixels right: {group.title}"
    content = []
    if whiskers:
        chart = whisker_chart(whiskers, f"{title}; the numbers are beside the dots")
        note = " Lines are intervals of 95 %." if any(w.interval for w in whiskers) else ""
        told = element("p", f"{where}, {group.pixels:,} pixels.{note}", _class="quiet")
        content.append(element("div", element("h4", title), told, chart, _class="card"))
    table = table_element(_scores(group, results))
    if group.name != ALL:
        table = element("details", element("summary", f"Scores: {group.title}"), table)
    content.append(table)
    matrices = [
        confusion_matrix(score.confusion, results.classes, f"{score.method}, {group.title}")
        for score in group.scores
    ]
    if group.name == ALL:
        content.append(matrices.pop())
    if matrices:
        of = "the other methods" if group.name == ALL else "all methods"
        summary = element("summary", f"Confusion matrices of {of}: {group.title}")
        content.append(element("details", summary, *matrices))
    content.append(
        element(
            "details",
            element("summary", f"Scores of classes: {group.title}"),
            table_element(_class_scores(group, results)),
        )
    )
    return content


def _interval(interval: Any) -> tuple[float, float] | None:
    if not interval or isinstance(interval, list) or None in interval:
        return None
    return float(interval[0]), float(interval[1])


def _scores(group: Group, results: Results) -> Table:
    used = [
        (name, title)
        for name, title in _titles(results).items()
        if any(score.values.get(name) is not None for score in group.scores)
    ]
    # Where each pixel has a label, these say the same as the first metric.
    of_all = any(score.unlabelled for score in group.scores)
    rows = tuple(
        (
            score.method,
            *((number(score.right), f"{score.unlabelled:,}") if of_all else ()),
            *(number(score.values.get(name)) for name, _ in used),
        )
        for score in group.scores
    )
    first = ("right of all", "without label") if of_all else ()
    columns = ("method", *first, *(title for _, title in used))
    return Table(f"All pixels together: {group.title}", columns, rows)


def _titles(results: Results) -> dict[str, str]:
    """Titles of the single numbers of all metrics, by their names in `values`."""
    return {
        f"mean_{m.name}" if m.per_class else m.name: f"mean {m.title}" if m.per_class else m.title
        for m in results.metrics
    }


def _class_scores(group: Group, results: Results) -> Table:
    measures = [m for m in results.metrics if m.per_class]
    rows = []
    for score in group.scores:
        for code, title in enumerate(results.classes.titles):
            values = [score.values.get(m.name) for m in measures]
            cells = [number(v[code]) if isinstance(v, list) else "" for v in values]
            rows.append((score.method, title, *cells))
    kind = "mask" if results.classes.has_masks else "class"
    columns = ("method", kind, *(m.title for m in measures))
    return Table(f"By {kind}: {group.title}", columns, tuple(rows))


def _comparisons(results: Results) -> list[Html]:
    """Differences in the share of right pixels of all tiles; the others behind a click."""
    if not results.comparisons:
        return []
    groups = {group.name: group.title for group in results.groups}
    titles = _titles(results)
    title = "Differences of methods on the same scenes"
    columns = ("methods", "where", "score", "difference", "interval of 95 %", "the first is")
    rows = {
        one: (
            f"{one.first} - {one.second}",
            groups.get(one.group, one.group),
            titles.get(one.score, one.score),
            number(one.difference),
            " to ".join(number(end) for end in one.interval if end is not None),
            one.verdict,
        )
        for one in results.comparisons
    }
    first = tuple(row for one, row in rows.items() if (one.group, one.score) == (ALL, "right"))
    shown = [table_element(Table(title, columns, first))] if first else []
    if len(first) < len(rows):
        every = table_element(Table("", columns, tuple(rows.values())))
        shown.append(element("details", element("summary", f"All {len(rows)} differences"), every))
    return shown


def _reliability(score: MethodScore) -> Html:
    bins = [one for one in score.calibration or () if one.confidence is not None]
    points = [(float(b.confidence or 0), float(b.right or 0)) for b in bins if b.right is not None]
    lines = [Line(score.method, points), Line("right as often as sure", [(0, 0), (1, 1)])]
    alt = f"Share of right pixels by the probability that {score.method} gives"
    chart = line_chart(lines, x="probability", y="share right", alt=alt)
    title = element("h4", f"{score.method}: how sure, and how often right?")
    return element("div", title, chart, _class="card narrow")


def _scenes(results: Results) -> Html:
    methods = [method.name for method in results.methods]
    rows = tuple(
        (
            row.scene, row.sky, f"{row.pixels:,}", percent(row.cover, 1),
            *(percent(row.right.get(method)) for method in methods),
            ", ".join(row.trained),
        )
        for row in results.scenes
    )  # fmt: skip
    columns = ("scene", "sky", "pixels", "cover, %", *methods, "trained on it")
    used = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    cells = tuple(tuple(row[column] for column in used) for row in rows)
    kept = tuple(columns[column] for column in used)
    table = table_element(Table("Pixels right by scene, %", kept, cells))
    if len(rows) <= _MOST_SCENES:
        return table
    return element("details", element("summary", f"All {len(rows):,} scenes"), table)


def worst_to_best(rights: dict[str, dict[str, float | None]], scenes: Sequence[str]) -> list[str]:
    """Order scenes by the share that their last method has right; without scores, as given."""

    def share(scene: str) -> float:
        known = [value for value in rights.get(scene, {}).values() if value is not None]
        return known[-1] if known else 2.0

    return sorted(scenes, key=share)

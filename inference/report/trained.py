"""A model's folder: its scores, curves, speed, network, recipe and provenance."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.report.checks import check_history, check_scores
from inference.report.matrices import confusion_matrix
from inference.report.piece import Chapter, Known, Piece, number, pairs, percent
from inference.report.texts import listing
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import load_recipe
from polynya.report.charts import Line, line_chart
from polynya.report.html import Html, element, table_element
from polynya.report.parts import file_figure
from polynya.report.tables import Table
from training.metrics.registry import all_metrics
from training.model_folder.folder import (
    CLASSES_FILE,
    HISTORY_FILE,
    IMPORTANCES_PICTURE,
    METRICS_FILE,
    NETWORK_PICTURE,
    PROVENANCE_FILE,
    RECIPE_FILE,
    SPLIT_FILE,
)

Rows = Sequence[Mapping[str, str]]


def describe_model(folder: Path, known: Known) -> Piece:
    """Describe a model's folder, of a training that is finished or not."""
    piece = Piece("model", folder)
    classes: ClassScheme | None = None
    with piece.part(CLASSES_FILE, "the scores of classes are"):
        classes = ClassScheme.model_validate(piece.read_json(CLASSES_FILE))
    history: Rows = []
    with piece.part(HISTORY_FILE, "the curves of the training are"):
        history = piece.read_rows(HISTORY_FILE)
    piece.add(Chapter.TRAINING, element("h3", piece.title))
    best = None
    with piece.part(METRICS_FILE, "the scores of the model are"):
        metrics = piece.read_json(METRICS_FILE)
        best = metrics.get("epoch")
        _add_scores(piece, metrics, history, classes)
    with piece.part(HISTORY_FILE, "the curves of the training are"):
        _add_curves(piece, history, best)
    with piece.part(SPLIT_FILE, "the numbers of its scenes are"):
        _add_split(piece, piece.read_json(SPLIT_FILE))
    if (folder / NETWORK_PICTURE).is_file():
        with piece.part(NETWORK_PICTURE, "the drawing of the network is"):
            _add_network(piece)
    if (folder / IMPORTANCES_PICTURE).is_file():
        with piece.part(IMPORTANCES_PICTURE, "what bands and indices are worth is"):
            caption = f"What bands and indices are worth to {piece.name}"
            piece.add(Chapter.TRAINING, file_figure(folder / IMPORTANCES_PICTURE, caption))
    with piece.part(HISTORY_FILE, "the times of the training are"):
        _add_times(piece, history)
    with piece.part(RECIPE_FILE, "the recipe is"):
        _add_recipe(piece, known)
    return piece


def _add_scores(
    piece: Piece, metrics: Mapping[str, Any], history: Rows, classes: ClassScheme | None
) -> None:
    found: Mapping[str, Any] = metrics["validation"]
    per_image = found.get("per_image") or {}
    piece.cards += [
        (f"{percent(found[name], 1)}%", f"{title}, validation", False)
        for name, title in (("accuracy", "right"), ("mean_iou", "mean IoU"))
        if found.get(name) is not None
    ]
    if metrics.get("epoch") is not None and history:
        piece.cards.append((f"{metrics['epoch']}/{len(history)}", "best epoch", False))
    rows = [("loss", number(found.get("loss"), 5), "")]
    for metric in all_metrics():
        key = metric.overall if metric.per_class else metric.name
        if key in found:
            rows.append((metric.heading, number(found[key]), number(per_image.get(key))))
    title = "Validation, of the best epoch"
    table = Table(title, ("score", "all pixels together", "mean over tiles"), tuple(rows))
    right = []
    if classes is not None and found.get("classes"):
        right.append(table_element(_class_table(found["classes"], classes)))
    piece.warnings += check_history(piece.name, metrics, history)
    # Numbers are shown first, so that a matrix of a wrong shape costs the matrix only.
    with piece.part(METRICS_FILE, "the confusion matrix is"):
        if classes is not None and found.get("confusion") is not None:
            title = f"Validation of {piece.name}"
            right.append(confusion_matrix(found["confusion"], classes, title))
            where = f"{piece.name}/{METRICS_FILE}"
            piece.warnings += check_scores(where, found, found["confusion"], classes)
    of_classes = element("div", *right)
    piece.add(Chapter.TRAINING, element("div", table_element(table), of_classes, _class="beside"))


def _class_table(scores: Mapping[str, Mapping[str, Any]], classes: ClassScheme) -> Table:
    of_classes = [metric for metric in all_metrics() if metric.per_class]
    used = [metric for metric in of_classes if any(metric.name in o for o in scores.values())]
    rows = [
        (one.title, *(number(scores.get(one.name, {}).get(metric.name)) for metric in used))
        for one in classes.classes
    ]
    kind = "mask" if classes.has_masks else "class"
    return Table(f"By {kind}", (kind, *(metric.title for metric in used)), tuple(rows))


def _line(rows: Rows, column: str, name: str) -> Line | None:
    values = [(float(row["epoch"]), float(row[column] or "nan")) for row in rows if column in row]
    return Line(name, values) if any(v == v for _, v in values) else None


_CHARTS = (
    ("Loss", "loss", (("loss", "training"), ("val_loss", "validation"))),
    (
        "Scores",
        "share",
        (("val_accuracy", "right"), ("val_mean_iou", "mean IoU"), ("val_mean_f1", "mean F1"),
         ("training_accuracy", "right, training tiles")),
    ),
    ("Learning rate", "rate", (("learning_rate", "learning rate"),)),
)  # fmt: skip


def _add_curves(piece: Piece, history: Rows, best: Any) -> None:
    charts = []
    for title, unit, columns in _CHARTS:
        lines = [line for column, name in columns if (line := _line(history, column, name))]
        if lines and len(history) > 1:
            mark = (float(best), f"best: {best}") if isinstance(best, int) else None
            alt = f"{title} of {piece.name} by epoch; the numbers are in the table below"
            chart = line_chart(lines, x="epoch", y=unit, alt=alt, mark=mark)
            charts.append(element("div", element("h3", title), chart, _class="card"))
    if charts:
        piece.add(Chapter.TRAINING, element("div", *charts, _class="charts"))
    if history:
        piece.add(Chapter.TRAINING, _all_epochs(history))


def _all_epochs(history: Rows) -> Html:
    columns = tuple(history[0])
    rows = tuple(tuple(_short(row[column]) for column in columns) for row in history)
    table = Table("", columns, rows)
    return element("details", element("summary", "All epochs"), table_element(table))


def _short(text: str) -> str:
    """A number with five digits, another text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value.is_integer() else "" if value != value else f"{value:.5g}"


def _add_split(piece: Piece, split: Mapping[str, Any]) -> None:
    training, validation = len(split["training"]), len(split["validation"])
    piece.add(
        Chapter.DATA,
        element(
            "p",
            f"{piece.title} was trained on {training:,} scenes or groups and validated on"
            f" {validation:,}.",
        ),
    )


def _add_network(piece: Piece) -> None:
    data = base64.b64encode((piece.folder / NETWORK_PICTURE).read_bytes()).decode()
    image = element(
        "img", src=f"data:image/svg+xml;base64,{data}", alt=f"Layers of {piece.name} as a drawing"
    )
    figure = element("figure", image, _class="network")
    summary = element("summary", f"Drawing of the network of {piece.name}")
    piece.add(Chapter.TRAINING, element("details", summary, figure))


def _add_times(piece: Piece, history: Rows) -> None:
    speed = _line(history, "images_per_second", "images a second")
    waiting = _line(history, "waiting_share", "share of waiting for data and ranks")
    if speed is None or len(history) < 2:
        return
    shown = [
        element(
            "div",
            element("h3", title),
            line_chart([line], x="epoch", y=unit, alt=f"{title} of {piece.name} by epoch"),
            _class="card",
        )
        for title, unit, line in (
            ("Training speed", "images/s", speed),
            ("Waiting for data and ranks", "share of the time", waiting),
        )
        if line is not None
    ]
    rows = [
        (row["epoch"], number(row.get("seconds"), 1), number(row.get("images_per_second"), 1),
         percent(row.get("waiting_share"), 1))
        for row in (history[0], history[-1])
    ]  # fmt: skip
    columns = ("epoch", "seconds", "images/s", "waiting, %")
    table = table_element(Table(f"{piece.name}, first and last epoch", columns, tuple(rows)))
    piece.add(Chapter.SPEED, element("div", *shown, _class="charts"), table)


def _add_recipe(piece: Piece, known: Known) -> None:
    text = (piece.folder / RECIPE_FILE).read_text(encoding="utf-8")
    piece.add(Chapter.RECIPE, element("h3", piece.title))
    with piece.part(PROVENANCE_FILE, "the provenance is"):
        content = piece.read_json(PROVENANCE_FILE)
        rows = tuple((key.replace("_", " "), value) for key, value in pairs(content))
        table = Table("Provenance", ("what", "value"), rows)
        piece.add(Chapter.RECIPE, table_element(table))
    piece.add(
        Chapter.RECIPE,
        element("details", element("summary", f"Recipe of {piece.name}"), listing(text)),
    )
    known.recipes.append((piece.folder, load_recipe(piece.folder / RECIPE_FILE)))

"""A sweep's folder: its tables and figures, as `polynya sweep` left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.report.piece import Chapter, Piece
from inference.report.texts import listing
from inference.studies.sweep.figures import (
    BY_PARAMETER,
    IMPORTANCES,
    LEARNING,
    MODELS,
    PARALLEL,
    SIZES,
)
from polynya.report.html import element, table_element
from polynya.report.parts import Card, file_figure
from polynya.report.tables import Table

_CAPTIONS = {
    SIZES: "Scores by the number of parameters",
    BY_PARAMETER: "Scores by the values of each parameter",
    PARALLEL: "All trials: a line each, through its values to its score",
    IMPORTANCES: "Which parameters decide the score",
    LEARNING: "Learning curves of the trials",
    MODELS: "Models side by side on validation tiles",
}
_TABLES = (
    ("trials", "Trials, best first"),
    ("evaluations", "Scores on further tiles"),
    ("parameters", "Values of parameters"),
    ("trainings", "All trainings"),
)


def describe_sweep(folder: Path) -> Piece:
    """Describe a sweep's folder."""
    piece = Piece("sweep", folder)
    piece.add(Chapter.TRIALS, element("h3", piece.title))
    with piece.part("trials.md", "the answer of the sweep is"):
        # The table is followed by the sentence that answers which trial is the best.
        text = (folder / "trials.md").read_text(encoding="utf-8")
        said = text.rstrip().rpartition("\n\n")[2]
        if not said.startswith("|"):
            piece.add(Chapter.TRIALS, element("p", said))
    for name, title in _TABLES:
        if name == "evaluations" and not (folder / f"{name}.csv").is_file():
            continue  # Only sweeps with further tiles have it.
        with piece.part(f"{name}.csv", "this table is"):
            rows = piece.read_rows(f"{name}.csv")
            if name == "trials":
                piece.cards += [(f"{len(rows):,}", "trials", False), *_best(rows)]
            cells = tuple(tuple(row.values()) for row in rows)
            columns = tuple(rows[0]) if rows else ()
            table = table_element(Table(title if name != "trainings" else "", columns, cells))
            if name == "trainings":
                table = element("details", element("summary", title), table)
            piece.add(Chapter.TRIALS, table)
    figures = []
    for name, caption in _CAPTIONS.items():
        if (folder / name).is_file():
            with piece.part(name, "this figure is"):
                figures.append(file_figure(folder / name, caption))
    piece.add(Chapter.TRIALS, element("div", *figures, _class="gallery"))
    for name in ("study.yaml", "recipe.yaml"):
        with piece.part(name, "this text is"):
            text = (folder / name).read_text(encoding="utf-8")
            summary = element("summary", f"{piece.name}/{name}")
            piece.add(Chapter.RECIPE, element("details", summary, listing(text)))
    return piece


def _best(rows: Sequence[Mapping[str, str]]) -> list[Card]:
    """First score of the first trial, which is the best; its column comes after the seeds."""
    if not rows:
        return []
    columns = list(rows[0])
    score = columns[columns.index("seeds") + 1]
    return [(rows[0][score], f"{score}, best trial", False)]

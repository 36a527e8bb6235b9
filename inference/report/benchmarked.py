"""A benchmark's folder: its pages of tables, with speed-ups as charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.report.checks import check_speed_ups
from inference.report.folders import COMMAND_LINE, benchmark_pages
from inference.report.piece import Chapter, Piece, read_rows
from polynya.report.charts import Line, line_chart
from polynya.report.html import Html, element, joined, table_element
from polynya.report.parts import file_figure
from polynya.report.tables import Table

_SPEED_UP = "speed-up"
_TITLE = re.compile(r"^\*\*(.+)\*\*$")
_MACHINE = "Machine: "


def describe_benchmark(folder: Path) -> Piece:
    """Describe a benchmark's folder: each page, and CSV files that no page has."""
    piece = Piece("benchmark", folder)
    pages = benchmark_pages(folder)
    for page in pages:
        with piece.part(page.name, "this page is"):
            _add_page(piece, page.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.csv")):
        if not path.name.startswith("_"):
            with piece.part(path.name, "this table is"):
                rows = read_rows(path)
                _add_speed_ups(piece, path, rows)
                shown = table_element(_table("", rows))
                content = element("details", element("summary", path.name), shown)
                piece.add(Chapter.MEASURED, content)
    for path in sorted(folder.glob("*.png")):
        with piece.part(path.name, "this picture is"):
            piece.add(Chapter.MEASURED, file_figure(path, path.stem.replace("_", " ")))
    piece.cards.append((f"{len(pages):,}", "pages of tables", False))
    return piece


def _table(title: str, rows: Sequence[Mapping[str, str]]) -> Table:
    columns = tuple(rows[0]) if rows else ("empty",)
    return Table(title, columns, tuple(tuple(row.values()) for row in rows))


def _add_page(piece: Piece, text: str) -> None:
    """Show the heading, the sentences and the tables of a page in Markdown."""
    lines = text.splitlines()
    piece.add(Chapter.MEASURED, element("h3", lines[0].removeprefix("# ")))
    title, rows = "", list[list[str]]()
    for line in [*lines[1:], ""]:
        if line.startswith("| ") or line.startswith("|-"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
            continue
        if len(rows) > 1:
            width = len(rows[0])
            cells = tuple(tuple(row) for row in rows[2:] if len(row) == width)
            table = Table(title, tuple(rows[0]), cells)
            piece.add(Chapter.MEASURED, table_element(table))
            title, rows = "", []
        found = _TITLE.match(line)
        if found:
            title = found[1]
        elif line.startswith(COMMAND_LINE):
            command = line.removeprefix(COMMAND_LINE).rstrip("`")
            piece.add(Chapter.RECIPE, _said("Command", element("code", command)))
        elif line.startswith(_MACHINE):
            piece.add(Chapter.RECIPE, _said("Machine", line.removeprefix(_MACHINE)))
        elif line.strip():
            piece.add(Chapter.MEASURED, element("p", line))


def _said(name: str, value: str | Html) -> Html:
    return element("p", joined(f"{name}: ", value))


def _add_speed_ups(piece: Piece, path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Draw speed-ups over a number, such as ranks, beside those of a perfect machine."""
    if not rows or _SPEED_UP not in rows[0]:
        return
    piece.warnings += check_speed_ups(f"{piece.name}/{path.name}", rows)
    first = next(iter(rows[0]))
    points = [
        (float(row[first]), float(row[_SPEED_UP].rstrip("x").replace(",", ""))) for row in rows
    ]
    if len(points) < 2:
        return
    lines = [Line("measured", points), Line("perfect", [(x, x / points[0][0]) for x, _ in points])]
    title = f"Speed-up by {first}: {path.stem}"
    alt = f"{title}; the numbers are in the table {path.name}"
    chart = line_chart(lines, x=first, y=_SPEED_UP, alt=alt)
    piece.add(Chapter.SPEED, element("div", element("h3", title), chart, _class="card narrow"))
    piece.add(Chapter.SPEED, table_element(_table(path.name, rows)))

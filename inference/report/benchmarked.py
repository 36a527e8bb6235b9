"""A benchmark's folder: results in JSON, pages of tables in Markdown, speed-ups as charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from inference.report.checks import check_speed_ups
from inference.report.folders import COMMAND_LINE, benchmark_pages, benchmark_results
from inference.report.matrices import Bar, bar_chart
from inference.report.piece import Chapter, Piece
from polynya.report.charts import Line, line_chart
from polynya.report.html import Html, element, joined, table_element
from polynya.report.parts import file_figure
from polynya.report.tables import Table

_TITLE = re.compile(r"\*\*(.+)\*\*")
_RATIO = re.compile(r"speed-up|times .*")
"""Columns of tables that say how many times as fast something is."""
_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+x?")
_MACHINE = "Machine: "


def describe_benchmark(folder: Path) -> Piece:
    """Describe a benchmark's folder."""
    piece = Piece("benchmark", folder)
    results = benchmark_results(folder)
    for path in results:
        with piece.part(path.name, "this result is"):
            _add_result(piece, piece.read_json(path.name))
    known = {path.stem for path in results}
    pages = [page for page in benchmark_pages(folder) if page.stem not in known]
    for page in pages:
        with piece.part(page.name, "this page is"):
            _add_page(piece, page)
    for path in sorted(folder.glob("*.png")):
        with piece.part(path.name, "this picture is"):
            piece.add(Chapter.MEASURED, file_figure(path, path.stem.replace("_", " ")))
    piece.cards.append((f"{len(results) + len(pages):,}", "results of benchmarks", False))
    return piece


def _add_result(piece: Piece, content: Mapping[str, Any]) -> None:
    """Show a result as the benchmarks write it in JSON (docs/benchmarks.md)."""
    name = content["name"]
    piece.add(Chapter.MEASURED, element("h3", name))
    if content.get("about"):
        piece.add(Chapter.MEASURED, element("p", content["about"]))
    measured = content.get("measurements") or []
    if measured:
        _add_measurements(piece, name, measured)
    for one in content.get("tables") or []:
        rows = tuple(tuple(map(str, row)) for row in one["rows"])
        _add_table(piece, Table(one["title"] or name, tuple(one["columns"]), rows))
    for sentence in content.get("statements") or []:
        piece.add(Chapter.MEASURED, element("p", sentence, _class="quiet"))
    facts = [(key, str(content[key])) for key in ("command", "origin", "revision", "date")
             if content.get(key)]  # fmt: skip
    facts += [(key, str(value)) for key, value in (content.get("machine") or {}).items()]
    table = table_element(Table("", ("what", "value"), tuple(facts)))
    summary = element("summary", f"How {name} was measured")
    piece.add(Chapter.RECIPE, element("details", summary, table))


def _add_measurements(piece: Piece, name: str, measured: Sequence[Mapping[str, Any]]) -> None:
    rows, bars = [], []
    for one in measured:
        baseline = one.get("baseline")
        ratio = _times(one) if baseline else None
        rows.append(
            (
                one["name"], _short(median(one["values"])), one["unit"], str(len(one["values"])),
                f"{baseline['name']}: {_short(median(baseline['values']))}" if baseline else "",
                "" if ratio is None else f"{ratio:.2f}",
                "" if one.get("paper") is None else _short(one["paper"]),
            )
        )  # fmt: skip
        if ratio is not None and baseline is not None:
            bars.append(Bar(f"{one['name']}, to {baseline['name']}", ratio))
    columns = ("what", "median", "unit", "repeats", "baseline", "times as good", "paper")
    piece.add(Chapter.MEASURED, table_element(Table(f"Measurements of {name}", columns,
                                                    tuple(rows))))  # fmt: skip
    _add_bars(piece, f"Times as good as the baseline: {name}", bars)


def _times(one: Mapping[str, Any]) -> float:
    """How many times better than the baseline: ratio of the medians."""
    ratio = median(one["values"]) / median(one["baseline"]["values"])
    return ratio if one["better"] == "higher" else 1 / ratio


def _short(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _add_page(piece: Piece, path: Path) -> None:
    """Show the heading, the sentences and the tables of a page in Markdown."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heading = lines[0].removeprefix("# ")
    piece.add(Chapter.MEASURED, element("h3", heading))
    title, rows = "", list[list[str]]()
    for line in [*lines[1:], ""]:
        if line.startswith(("| ", "|-")):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
            continue
        if len(rows) > 1:
            cells = tuple(tuple(row) for row in rows[2:] if len(row) == len(rows[0]))
            _add_table(piece, Table(title or heading, tuple(rows[0]), cells))
            title, rows = "", []
        if found := _TITLE.fullmatch(line):
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


def _add_table(piece: Piece, table: Table) -> None:
    """Show a table, and its columns of speed-ups as charts."""
    piece.add(Chapter.MEASURED, table_element(table))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    piece.warnings += check_speed_ups(f"{piece.name}: {table.title}", rows)
    for place, column in enumerate(table.columns):
        if place and _RATIO.match(column):
            # Several columns may have one name; each is of the column before it.
            of = f" ({table.columns[place - 1]})" if table.columns.count(column) > 1 else ""
            _add_ratios(piece, table, place, f"{column}{of}")


def _add_ratios(piece: Piece, table: Table, place: int, column: str) -> None:
    """Draw a column over a number, such as ranks, or as a bar for each row."""
    kept = [row for row in table.rows if _NUMBER.fullmatch(row[place])]
    if len(kept) < 2:
        return
    values = [float(row[place].rstrip("x").replace(",", "")) for row in kept]
    title = f"{column[0].upper()}{column[1:]}: {table.title}"
    if all(row[0].isdigit() for row in kept) and column == "speed-up":
        first = table.columns[0]
        numbers = [int(row[0]) for row in kept]
        lines = [
            Line("measured", list(zip(map(float, numbers), values, strict=True))),
            Line("perfect", [(float(n), n / numbers[0]) for n in numbers]),
        ]
        chart = line_chart(lines, x=first, y=column, alt=f"{title}, by {first}")
        shown = element("div", element("h3", title), chart, _class="card narrow")
        piece.add(Chapter.SPEED, shown)
        return
    # Names are repeated where a table leaves them out below each other.
    names, last = list[str](), ""
    for row in kept:
        words = [cell for cell in row[:2] if not _NUMBER.fullmatch(cell)]
        last = words[0] or last
        names.append(", ".join(dict.fromkeys(word for word in (last, *words[1:]) if word)))
    _add_bars(piece, title, [Bar(name, v) for name, v in zip(names, values, strict=True)])


def _add_bars(piece: Piece, title: str, bars: Sequence[Bar]) -> None:
    if bars:
        chart = bar_chart(bars, f"{title}; the numbers are beside the bars")
        piece.add(Chapter.SPEED, element("div", element("h3", title), chart, _class="card"))

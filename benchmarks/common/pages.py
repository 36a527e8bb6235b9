"""Read the tables of Markdown pages."""

from __future__ import annotations

import re
from itertools import pairwise

from polynya.report.tables import Table

_CELLS = re.compile(r"(?<!\\)\|")
RULER = re.compile(r"^\|[-:| ]+\|$")
"""The line below a table's columns."""


def cells_of(line: str) -> tuple[str, ...] | None:
    """Return the cells of a table's line; None of other lines."""
    if not line.startswith("|"):
        return None
    return tuple(cell.strip() for cell in _CELLS.split(line)[1:-1])


def tables_of(text: str) -> tuple[Table, ...]:
    """Return the tables of a page; a title is a line of bold text above the table, or ""."""
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = []
    title, is_open = "", False
    for line, after in pairwise([*text.splitlines(), "", ""]):
        cells = cells_of(line)
        if cells is None:
            is_open = False
            title = line.strip("*") if line.startswith("**") and line.endswith("**") else title
        elif RULER.match(after):
            tables.append((title, cells, []))
            title, is_open = "", True
        elif is_open and not RULER.match(line):
            tables[-1][2].append(cells)
    return tuple(Table(title, columns, tuple(rows)) for title, columns, rows in tables)

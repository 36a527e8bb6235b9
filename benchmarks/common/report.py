"""Tables of results; pages and JSON files that name the command and the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.common.results import Measurement, describe, new_result
from polynya.report.tables import Table
from polynya.storage.files import write_text

T = TypeVar("T")


def table_of(title: str, items: Iterable[T], columns: Mapping[str, Callable[[T], str]]) -> Table:
    """Make a table with one row per item; `columns` maps names to functions that write a cell."""
    rows = tuple(tuple(write(item) for write in columns.values()) for item in items)
    return Table(title, tuple(columns), rows)


def percent(share: float, digits: int = 2) -> str:
    """Format a share, 0..1, in percent; empty if it is NaN."""
    return "" if np.isnan(share) else f"{100 * share:.{digits}f}"


@dataclass(frozen=True)
class Report:
    """Folder for the tables of a command, and the command itself."""

    folder: Path
    """Existing folder, absolute."""
    command: str
    """Command line as the user gave it."""

    def write(
        self,
        name: str,
        heading: str,
        about: str,
        files: Mapping[str, Table],
        shown: Sequence[Table] | None = None,
        *,
        measurements: Sequence[Measurement] = (),
        printed: bool = True,
    ) -> str:
        """Print tables, write them as CSV files, as one page and as a result.

        Args:
            name: File name of the page, without extension.
            heading: Heading of the page.
            about: What was measured, and how.
            files: Tables by the names of their CSV files.
            shown: Tables for the terminal and the page; default: the tables in `files`.
            measurements: What was measured, with every repeat, for the result.
            printed: Whether tables are printed.

        Returns:
            Text of the page.
        """
        tables = list(files.values()) if shown is None else shown
        for table in tables if printed else ():
            table.print()
        for file, table in files.items():
            table.write_csv(self.folder / f"{file}.csv")
        result = new_result(
            name, self.command, about, tables=tuple(tables), measurements=tuple(measurements)
        )
        result.write(self.folder / f"{name}.json")
        parts = [
            f"# {heading}\n",
            f"{about}\n",
            f"Command: `{self.command}`\n",
            f"Machine: {describe(result.machine)}\n",
            *(table.markdown() for table in tables),
        ]
        page = "\n".join(parts)
        write_text(self.folder / f"{name}.md", page)
        return page

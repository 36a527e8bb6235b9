"""Tables of results, for the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polynya.progress import print_table
from polynya.storage.files import whole_file


@dataclass(frozen=True)
class Table:
    """A table with a title, column names and rows of text; the first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def print(self) -> None:
        """Print the table to stdout."""
        import rich.box
        from rich.table import Table as RichTable

        table = RichTable(
            title=self.title, title_justify="left", title_style="bold", box=rich.box.SIMPLE_HEAD
        )
        for column, of_numbers in zip(self.columns, self.of_numbers(), strict=True):
            table.add_column(column, justify="right" if of_numbers else "left")
        for row in self.rows:
            table.add_row(*row)
        print_table(table)

    def markdown(self) -> str:
        """The table as Markdown, with the title above."""
        ruler = "|".join("--:" if of_numbers else "---" for of_numbers in self.of_numbers())
        lines = [" | ".join(cells) for cells in (self.columns, *self.rows)]
        body = [f"| {lines[0]} |", f"|{ruler}|", *(f"| {line} |" for line in lines[1:])]
        return "\n".join([f"**{self.title}**", "", *body, ""])

    def of_numbers(self) -> list[bool]:
        """For each column, whether its cells are numbers or empty."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [not any(re.search("[A-Za-z_]", cell) for cell in column) for column in columns]

    def write_csv(self, path: Path) -> None:
        """Write the rows, without the title."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        write_table(path, list(self.columns), rows)


def write_table(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a complete CSV file; an existing file of Polynya is replaced.

    Bytes of file names that are not UTF-8 are written as escapes.
    """
    with (
        whole_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

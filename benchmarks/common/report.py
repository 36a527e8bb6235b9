"""Tables of results, and pages of tables that name the command and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from polynya.machine import processor_model
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
        printed: bool = True,
    ) -> str:
        """Print tables, write them as CSV files and as one page.

        Args:
            name: File name of the page, without extension.
            heading: Heading of the page.
            about: What was measured, and how.
            files: Tables by the names of their CSV files.
            shown: Tables for the terminal and the page; default: the tables in `files`.
            printed: Whether tables are printed.

        Returns:
            Path of the page.
        """
        tables = list(files.values()) if shown is None else shown
        for table in tables if printed else ():
            table.print()
        for file, table in files.items():
            table.write_csv(self.folder / f"{file}.csv")
        parts = [
            f"# {heading}\n",
            f"{about}\n",
            f"Command: `{self.command}`\n",
            f"Machine: {describe_machine()}\n",
            *(table.markdown() for table in tables),
        ]
        page = "\n".join(parts)
        write_text(self.folder / f"{name}.md", page)
        return page


def describe_machine() -> str:
    """Describe the machine in one line: processor, cores, Python, OpenCV and NumPy."""
    return (
        f"{processor_model()}, {os.cpu_count()} cores; Python {platform.python_version()},"
        f" OpenCV {cv2.__version__}, NumPy {np.__version__}"
    )

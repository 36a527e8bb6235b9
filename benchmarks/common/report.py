"""Tables of results, and pages of them that say how and on what machine they were made."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from polynya.report.tables import Table
from polynya.storage.files import write_text

T = TypeVar("T")

_CPUINFO = Path("/proc/cpuinfo")


def table_of(title: str, items: Iterable[T], columns: Mapping[str, Callable[[T], str]]) -> Table:
    """A table with a row for each item; columns say by their names how a cell is written."""
    rows = tuple(tuple(write(item) for write in columns.values()) for item in items)
    return Table(title, tuple(columns), rows)


def percent(share: float, digits: int = 2) -> str:
    """A share, 0..1, in percent; empty where it is NaN."""
    return "" if np.isnan(share) else f"{100 * share:.{digits}f}"


@dataclass(frozen=True)
class Report:
    """Where the tables of a command go, and how they were made."""

    folder: Path
    """Existing, absolute."""
    command: str
    """As the user gave it."""

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
            name: Of the page, without its ending.
            heading: Of the page.
            about: What was measured, and how.
            files: Tables by the names of their CSV files.
            shown: Tables of the terminal and of the page; default: those of the files.
            printed: Whether tables are printed.

        Returns:
            The page.
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
    """One line: processor, cores, Python, OpenCV and NumPy."""
    return (
        f"{processor_model()}, {os.cpu_count()} cores; Python {platform.python_version()},"
        f" OpenCV {cv2.__version__}, NumPy {np.__version__}"
    )


def processor_model() -> str:
    """Model name of the processor, or its architecture where the system doesn't tell more."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()

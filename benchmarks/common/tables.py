"""Pages of tables that say how and where they were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.machine import describe_machine
from polynya.report.tables import Table
from polynya.storage.files import write_text


def write_tables(tables: Sequence[tuple[str, Table]], folder: Path) -> None:
    """Print tables and write each as `<name>.csv`."""
    for name, table in tables:
        table.print()
        table.write_csv(folder / f"{name}.csv")


def write_markdown(
    path: Path, heading: str, about: str, command: str, tables: Sequence[Table]
) -> None:
    """Write a page of tables that says how and where they were made."""
    parts = [
        f"# {heading}\n",
        f"{about}\n",
        f"Command: `{command}`\n",
        f"Machine: {describe_machine()}\n",
        *(table.markdown() for table in tables),
    ]
    write_text(path, "\n".join(parts))

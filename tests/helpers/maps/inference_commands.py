"""Commands about maps as a user runs them, in this process."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from polynya.cli import build_app
from polynya.storage.ledger import LEDGER_FILE


def run(*arguments: Any, expect: int = 0) -> Result:
    """Run `polynya` with these words; its output, stdout and stderr."""
    result = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    assert result.exit_code == expect, result.output
    return result


def rows(path: str | Path) -> dict[str, dict[str, str]]:
    """Rows of a table, by scene."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {row["scene"]: row for row in csv.DictReader(file)}


def names(folder: Path) -> list[str]:
    """Names of what lies in a folder, but for Polynya's list of its own files."""
    return sorted(path.name for path in folder.iterdir() if path.name != LEDGER_FILE)

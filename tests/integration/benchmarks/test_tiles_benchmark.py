"""The benchmark of tiles, with few of them."""

from __future__ import annotations

import csv
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.tiles.__main__ import app


def test_tiles_are_imported_and_inspected_and_nothing_is_wrong_with_them(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--tiles", "40", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    with open(tmp_path / "intake.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["command"] for row in rows] == ["import", "import again, nothing new", "inspect"]
    assert all(float(row["memory of all processes, MB"]) > 30 for row in rows)
    told = (tmp_path / "logs/inspect/output.txt").read_text()
    assert "40 tiles" in told
    assert "near-duplicate" not in told

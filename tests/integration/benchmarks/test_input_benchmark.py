"""The input benchmark with very few tiles: all of its processes, and its tables."""

from __future__ import annotations

import csv
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.input import __main__ as benchmark


def test_every_way_is_measured_and_told(tmp_path: Path, monkeypatch) -> None:
    # One of the augmentations is enough: each takes a model's compilation.
    monkeypatch.setattr(benchmark, "AUGMENTATIONS", {"all of these": None})
    sizes = ["--scenes", "2", "--edge", "2", "--size", "64", "--rounds", "1", "--cores", "1"]
    done = CliRunner().invoke(benchmark.app, [*sizes, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    with open(tmp_path / "speed.csv", newline="") as file:
        speed = list(csv.DictReader(file))
    assert len(speed) == 5
    assert all(float(row["tiles/s"]) > 0 for row in speed)
    page = (tmp_path / "input.md").read_text()
    assert page in done.output
    assert "8 tiles of 64 px, 0.00 GB decoded" in page
    assert "A100 at 586 images/s" in page
    assert "| all of these |" in page
    # The second run on a disk found what the first one left.
    assert len(list(tmp_path.glob("data/*/cache/*.tiles"))) == 1

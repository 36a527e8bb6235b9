"""Decision trees beside a U-Net, small: scenes, shards, two models, their scores and costs."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_both_models_are_scored_on_the_same_scenes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.maps", "baseline", "--quick"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    with (tmp_path / "baseline.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["trees", "U-Net"]
    assert all(float(value) > 0 for row in rows.values() for value in list(row.values())[1:])
    with (tmp_path / "baseline_importances.csv").open() as file:
        shares = [float(row["share in the gain, %"]) for row in csv.DictReader(file)]
    assert len(shares) == 7
    assert sum(shares) == pytest.approx(100, abs=1)

"""Cloud structures as a user goes through them, small: from run-length codes to a submission."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.maps.submission_validator import read_submission

ROOT = Path(__file__).parents[3]
TITLES = ("Fish", "Flower", "Gravel", "Sugar")


@pytest.mark.slow
def test_a_search_gains_and_the_submission_is_valid(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.maps", "clouds", "--quick"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    with (tmp_path / "clouds_search.csv").open() as file:
        search = {row["key"]: row for row in csv.DictReader(file)}
    of_classes = [search[f"all of it, {title.lower()}"] for title in TITLES]
    before, after = (
        sum(float(row[column]) for row in of_classes) / 4
        for column in ("mean_dice before", "with it")
    )
    assert after > before
    with (tmp_path / "clouds.csv").open() as file:
        assert [row["structure"] for row in csv.DictReader(file)] == [*TITLES, "mean"]
    work = tmp_path / "clouds"
    names = [path.name for path in (work / "test" / "train_images").glob("*.jpg")]
    assert len(names) == 3
    for name in ("before", "after"):
        read_submission((work / f"{name}.csv").read_text(), names, TITLES, (70, 105))

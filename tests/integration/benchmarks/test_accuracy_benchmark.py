"""The accuracy benchmark as a user runs it, small: labels, two trainings, scores, tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.accuracy", "--quick", "--sites", "1"]
    return subprocess.run(
        [*command, "--out", str(out), *options], cwd=ROOT, capture_output=True, text=True
    )


def test_the_small_benchmark_ends_in_tables_and_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "accuracy"
    done = _run(out)
    assert done.returncode == 0, done.stderr + done.stdout
    text = (out / "accuracy.md").read_text()
    for word in ("thresholds", "illumination", "U-Net as published", "model with simulated cloud"):
        assert word in text
    assert "blobs: F1 by class, %" in text
    assert (out / "worst_standard.png").stat().st_size < 300_000
    assert (out / "worst_blobs.png").is_file()

    again = _run(out, "--sets", "standard")
    assert again.returncode == 0, again.stderr
    assert "Epoch" not in again.stdout
    assert "Mapping" not in again.stderr
    assert "blobs" not in (out / "accuracy.md").read_text()


def test_what_a_user_can_mend_is_one_sentence(tmp_path: Path) -> None:
    done = _run(tmp_path, "--sets", "clouds")
    assert done.returncode == 1
    assert 'there is no set "clouds" for --sets' in done.stderr + done.stdout

"""Small versions of studies: their tiles are made once, and the sweep is given where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import small


def test_tiles_are_made_once_and_given_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []

    def record(words: list[str], log: Path, *, at: Path, **variables: str) -> None:
        given.append(words)
        if words[:2] == ["polynya", "sweep"]:
            (at / "sweep").mkdir(exist_ok=True)
            (at / "sweep" / "trials.md").write_text("| a |\n\nBest: trial 0001.\n")

    monkeypatch.setattr(small, "run", record)
    runs = [small.run_study("man_against_auto", tmp_path, 1, seeds) for seeds in (None, 2)]
    assert [words[1] for words in given] == ["-m", "label", "label", "label", "sweep", "sweep"]
    assert 'label.raster="{stem}_labels.tif"' in given[1]
    sweep: dict[str, Any] = {word.partition("=")[0]: word for word in given[-1] if "=" in word}
    assert sweep == {name: f"{name}=shards-{name}" for name in ("manual", "automatic", "filtered")}
    assert given[-1][-2:] == ["--seeds", "2"]
    table = small.runs_table(runs)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["small version here"] == "Best: trial 0001."
    assert "91.39 %" in row["found by the paper"]

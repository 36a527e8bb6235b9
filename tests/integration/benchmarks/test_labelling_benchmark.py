"""The labelling benchmark on real Spark, a real cluster and real ranks, with very few tiles."""

from __future__ import annotations

import csv
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.labelling.__main__ import app
from benchmarks.labelling.measured.data import make_files
from benchmarks.labelling.measured.scaling import Setup, measure_scaling


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_both_pipelines_are_compared_label_by_label_and_by_cost(tmp_path):
    sizes = ["--scenes", "2", "--size", "128", "--tile", "64", "--rounds", "1", "--jobs", "1"]
    done = CliRunner().invoke(app, ["compare", *sizes, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    speed = rows_of(tmp_path / "compare_speed.csv")
    assert speed[0]["times better"] == "1.00"
    assert len(speed) == len(rows_of(tmp_path / "compare_cpu.csv")) == 3
    runs = rows_of(tmp_path / "compare_runs.csv")
    assert [row["tiles"] for row in runs] == ["4", "8"] * 3
    for row in runs:
        # Java, the workers and the driver are found by their kinds.
        assert all(float(row[kind]) > 0.1 for kind in ("Java", "workers", "driver"))
        parts = sum(float(row[kind]) for kind in ("Java", "workers", "driver", "rest"))
        assert abs(parts - float(row["all"])) < 0.3
    assert "the same number of pixels" in (tmp_path / "compare.md").read_text()


def test_a_cluster_of_two_executors_and_two_ranks_label_all_tiles(tmp_path):
    files = make_files(tmp_path, count=3, size=128, tile=64, jobs=1)
    setups = [Setup("spark cluster", 2, 1), Setup("mpi", 1, 2)]
    paths = [scene.image for scene in files]
    runs = measure_scaling(setups, paths, "published", 64, rounds=1, folder=tmp_path)
    for run in runs:
        assert run.record.tiles == 12
        assert len(run.record.units) == len(runs[0].record.units) > 0
        # No record of an earlier run is left.
        assert run.record.begin > run.cost.started
        assert all(unit.read_s > 0 and unit.label_s > 0 for unit in run.record.units)
        assert run.cost.first_file_s is not None

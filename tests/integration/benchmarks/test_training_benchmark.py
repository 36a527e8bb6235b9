"""The training benchmark on two real ranks, with a tiny model."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from benchmarks.common.report import Report
from benchmarks.training.efficiency import (
    ALONE,
    APART,
    GLOO,
    efficiency_table,
    measure_efficiency,
    repetitions_table,
    summarize,
)
from benchmarks.training.ranks.workload import Workload

TINY = Workload("tiny", (8, 16), batch=1, tile=32)


def test_ranks_are_measured_in_turn_and_their_bytes_are_those_of_a_ring(tmp_path: Path) -> None:
    own = sorted(os.sched_getaffinity(0))
    done = measure_efficiency([TINY], 0.1, 2, [ALONE, APART, GLOO], (own[0], own[-1]))
    assert [(r.number, r.setup) for r in done] == [
        (number, setup) for number in (0, 1) for setup in (ALONE, APART, GLOO)
    ]
    for repetition in done:
        m = repetition.measured
        assert m.images == m.steps * m.ranks
        assert m.ranks == (1 if repetition.setup == ALONE else 2)
        if repetition.setup == GLOO:
            # For two ranks the ring's theory is the gradient's size; the rest is agreements.
            size = repetition.gradient_bytes * m.steps
            assert all(size <= sent < 1.2 * size for sent in m.sent), (m.sent, size)
            assert m.waiting_s > 0
        else:
            assert m.sent == (0,) * m.ranks
    rows = summarize(done)
    report = Report(tmp_path, "test")
    tables = {"runs": repetitions_table(done), "efficiency": efficiency_table(rows, 2)}
    report.write("efficiency", "Two cores", "A test.", tables)
    with open(tmp_path / "efficiency.csv", newline="") as file:
        assert [row["on"] for row in csv.DictReader(file)] == [ALONE, APART, GLOO]

"""Command line of the labelling benchmark: `python -m benchmarks.labelling --help`."""

from __future__ import annotations

from benchmarks.common.cli import RoundsOption, make_app
from benchmarks.common.report import Report
from benchmarks.labelling.compare import compare
from benchmarks.labelling.estimate import estimate
from benchmarks.labelling.options import DataOption
from benchmarks.labelling.scale import large, scale
from benchmarks.labelling.simulation.estimate import Place


def everything(report: Report, rounds: RoundsOption = 3, data: DataOption = None) -> None:
    """Run the commands below one after the other; each has its own options."""
    compare(report, rounds=rounds, data=data)
    scale(report, rounds=rounds, data=data)
    large(report, rounds=rounds, data=data)
    estimate(report, Place())


app = make_app("labelling", compare, scale, large, estimate, default=everything)

if __name__ == "__main__":
    app()

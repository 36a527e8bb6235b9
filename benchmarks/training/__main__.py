"""Command line of the training benchmark: `python -m benchmarks.training --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.common.report import Report
from benchmarks.training.efficiency import efficiency
from benchmarks.training.model import model
from benchmarks.training.overhead import overhead
from benchmarks.training.table import table
from benchmarks.training.tracking import tracking


def everything(report: Report) -> None:
    """Run the commands below one after the other; each has its own options."""
    for command in (efficiency, table, overhead, tracking, model):
        command(report)


app = make_app("training", efficiency, table, overhead, tracking, model, default=everything)

if __name__ == "__main__":
    app()

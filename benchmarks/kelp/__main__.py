"""Command line of the benchmark of kelp tiles: `python -m benchmarks.kelp --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.common.report import Report
from benchmarks.kelp.flow import flow
from benchmarks.kelp.groups import groups
from benchmarks.kelp.ladder import ladder


def everything(report: Report) -> None:
    """Run the commands below one after the other; each has its own options."""
    for command in (flow, groups, ladder):
        command(report)


app = make_app("kelp", flow, groups, ladder, default=everything)

if __name__ == "__main__":
    app()

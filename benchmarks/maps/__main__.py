"""Command line of the benchmark of maps: `python -m benchmarks.maps --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.maps.baseline import baseline
from benchmarks.maps.clouds import clouds
from benchmarks.maps.decisions import decisions
from benchmarks.maps.gaps import gaps
from benchmarks.maps.report_picture import picture
from benchmarks.maps.seams import seams
from benchmarks.maps.speed import speed

app = make_app("maps", speed, seams, decisions, gaps, clouds, baseline, picture)

if __name__ == "__main__":
    app()

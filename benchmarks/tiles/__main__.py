"""Command line of the benchmark of tiles: `python -m benchmarks.tiles --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.tiles.intake import intake

app = make_app("tiles", default=intake)

if __name__ == "__main__":
    app()

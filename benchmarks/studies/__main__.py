"""Command line of the small versions of studies: `python -m benchmarks.studies --help`."""

from __future__ import annotations

from benchmarks.common.cli import make_app
from benchmarks.studies.small import studies

app = make_app("studies", studies, default=studies)

if __name__ == "__main__":
    app()

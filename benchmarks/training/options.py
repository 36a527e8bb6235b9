"""Options of the training benchmark's commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from benchmarks.training.ranks.workload import Workload

RepetitionsOption = Annotated[int, typer.Option(min=1, help="Measurements; their median counts.")]
SecondsOption = Annotated[float, typer.Option(min=0.01, help="Length of one measurement.")]
TileOption = Annotated[
    int | None, typer.Option(min=32, help="Height and width of a tile; default: the model's.")
]
BatchOption = Annotated[int | None, typer.Option(min=1, help="Batch of a rank; default: model's.")]


def resized(workload: Workload, tile: int | None, batch: int | None) -> Workload:
    """Return a workload with another tile or batch, if these are given."""
    return replace(workload, tile=tile or workload.tile, batch=batch or workload.batch)

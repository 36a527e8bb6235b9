"""The parts of `make bench`: name, what it measures, and the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.results import Measurement
from benchmarks.suite import labelling, models

Measure = Callable[[bool, Path], list[Measurement]]
"""Function from whether the run is short, and the folder for data and files, to measurements.

The name of each measurement begins with the part's name and a colon."""


@dataclass(frozen=True)
class Part:
    """A part of the benchmarks."""

    name: str
    title: str
    measure: Measure


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("table-1", "Labelling by processes, as the paper's Table I", labelling.table_1),
        Part("table-2", "Labelling by Spark, as the paper's Table II", labelling.table_2),
        Part("table-3", "Training on ranks, as the paper's Table III", models.table_3),
        Part("labelling", "Labelling against the published pipeline", labelling.pipelines),
        Part("filters", "Filters against the published one", labelling.filters),
        Part("labels", "Labels against the truth, in the paper's measure", labelling.similarity),
        Part("input", "Input of a training against files in memory", models.input_speed),
        Part("maps", "Maps against tiles through predict", models.maps),
    )
}
"""All parts by name, in the order in which they run."""

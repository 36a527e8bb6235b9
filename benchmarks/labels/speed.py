"""Time of labelling one scene on one core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from autolabel import label_image
from autolabel.labels import Method
from benchmarks.common.report import table_of
from benchmarks.common.timing import one_core, times_in_turn
from benchmarks.labels.methods import (
    ILLUMINATION,
    METHODS,
    PUBLISHED,
    THRESHOLDS,
    WITH_BANDS,
    title,
)
from benchmarks.labels.scenes import BenchScene
from polynya.report.tables import Table

COPY = "copy"
"""Name of the copy of the image among the methods."""


def measure_speed(scene: BenchScene, rounds: int) -> dict[str, list[float]]:
    """Return seconds of each method (filter and thresholds), and of `COPY`, a copy of the image.

    A scene with other layers is labelled with them, too. There is a number for each round. Each
    round runs everything once, so that other load on the machine affects all methods.
    """
    target = np.empty_like(scene.observed)

    def label_by(method: Method) -> Callable[[], object]:
        return lambda: label_image(scene.observed, method=method, valid=scene.valid)

    tasks: dict[str, Callable[[], object]] = {COPY: lambda: np.copyto(target, scene.observed)}
    tasks |= {method: label_by(method) for method in METHODS}
    if scene.layers is not None:
        # Three more bands: near infrared, short waves and cirrus.
        tasks[WITH_BANDS] = lambda: label_image(
            scene.observed,
            method=ILLUMINATION,
            valid=scene.valid,
            layers=scene.layers,
            stretch=scene.stretch,
        )
    with one_core():
        return times_in_turn(tasks, rounds)


def speed_table(times: Mapping[str, Sequence[float]]) -> Table:
    """Best time in milliseconds, and relative to the published filter and to thresholds."""
    best = {name: min(own) for name, own in times.items()}
    return table_of(
        "Time of filter and labels, one core",
        best.items(),
        {
            "what": lambda row: "copy of the image" if row[0] == COPY else title(row[0]),
            "ms": lambda row: f"{1000 * row[1]:.2f}",
            "/ published": lambda row: f"{row[1] / best[PUBLISHED]:.3f}",
            "/ thresholds": lambda row: f"{row[1] / best[THRESHOLDS]:.3f}",
        },
    )

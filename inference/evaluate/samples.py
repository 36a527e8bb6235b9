"""Metrics of samples: a table of them all, and a CSV file with a row for each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from polynya.errors import RecipeError
from polynya.recipe.metrics import MetricName, MetricsOptions
from polynya.report.tables import Table, write_table
from training.metrics.tally import Tally, cell

SCORES_FILE, SAMPLES_FILE = "scores.csv", "samples.csv"


def chosen_metrics(names: Sequence[str] | None) -> tuple[MetricName, ...]:
    """Check the names of metrics that a user gives.

    Raises:
        RecipeError: There is no such metric.
    """
    known = get_args(MetricName)
    for name in names or ():
        if name not in known:
            raise RecipeError(f"There is no metric '{name}'; take some of {', '.join(known)}.")
    return cast("tuple[MetricName, ...]", tuple(names or ()))


def with_metrics(options: MetricsOptions, names: Sequence[MetricName]) -> MetricsOptions:
    """Replace the further metrics by those of a user, if there are any."""
    return options.model_copy(update={"further": tuple(names)}) if names else options


def score_table(tallies: Mapping[str, Tally], samples: str) -> Table:
    """Table of every metric: of all pixels together, and as the mean over samples.

    Args:
        tallies: By method.
        samples: What the samples are, such as "tiles".
    """
    rows = []
    for method, tally in tallies.items():
        together, per_image = tally.together(), tally.per_image()
        for metric in tally.metrics:
            pair = (cell(together[metric.overall]), cell(per_image[metric.overall]))
            rows.append((metric.heading, method, *pair))
    columns = ("score", "method", "all pixels together", f"mean over {samples}")
    return Table("All scores", columns, tuple(rows))


def write_samples(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a CSV file with a row for each sample; an undefined value is empty.

    Args:
        path: File to write.
        rows: Cells by column. Methods without probabilities lack some columns.
    """
    write_table(path, list(dict.fromkeys(name for row in rows for name in row)), rows)

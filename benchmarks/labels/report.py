"""Tables of label accuracy: for the terminal, for Markdown, and as CSV for computations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from benchmarks.common.report import Report, percent, table_of
from benchmarks.labels.methods import THRESHOLDS, title
from benchmarks.labels.scoring import (
    SceneResult,
    class_scores,
    contaminated,
    loss,
    mean_right,
    methods_of,
    most_harmed,
    of_set,
    of_sky,
    total_counts,
    worst,
)
from benchmarks.labels.sets import SETS
from data_samples import SKY_KINDS
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

Results = Sequence[SceneResult]

_NO_LABEL = "no label"


def write_report(results: Results, report: Report) -> None:
    """Print the tables, and write them to `labels.md` and as CSV files."""
    tables = [
        overview_table(results),
        *(set_table(results, name) for name in set_names(results)),
        harm_table(results),
        *(confusion_table(results, method) for method in methods_of(results)),
        recall_table(results),
    ]
    files = {
        "accuracy": accuracy_rows(results),
        "worse": harm_table(results),
        "confusion": confusion_rows(results),
        "recall": recall_table(results),
        "scenes": scene_rows(results),
    }
    seeds = [result.spec.seed for result in results]
    pixels = sum(result.pixels for result in results)
    about = (
        f"{len(results)} scenes of the seeds {min(seeds)} to {max(seeds)}, {pixels / 1e6:.1f}"
        " million pixels with data. A mean is over scenes; beside it, in brackets, stands the worst"
        " scene."
    )
    report.write("labels", "Labels against the truth", about, files, tables)


def set_names(results: Results) -> list[str]:
    """Sets that occur, in the order of `SETS`."""
    return [name for name in SETS if of_set(results, name)]


def overview_table(results: Results) -> Table:
    """Mean share of correct pixels under cloud and shadow: a row per set, a column per method."""
    methods = methods_of(results)
    rows = []
    for name in set_names(results):
        chosen = contaminated(of_set(results, name))
        rows.append((name, SETS[name].about, *(_mean_and_worst(chosen, m) for m in methods)))
    columns = ("set", "what", *map(title, methods))
    return Table("Contaminated scenes (shadow, cloud, both): pixels right, %", columns, tuple(rows))


def set_table(results: Results, name: str) -> Table:
    """Share of correct pixels in one set: one row per method, one column per kind of sky."""
    chosen = of_set(results, name)
    rows = [
        (title(method), *(_mean_and_worst(of_sky(chosen, sky), method) for sky in SKY_KINDS))
        for method in methods_of(results)
    ]
    sites, size = len({r.spec.seed for r in chosen}), chosen[0].spec.size
    heading = f"{name}: pixels right, % ({sites} sites of {size} px; {SETS[name].about})"
    return Table(heading, ("method", *SKY_KINDS), tuple(rows))


def harm_table(results: Results) -> Table:
    """How often and by how many percentage points methods are worse than thresholds alone."""
    filters = [method for method in methods_of(results) if method != THRESHOLDS]
    rows = []
    for name, method in product((*set_names(results), "all"), filters):
        chosen = of_set(results, name)
        for sky, under in (
            ("contaminated", contaminated(chosen)),
            ("clear", of_sky(chosen, "clear")),
        ):
            rows.append((name, title(method), sky, *_harm(under, method)))
    columns = ("set", "method", "sky", "scenes", "worse", "most points")
    heading = "Scenes on which a method is worse than thresholds alone, and by how much at most"
    return Table(heading, columns, tuple(rows))


def _harm(results: Results, method: str) -> tuple[str, str, str]:
    """Return the number of scenes, the number of worse scenes, and the greatest loss in points."""
    worse = sum(loss(result, method) > 0 for result in results)
    most = max(0.0, loss(most_harmed(results, method), method))
    return str(len(results)), str(worse), f"{100 * most:.2f}"


def confusion_table(results: Results, method: str) -> Table:
    """Share of each true class by label, over all contaminated pixels of all sets."""
    counts = total_counts(contaminated(results), method)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        (name, *(percent(share) for share in of_class), f"{pixels:,}")
        for name, of_class, pixels in zip(SEA_ICE.names, shares, counts.sum(axis=1), strict=True)
    ]
    heading = f"Confusion of {title(method)}, % of the true class (contaminated, all sets)"
    columns = ("truth \\ label", *SEA_ICE.names, _NO_LABEL, "pixels")
    return Table(heading, columns, tuple(rows))


def recall_table(results: Results) -> Table:
    """Share of each true class with the correct label, over contaminated scenes of each set."""
    rows = []
    for name, method in product((*set_names(results), "all"), methods_of(results)):
        chosen = contaminated(of_set(results, name))
        shares = class_scores(total_counts(chosen, method), "recall")
        rows.append((name, title(method), *map(percent, shares)))
    columns = ("set", "method", *SEA_ICE.names)
    return Table("Recall by class on contaminated scenes, %", columns, tuple(rows))


def accuracy_rows(results: Results) -> Table:
    """Mean and worst scene by set, method and sky, one number per cell."""
    rows = []
    for name, method in product(set_names(results), methods_of(results)):
        of_name = of_set(results, name)
        skies = {sky: of_sky(of_name, sky) for sky in SKY_KINDS}
        for sky, chosen in (skies | {"contaminated": contaminated(of_name)}).items():
            least = worst(chosen, method)
            mean, low = mean_right(chosen, method), least.right(method)
            numbers = (str(len(chosen)), percent(mean), percent(low), least.spec.name)
            rows.append((name, method, sky, *numbers))
    columns = ("set", "method", "sky", "scenes", "mean", "worst", "worst_scene")
    return Table("Pixels right, %", columns, tuple(rows))


def confusion_rows(results: Results) -> Table:
    """Counts of pixels by set, sky, method and true class."""
    rows = []
    for name, sky, method in product(set_names(results), SKY_KINDS, methods_of(results)):
        counts = total_counts(of_sky(of_set(results, name), sky), method)
        for of_class, pixels in zip(SEA_ICE.names, counts, strict=True):
            rows.append((name, sky, method, of_class, *map(str, pixels)))
    columns = ("set", "sky", "method", "truth", *SEA_ICE.names, _NO_LABEL)
    return Table("Confusion, pixels", columns, tuple(rows))


def scene_rows(results: Results) -> Table:
    """Share of correct pixels of each scene by each method."""

    def right_by(method: str) -> Callable[[SceneResult], str]:
        return lambda result: percent(result.right(method), digits=4)

    return table_of(
        "Pixels right by scene, %",
        results,
        {
            "set": lambda result: result.spec.set_name,
            "seed": lambda result: str(result.spec.seed),
            "sky": lambda result: result.spec.sky,
            "size": lambda result: str(result.spec.size),
            "pixels": lambda result: str(result.pixels),
            **{method: right_by(method) for method in methods_of(results)},
        },
    )


def _mean_and_worst(results: Results, method: str) -> str:
    low = worst(results, method).right(method)
    return f"{percent(mean_right(results, method))} ({percent(low)})"

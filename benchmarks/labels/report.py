"""Tables of the accuracy benchmark: for the terminal, for Markdown, and as CSV to compute on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common.tables import write_markdown
from benchmarks.labels.methods import THRESHOLDS, title
from benchmarks.labels.scoring import (
    SceneResult,
    contaminated,
    loss,
    mean_right,
    methods_of,
    most_harmed,
    of_set,
    of_sky,
    recall,
    total_counts,
    worst,
)
from benchmarks.labels.sets import SETS
from data_samples import SKY_KINDS
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import Table

Results = Sequence[SceneResult]

_NO_LABEL = "no label"


def write_report(results: Results, folder: Path, command: str) -> None:
    """Print the tables, and write them to `labels.md` and as CSV files.

    Args:
        results: All scenes.
        folder: Existing folder.
        command: What to run to get the same tables.
    """
    tables = [
        overview_table(results),
        *(set_table(results, name) for name in set_names(results)),
        harm_table(results),
        *(confusion_table(results, method) for method in methods_of(results)),
        recall_table(results),
    ]
    for table in tables:
        table.print()
    accuracy_rows(results).write_csv(folder / "accuracy.csv")
    harm_table(results).write_csv(folder / "worse.csv")
    confusion_rows(results).write_csv(folder / "confusion.csv")
    recall_table(results).write_csv(folder / "recall.csv")
    scene_rows(results).write_csv(folder / "scenes.csv")
    seeds = [result.spec.seed for result in results]
    pixels = sum(result.pixels for result in results)
    about = (
        f"{len(results)} scenes of the seeds {min(seeds)} to {max(seeds)}, {pixels / 1e6:.1f}"
        " million pixels with data. A mean is over scenes; beside it, in brackets, stands the worst"
        " scene."
    )
    write_markdown(folder / "labels.md", "Labels against the truth", about, command, tables)


def set_names(results: Results) -> list[str]:
    """Sets that occur, in the order of `SETS`."""
    return [name for name in SETS if of_set(results, name)]


def overview_table(results: Results) -> Table:
    """Mean share of pixels right under cloud and shadow: a row a set, a column a method."""
    methods = methods_of(results)
    rows = []
    for name in set_names(results):
        chosen = contaminated(of_set(results, name))
        rows.append((name, SETS[name].about, *(_mean_and_worst(chosen, m) for m in methods)))
    columns = ("set", "what", *map(title, methods))
    return Table("Contaminated scenes (shadow, cloud, both): pixels right, %", columns, tuple(rows))


def set_table(results: Results, name: str) -> Table:
    """Share of pixels right in one set: a row a method, a column a kind of sky."""
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
    rows = []
    for name in (*set_names(results), "all"):
        chosen = list(results) if name == "all" else of_set(results, name)
        for method in methods_of(results):
            if method != THRESHOLDS:
                rows.append(
                    (name, title(method), "contaminated", *_harm(contaminated(chosen), method))
                )
                rows.append((name, title(method), "clear", *_harm(of_sky(chosen, "clear"), method)))
    columns = ("set", "method", "sky", "scenes", "worse", "most points")
    heading = "Scenes on which a method is worse than thresholds alone, and by how much at most"
    return Table(heading, columns, tuple(rows))


def _harm(results: Results, method: str) -> tuple[str, str, str]:
    """Number of scenes, of those that are worse, and the greatest loss in percentage points."""
    worse = sum(loss(result, method) > 0 for result in results)
    most = max(0.0, loss(most_harmed(results, method), method))
    return str(len(results)), str(worse), f"{100 * most:.2f}"


def confusion_table(results: Results, method: str) -> Table:
    """Share of each true class by label, over all contaminated pixels of all sets."""
    counts = total_counts(contaminated(results), method)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        (name, *(_percent(share) for share in of_class), f"{pixels:,}")
        for name, of_class, pixels in zip(SEA_ICE.names, shares, counts.sum(axis=1), strict=True)
    ]
    heading = f"Confusion of {title(method)}, % of the true class (contaminated, all sets)"
    columns = ("truth \\ label", *SEA_ICE.names, _NO_LABEL, "pixels")
    return Table(heading, columns, tuple(rows))


def recall_table(results: Results) -> Table:
    """Share of each true class with the right label, over the contaminated pixels of each set."""
    rows = []
    for name in (*set_names(results), "all"):
        chosen = contaminated(results if name == "all" else of_set(results, name))
        for method in methods_of(results):
            shares = recall(total_counts(chosen, method))
            rows.append((name, title(method), *(_percent(share) for share in shares)))
    columns = ("set", "method", *SEA_ICE.names)
    return Table("Recall by class on contaminated scenes, %", columns, tuple(rows))


def accuracy_rows(results: Results) -> Table:
    """Mean and worst scene by set, method and sky, one number a cell."""
    rows = []
    for name in set_names(results):
        for method in methods_of(results):
            for sky in (*SKY_KINDS, "contaminated"):
                chosen = of_set(results, name)
                chosen = contaminated(chosen) if sky == "contaminated" else of_sky(chosen, sky)
                least = worst(chosen, method)
                mean, low = mean_right(chosen, method), least.right(method)
                numbers = (str(len(chosen)), _percent(mean), _percent(low), least.spec.name)
                rows.append((name, method, sky, *numbers))
    columns = ("set", "method", "sky", "scenes", "mean", "worst", "worst_scene")
    return Table("Pixels right, %", columns, tuple(rows))


def confusion_rows(results: Results) -> Table:
    """Counts of pixels by set, sky, method and true class."""
    rows = []
    for name in set_names(results):
        for sky in SKY_KINDS:
            for method in methods_of(results):
                counts = total_counts(of_sky(of_set(results, name), sky), method)
                for of_class, pixels in zip(SEA_ICE.names, counts, strict=True):
                    rows.append((name, sky, method, of_class, *map(str, pixels)))
    columns = ("set", "sky", "method", "truth", *SEA_ICE.names, _NO_LABEL)
    return Table("Confusion, pixels", columns, tuple(rows))


def scene_rows(results: Results) -> Table:
    """Share of pixels right of each scene by each method."""
    methods = methods_of(results)
    rows = []
    for result in results:
        spec = result.spec
        shares = (_percent(result.right(method), digits=4) for method in methods)
        place = (spec.set_name, str(spec.seed), spec.sky, str(spec.size), str(result.pixels))
        rows.append((*place, *shares))
    columns = ("set", "seed", "sky", "size", "pixels", *methods)
    return Table("Pixels right by scene, %", columns, tuple(rows))


def _mean_and_worst(results: Results, method: str) -> str:
    low = worst(results, method).right(method)
    return f"{_percent(mean_right(results, method))} ({_percent(low)})"


def _percent(share: float, digits: int = 2) -> str:
    return "" if np.isnan(share) else f"{100 * share:.{digits}f}"

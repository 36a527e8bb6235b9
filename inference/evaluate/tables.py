"""Tables of an evaluation, made of its `Results` alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from inference.evaluate.results import ALL, Group, Interval, Method, MethodScore, Results
from inference.evaluate.sources import images_title
from inference.evaluate.summary import LESS, MORE, RIGHT
from polynya.recipe.classes import ClassScheme
from polynya.report.pictures import confusion_grid
from polynya.report.tables import Table

Rows = Literal["truth", "predicted"]
"""What the rows of a confusion matrix are."""

_MEANS = ("mean_precision", "mean_recall", "mean_f1", "mean_iou")


def images_table(results: Results) -> Table:
    """Share of right pixels by the images that were seen: Table IV of the sea-ice paper."""
    group = results.groups[0]
    rows = [(images, *cells) for images, cells in _by_images(results, group)]
    title = f"Pixels right by images, % [95 % interval by {results.settings.resampled}]"
    return Table(title, ("images", *_families(results)), tuple(rows))


def cover_table(results: Results) -> Table:
    """The same by true cover of cloud and shadow: Table V of the sea-ice paper."""
    rows = [
        (group.title, f"{group.tiles}", images, *cells)
        for group in map(results.group, (MORE, LESS))
        if group is not None
        for images, cells in _by_images(results, group)
    ]
    title = f"Pixels right by cover, % [95 % interval by {results.settings.resampled}]"
    return Table(title, ("tiles with", "tiles", "images", *_families(results)), tuple(rows))


def _families(results: Results) -> list[str]:
    return list(dict.fromkeys(method.family for method in results.methods))


def _by_images(results: Results, group: Group) -> list[tuple[str, list[str]]]:
    """Cells of a group: a row for each kind of images, a column for each family."""
    found: dict[str, dict[str, str]] = {}
    for method, score in zip(results.methods, group.scores, strict=True):
        cell = _with_interval(score.right, score.intervals.get(RIGHT))
        found.setdefault(_images(method), {})[method.family] = cell
    families = _families(results)
    return [(images, [cells.get(f, "") for f in families]) for images, cells in found.items()]


def _images(method: Method) -> str:
    return images_title(method.images) if method.images else "as they are"


def method_table(results: Results) -> Table:
    """Scores of each method in each group: a row for each, with the ends of intervals."""
    single = [m.name for m in results.metrics if not m.per_class]
    names = [RIGHT, *_MEANS, *single]
    rows = []
    for group in results.groups:
        for score in group.scores:
            cells = [score.right, *(score.values.get(name) for name in names[1:])]
            row = [group.title, score.method, str(group.pixels), str(score.unlabelled)]
            for name, value in zip(names, cells, strict=True):
                assert not isinstance(value, list)
                ends = score.intervals.get(name, (None, None))
                row += [_share(value), *(_share(end) for end in ends)]  # type: ignore[arg-type]
            rows.append(tuple(row))
    columns = [c for name in names for c in (name, f"{name} low", f"{name} high")]
    return Table(
        "Scores with intervals",
        ("tiles", "method", "pixels", "without a label", *columns),
        tuple(rows),
    )


def comparison_table(results: Results, names: Sequence[str] = ()) -> Table:
    """Differences of methods, in points of percent.

    Args:
        results: The evaluation.
        names: Methods whose differences in right pixels of all tiles are shown; default: all
            methods, scores and groups.
    """
    chosen = [
        one
        for one in results.comparisons
        if not names
        or (one.group == ALL and one.score == RIGHT and {one.first, one.second} <= set(names))
    ]
    wanted = {group.name: group.title for group in results.groups}
    rows = [
        (
            wanted[one.group],
            one.score,
            one.first,
            one.second,
            _points(one.difference),
            *(_points(end) for end in one.interval),
            one.verdict,
        )
        for one in chosen
    ]
    columns = ("tiles", "score", "first", "second", "difference", "low", "high", "the first is")
    by = results.settings.resampled
    return Table(f"Differences in points, 95 % intervals by {by}", columns, tuple(rows))


def percent_table(results: Results, rows: Rows = "truth") -> Table:
    """Confusions in percent of the true class, of all methods and groups.

    Args:
        results: The evaluation.
        rows: What the rows are. With the truth in rows, each row adds up to 100; with the
            prediction in rows, as in the sea-ice paper, each column does.
    """
    found = []
    for group in results.groups:
        for score in group.scores:
            _, truths, predictions = confusion_grid(np.array(score.confusion), results.classes)
            shares = shares_of_truth(score, results.classes)
            titles, other = (truths, predictions)
            if rows == "predicted":
                shares, titles, other = shares.T, predictions, truths
            for title, cells in zip(titles, shares, strict=True):
                found.append((group.title, score.method, title, *map(_percent, cells)))
    corner = r"truth \ predicted" if rows == "truth" else r"predicted \ truth"
    return Table(
        f"Confusion, % of the true {'state' if results.classes.has_masks else 'class'}",
        ("tiles", "method", corner, *other),
        tuple(found),
    )


def shares_of_truth(score: MethodScore, classes: ClassScheme) -> np.ndarray:
    """Confusion matrix as shares of the true class, rows the truth; NaN for classes without any."""
    counts, _, _ = confusion_grid(np.array(score.confusion), classes)
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def calibration_table(results: Results) -> Table | None:
    """Bins of reliability diagrams; None if no method has probabilities."""
    rows = [
        (
            group.title,
            score.method,
            f"{one.low:.4f}",
            f"{one.high:.4f}",
            str(one.pixels),
            _share(one.confidence),
            _share(one.right),
        )
        for group in results.groups
        for score in group.scores
        for one in score.calibration or ()
    ]
    columns = ("tiles", "method", "from", "to", "pixels", "mean probability", "share right")
    return Table("Calibration", columns, tuple(rows)) if rows else None


def _with_interval(value: float | None, ends: Interval | list[Interval] | None) -> str:
    if value is None:
        return ""
    if ends is None or isinstance(ends, list) or ends[0] is None or ends[1] is None:
        return _percent(value)
    return f"{_percent(value)} [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def _percent(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{100 * value:.2f}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"

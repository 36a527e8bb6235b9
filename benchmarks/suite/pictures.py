"""The picture of a run: its figures beside the paper's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.results import Measurement
from benchmarks.suite import paper
from benchmarks.training.predict import PAPER_RUNS
from polynya.report.pictures import new_figure, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOAD_1 = paper.TABLE_2[1, 1]
_PAPER: Mapping[str, tuple[str, Mapping[int, float]]] = {
    "table-1": ("Table I: labelling by processes", paper.TABLE_1_SPEED_UP),
    "table-2": (
        "Table II: labelling by Spark",
        # Of several splits of the same number of cores, the one with the fewest executors.
        {
            executors * cores: _LOAD_1.reduce / row.reduce
            for (executors, cores), row in reversed(paper.TABLE_2.items())
        },
    ),
    "table-3": (
        "Table III: training on ranks",
        {run.ranks: run.speed_up for run in PAPER_RUNS},
    ),
}
"""Title and the paper's speed-ups by workers, for each table."""
_OURS, _THEIRS, _WORSE = "tab:blue", "tab:orange", "tab:red"


@plain
def draw_beside_paper(path: Path, measurements: Sequence[Measurement]) -> None:
    """Draw speed-ups beside the paper's three tables, and ratios to the baselines, as a PNG."""
    figure = new_figure(13, 9)
    first, second, third, last = figure.subplots(2, 2).ravel()
    for axis, part in zip((first, second, third), _PAPER, strict=True):
        _draw_speed_up(axis, part, measurements)
    _draw_ratios(last, measurements)
    figure.suptitle("Polynya beside the paper; bars are quartiles", fontsize=13)
    save_figure(figure, path)


def _draw_speed_up(axis: Axes, part: str, measurements: Sequence[Measurement]) -> None:
    title, papers = _PAPER[part]
    workers = sorted(papers)
    axis.plot(workers, workers, ":", color="grey", label="as many times as workers")
    axis.plot(workers, [papers[n] for n in workers], "s--", color=_THEIRS, label="paper")
    own = [(1, 1.0, 1.0, 1.0)] if any(m.name.startswith(f"{part}:") for m in measurements) else []
    for one in measurements:
        if one.name.startswith(f"{part}:") and one.name.endswith(", speed-up"):
            own.append((workers_of(one.name), one.median, *one.spread))
    own.sort()
    if own:
        lower, upper = [m - low for _, m, low, _ in own], [high - m for _, m, _, high in own]
        axis.errorbar(
            [n for n, *_ in own], [m for _, m, *_ in own], [lower, upper],
            fmt="o", capsize=5, color=_OURS, label="here",
        )  # fmt: skip
    axis.set_title(title, fontsize=11)
    axis.set_xlabel("workers")
    axis.set_ylabel("speed-up over one worker")
    axis.set_xticks(workers)
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left")


def workers_of(name: str) -> int:
    """Return the number of workers that a measurement's name tells: "2 ranks", "2 x 1"."""
    numbers = re.search(r": \D*(\d+)(?: x (\d+))?", name)
    if numbers is None:
        raise ValueError(f"no number of workers in {name!r}")
    return int(numbers[1]) * int(numbers[2] or 1)


def _draw_ratios(axis: Axes, measurements: Sequence[Measurement]) -> None:
    shown = [
        one
        for one in measurements
        if one.baseline is not None and not one.name.startswith(tuple(_PAPER))
    ]
    for place, one in enumerate(reversed(shown)):
        assert one.baseline is not None
        base = median(one.baseline.values)
        ratios = [
            v / base if one.better == "higher" else base / v for v in (one.median, *one.spread)
        ]
        low, high = sorted(ratios[1:])
        axis.barh(
            place, ratios[0] - 1, left=1, color=_OURS if ratios[0] >= 1 else _WORSE, alpha=0.7
        )
        axis.errorbar(
            ratios[0], place, xerr=[[max(ratios[0] - low, 0)], [max(high - ratios[0], 0)]],
            color="black", capsize=4,
        )  # fmt: skip
        axis.annotate(
            f" {ratios[0]:.2f}", (max(high, ratios[0], 1), place), va="center", fontsize=9
        )
    names = [f"{one.name}\nagainst {one.baseline.name}" for one in shown if one.baseline]
    axis.set_yticks(range(len(shown)), names[::-1], fontsize=8)
    axis.axvline(1, color="grey", linestyle=":")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_title("Times better than the baseline of the same run (logarithmic)", fontsize=11)
    axis.margins(x=0.15)
    axis.grid(axis="x", alpha=0.3)

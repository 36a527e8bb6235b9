"""Pictures of a score over the size of what was learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from polynya.report.pictures import new_figure, plain, save_figure

_LINE = 80
"""Characters of a title's line."""


@plain
def draw_curve(
    path: Path,
    sizes: Sequence[float],
    scores: Sequence[Sequence[float]],
    *,
    axes: tuple[str, str],
    title: str,
) -> None:
    """Draw a curve of means, with a bar of one standard deviation and every single score.

    Args:
        path: PNG file to write.
        sizes: Positions of the points; they are drawn on a logarithmic axis.
        scores: Scores of each point; NaN is left out.
        axes: Names of the axes.
        title: Title above the picture.
    """
    figure = new_figure(7.5, 5)
    axis = figure.subplots()
    known = [np.array([s for s in own if not np.isnan(s)]) for own in scores]
    at = [(size, own) for size, own in zip(sizes, known, strict=True) if len(own)]
    axis.errorbar(
        [size for size, _ in at],
        [own.mean() for _, own in at],
        [own.std(ddof=1) if len(own) > 1 else 0 for _, own in at],
        marker="o",
        capsize=5,
        color="black",
        label="mean and standard deviation",
    )
    for number, (size, own) in enumerate(at):
        label = "single trainings" if number == 0 else None
        axis.plot([size] * len(own), own, "x", color="tab:orange", label=label)
    axis.set_xscale("log")
    axis.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel(axes[0])
    axis.set_ylabel(axes[1])
    axis.grid(alpha=0.3)
    axis.legend(loc="best")
    figure.suptitle(fill(title, _LINE), fontsize=11)
    save_figure(figure, path)

"""The command that grows the judge: `python -m benchmarks.labels judge --help`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autolabel.filters.illumination.judge import (
    LEAST_PROOF,
    LEAST_PROOF_OF_ONE,
    MOST_OF_ONE,
    MUCH_OF_ONE,
    proven,
)
from benchmarks.common.cli import JobsOption
from benchmarks.common.report import Report
from benchmarks.common.workers import for_each_scene
from benchmarks.labels.judge.examples import CLEAR, View, find_examples, list_examples
from benchmarks.labels.judge.growing import Examples, grow, left_out, save
from data_samples import SKY_KINDS
from polynya.report.tables import Table


def judge(
    report: Report,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with s2_greenland, modis_sea_ice and modis_same_day; default: generated"
            " scenes alone."
        ),
    ] = None,
    sites: Annotated[int, typer.Option(min=1, help="Sites of each kind of ground.")] = 100,
    jobs: JobsOption = None,
) -> None:
    """Grow the judge of light, and measure it on each family of scenes that it hasn't seen."""
    specs = list_examples(None if data is None else data.resolve(), sites)
    found = for_each_scene(find_examples, specs, "Finding light", jobs)
    views = [view for scene in found for view in scene]
    examples = Examples.of(views)
    chance = left_out(examples)
    about = (
        f"{len(examples.benefit)} patches of light in {len(views)} views: scenes and crops, with"
        " infrared and without. Each family is judged by trees that have seen nothing of it."
        " Points of all labels of a view, mean and worst view: *all* if everything that was found"
        f" is removed, *judged* if only what has a chance of at least {LEAST_PROOF} is"
        f" ({LEAST_PROOF_OF_ONE} where one class has more than {MUCH_OF_ONE} of the patch), and no"
        f" class has more than {MOST_OF_ONE}, unless the short waves are too dark for cloud."
    )
    report.write("judge", "The judge of light", about, {"judge": judged_table(views, chance)})
    everything = np.ones(len(examples.benefit), np.bool_)
    save(grow(examples, everything), report.folder / "judge.npz")
    typer.echo(f"The judge is {report.folder / 'judge.npz'}")


def judged_table(views: Sequence[View], chance: NDArray[np.float64]) -> Table:
    """Compare, for each family, no judge with a judge that hasn't seen the family.

    Args:
        views: All views.
        chance: (N,), of the patches of all views, one view after another.
    """
    ends = np.cumsum([len(view.benefit) for view in views])
    by_view = np.split(chance, ends[:-1])
    families = sorted({view.family for view in views})
    rows = []
    for family, infrared, crops in product(families, (False, True), (False, True)):
        cells = []
        for sky in SKY_KINDS:
            chosen = [
                (view, proven(view.numbers, certain))
                for view, certain in zip(views, by_view, strict=True)
                if (view.family, view.infrared, view.crop > 0, view.sky)
                == (family, infrared, crops, sky)
            ]
            cells += _effects(chosen, clear=sky == CLEAR)
        if any(cells):
            name = "crops" if crops else "whole"
            rows.append((family, "infrared" if infrared else "colours", name, *cells))
    columns = ["family", "sees", "views"]
    for sky in SKY_KINDS:
        what = f"{sky}, changed" if sky == CLEAR else sky
        columns += [f"{what}: all", f"{what}: judged"]
    return Table("Effect of removing light, points: mean (worst)", tuple(columns), tuple(rows))


def _effects(chosen: Sequence[tuple[View, NDArray[np.bool_]]], *, clear: bool) -> list[str]:
    """Return the effect without and with the judge; what changes if the sky is clear."""
    if not chosen:
        return ["", ""]
    values = [(view.changed if clear else view.benefit, kept) for view, kept in chosen]
    worst = np.max if clear else np.min

    def cell(effects: Iterable[float]) -> str:
        numbers = np.array(list(effects))
        return f"{numbers.mean():.2f} ({worst(numbers):.1f})"

    return [cell(v.sum() for v, _ in values), cell(v[kept].sum() for v, kept in values)]

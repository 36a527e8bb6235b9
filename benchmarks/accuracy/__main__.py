"""Command line of the accuracy benchmark: `python -m benchmarks.accuracy --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accuracy.models import MODELS, Workplace, train
from benchmarks.accuracy.pictures import draw_worst
from benchmarks.accuracy.real import map_real
from benchmarks.accuracy.report import GOAL_SETS, write_report
from benchmarks.accuracy.scoring import score_all
from benchmarks.accuracy.tables import tables
from benchmarks.common.cli import JobsOption, QuickOption, make_app
from benchmarks.common.report import Report
from benchmarks.labels.sets import (
    QUICK_SITES,
    SETS,
    SceneSet,
    SceneSpec,
    Split,
    SplitOption,
    choose_sets,
    list_scenes,
)

GOAL_SITES, OTHER_SITES = 6, 2
"""Sites of a set with a goal, and of a set without; each site is seen under four skies."""

LEFT_OUT = ("size-4096",)
"""Sets that are not run by default: they take longer than all other sets together."""

QUICK_SIZE = 128


def accuracy(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Sites of each set; default: {GOAL_SITES} of the sets with a goal,"
            f" {OTHER_SITES} of the others.",
        ),
    ] = None,
    sets: Annotated[
        str,
        typer.Option(
            help=f"Names, separated by commas, of {', '.join(SETS)}; default: all but"
            f" {', '.join(LEFT_OUT)}."
        ),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with modis_sea_ice, to map a real scene; default: none."),
    ] = None,
    quick: QuickOption = False,
    jobs: JobsOption = None,
) -> None:
    """Train models on clear scenes; score the models and the filters on scenes under another sky.

    A second run keeps finished scenes, shards, models and scores. To start from the beginning,
    remove the folder.
    """
    specs = list_specs(choose_sets(sets), split, sites, quick, all_sets=not sets)
    place = Workplace(report.folder.resolve(), quick)
    trainings = {model: train(model, place, jobs) for model in MODELS}
    results = score_all(specs, MODELS, place, jobs)
    write_report(results, trainings, report)
    draw_worst(results, place)
    if data is not None:
        map_real(data, MODELS, place, report)
    typer.echo(f"Tables and pictures are in {place.out}")


def list_specs(
    sets: list[SceneSet], split: Split, sites: int | None, quick: bool, *, all_sets: bool
) -> list[SceneSpec]:
    """Return the scenes of a run: of the named sets, else of the default sets."""
    if all_sets:
        sets = [s for s in sets if s.name not in LEFT_OUT and (not quick or s.name in GOAL_SETS)]
    specs: list[SceneSpec] = []
    for scene_set in sets:
        usual = GOAL_SITES if scene_set.name in GOAL_SETS else OTHER_SITES
        count = sites or (QUICK_SITES if quick else usual)
        specs += list_scenes([scene_set], split, sites=count, size=QUICK_SIZE if quick else None)
    return specs


app = make_app("accuracy", tables, default=accuracy)

if __name__ == "__main__":
    app()

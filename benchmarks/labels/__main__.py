"""Command line of the label benchmark: `python -m benchmarks.labels --help`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.labels.sets import QUICK_SITES, QUICK_SIZE, SETS, Split, choose_sets, list_scenes
from polynya.errors import EXIT_CODE, PolynyaError
from polynya.progress import console
from polynya.storage.files import output_folder

app = typer.Typer(add_completion=False, rich_markup_mode=None)

OUT = Path("runs/bench/labels")

SplitOption = Annotated[
    Split, typer.Option(help="Sites: heldout, or dev, on which methods may be tuned.")
]
SitesOption = Annotated[
    int | None, typer.Option(min=1, help="Sites of each set; default: the set's own number.")
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; default: the number of cores.")
]
OutOption = Annotated[Path, typer.Option(help="Folder for tables and pictures; made if missing.")]
QuickOption = Annotated[
    bool,
    typer.Option(
        "--quick", help=f"A smoke run: {QUICK_SITES} sites a set, {QUICK_SIZE} px. No result."
    ),
]


@app.callback(invoke_without_command=True)
def accuracy(
    context: typer.Context,
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    sets: Annotated[
        str, typer.Option(help=f"Names, separated by commas; default: all of {', '.join(SETS)}.")
    ] = "",
    quick: QuickOption = False,
    jobs: JobsOption = None,
    out: OutOption = OUT,
) -> None:
    """Label scenes whose truth is known by every method; tables and pictures of how right it is.

    The commands below measure the paper's agreement, and speed; each has options of its own.
    """
    if context.invoked_subcommand is not None:
        return
    from benchmarks.common.workers import for_each_scene
    from benchmarks.labels.pictures import draw_worst_scenes
    from benchmarks.labels.report import write_report
    from benchmarks.labels.scoring import score_scene

    with _told_errors():
        sites, size = (sites or QUICK_SITES, QUICK_SIZE) if quick else (sites, None)
        specs = list_scenes(choose_sets(sets), split, sites=sites, size=size)
        folder = output_folder(out)
        results = for_each_scene(score_scene, specs, "Labelling scenes", jobs)
        write_report(results, folder, _command())
        draw_worst_scenes(results, folder, jobs)
        typer.echo(f"Tables and pictures are in {folder}")


@app.command()
def agreement(
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    quick: QuickOption = False,
    jobs: JobsOption = None,
    out: OutOption = OUT,
) -> None:
    """Measure how label images agree with the truth, as the paper does (SSIM), and by pixel."""
    from benchmarks.common.workers import for_each_scene
    from benchmarks.labels.agreement import measure_agreement, write_agreement

    with _told_errors():
        sites, size = (sites or QUICK_SITES, QUICK_SIZE) if quick else (sites, None)
        specs = list_scenes([SETS["standard"]], split, sites=sites, size=size)
        folder = output_folder(out)
        scenes = for_each_scene(measure_agreement, specs, "Comparing scenes", jobs)
        write_agreement(scenes, folder, _command())


@app.command()
def speed(
    split: SplitOption = Split.HELDOUT,
    size: Annotated[int, typer.Option(min=16, help="Height and width in pixels.")] = 2048,
    sky: Annotated[str, typer.Option(help="clear, shadow, cloud or both.")] = "both",
    rounds: Annotated[int, typer.Option(min=1, help="The best of so many counts.")] = 15,
    out: OutOption = OUT,
) -> None:
    """Time every method, thresholds alone and a copy of the image on one core."""
    from benchmarks.labels.scenes import make_bench_scene
    from benchmarks.labels.speed import measure_speed, write_speed

    with _told_errors():
        (spec,) = list_scenes([SETS["standard"]], split, sites=1, size=size, skies=[sky])
        folder = output_folder(out)
        times = measure_speed(make_bench_scene(spec), rounds)
        about = f"Scene {spec.name}, {size} x {size} pixels, one core, best of {rounds} after one."
        write_speed(times, about, folder, _command())


@app.command()
def real(
    data: Annotated[
        Path, typer.Option(help="Folder with the images: s2_greenland and modis_sea_ice.")
    ],
    water: Annotated[int, typer.Option(help="Greatest brightness of open water.")] = 30,
    thick: Annotated[int, typer.Option(help="Least brightness of thick ice.")] = 205,
    out: OutOption = OUT,
) -> None:
    """Label real scenes by every method: shares of classes, and pictures."""
    from benchmarks.labels.real import measure_real, write_real

    with _told_errors():
        folder = output_folder(out)
        write_real(measure_real(data, water, thick), folder, _command())
        typer.echo(f"Tables and pictures are in {folder}")


def _command() -> str:
    return " ".join(["python -m benchmarks.labels", *sys.argv[1:]])


@contextmanager
def _told_errors() -> Iterator[None]:
    """What a user can mend ends the program with its sentence."""
    try:
        yield
    except PolynyaError as error:
        console.print(f"Error: {error}", markup=False, soft_wrap=True)
        sys.exit(EXIT_CODE)


if __name__ == "__main__":
    app()

"""Command line of the label benchmark: `python -m benchmarks.labels --help`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.browser import DESKTOP
from benchmarks.common.cli import JobsOption, QuickOption, make_app
from benchmarks.common.report import Report
from benchmarks.common.scenes import LARGE_SIZE
from benchmarks.common.workers import for_each_scene
from benchmarks.labels.agreement import agreement_table, measure_agreement
from benchmarks.labels.calibration import (
    calibration_table,
    measure_calibration,
    sure_table,
)
from benchmarks.labels.judge.command import judge
from benchmarks.labels.known_light import known_table, measure_known
from benchmarks.labels.pictures import draw_worst_scenes
from benchmarks.labels.real.judges import judge_all
from benchmarks.labels.real.labelling import BRIGHT, DARK
from benchmarks.labels.report import write_report
from benchmarks.labels.scenes import make_bench_scene
from benchmarks.labels.scoring import score_scene
from benchmarks.labels.sets import (
    CONTAMINATED,
    QUICK_SITES,
    QUICK_SIZE,
    SETS,
    SceneSet,
    SceneSpec,
    SitesOption,
    Split,
    SplitOption,
    choose_sets,
    list_scenes,
)
from benchmarks.labels.speed import measure_speed, speed_table
from benchmarks.labels.suggested import (
    limits_table,
    list_season_scenes,
    score_season_scene,
    season_table,
    sureness_table,
)
from benchmarks.labels.tuner import draw_page, measure_page, page_tables


def accuracy(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    sets: Annotated[
        str, typer.Option(help=f"Names, separated by commas; default: all of {', '.join(SETS)}.")
    ] = "",
    bands: Annotated[
        bool, typer.Option("--bands", help="Also run the illumination filter with infrared bands.")
    ] = False,
    quick: QuickOption = False,
    jobs: JobsOption = None,
) -> None:
    """Label scenes with truth by every method; make tables and pictures of the accuracy.

    The commands below measure agreement as in the paper, and speed; each has its own options.
    """
    specs = _specs(choose_sets(sets), split, sites, quick)
    score = partial(score_scene, with_bands=bands)
    results = for_each_scene(score, specs, "Labelling scenes", jobs)
    write_report(results, report)
    draw_worst_scenes(results, report.folder, jobs)
    typer.echo(f"Tables and pictures are in {report.folder}")


def agreement(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    quick: QuickOption = False,
    jobs: JobsOption = None,
) -> None:
    """Measure how well label images agree with the truth: by SSIM (as the paper) and by pixel."""
    specs = _specs([SETS["standard"]], split, sites, quick)
    scenes = for_each_scene(measure_agreement, specs, "Comparing scenes", jobs)
    about = (
        "Means over scenes. SSIM (Wang et al. 2004, 11 x 11 Gaussian window, mean of the bands)"
        " compares label images in the classes' colours. The paper reports an SSIM of 89 % for"
        " original and 99.64 % for filtered images, on its own scenes and manual labels."
    )
    tables = {"agreement": agreement_table(scenes)}
    report.write("agreement", "Automatic labels and truth", about, tables)


def calibration(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    sets: Annotated[
        str, typer.Option(help=f"Names, separated by commas; default: all of {', '.join(SETS)}.")
    ] = "",
    quick: QuickOption = False,
    jobs: JobsOption = None,
) -> None:
    """Compare the confidence of the illumination filter with the share of labels that are right."""
    specs = _specs(choose_sets(sets), split, sites, quick)
    found = for_each_scene(measure_calibration, specs, "Comparing confidence", jobs)
    scenes = [one for both in found for one in both]
    about = (
        f"{len(specs)} scenes under all skies; bins of confidence. Every pixel counts the same"
        " within a set."
    )
    tables = {"calibration": calibration_table(scenes), "sure": sure_table(scenes)}
    report.write("calibration", "Confidence and truth", about, tables)


_GROUNDS = "young", "polynya", "ponds", "ridges", "brash", "nilas", "pack"
KNOWN_SETS = ",".join(["standard", *(f"spectral-{name}" for name in _GROUNDS)])
"""Sets that `known_light` takes by default."""


def known_light(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: SitesOption = None,
    sets: Annotated[
        str, typer.Option(help="Names, separated by commas, of sets whose light is known.")
    ] = KNOWN_SETS,
    jobs: JobsOption = None,
) -> None:
    """Compare the filter with labels after the true haze, the true shadow or both are taken out."""
    specs = list_scenes(choose_sets(sets), split, sites=sites, skies=CONTAMINATED)
    results = for_each_scene(measure_known, specs, "Labelling scenes", jobs)
    about = (
        f"{len(specs)} scenes. With known haze, known shadow or both (known light), the true fields"
        " are taken out of each pixel and thresholds label what is left."
    )
    tables = {"known": known_table(results)}
    report.write("known-light", "Labels if the light were known", about, tables)


def speed(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    size: Annotated[int, typer.Option(min=16, help="Height and width in pixels.")] = 2048,
    sky: Annotated[str, typer.Option(help="clear, shadow, cloud or both.")] = "both",
    set_name: Annotated[
        str,
        typer.Option("--set", help="Set of the scene; spectral-...: with bands, too."),
    ] = "standard",
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the best counts.")] = 15,
) -> None:
    """Time every method, thresholds alone and a copy of the image on one core."""
    (scene_set,) = choose_sets(set_name)
    (spec,) = list_scenes([scene_set], split, sites=1, size=size, skies=[sky])
    times = measure_speed(make_bench_scene(spec), rounds)
    about = (
        f"Scene {spec.name}, {size} x {size} pixels, one core, best of {rounds} rounds after a"
        " warm-up."
    )
    report.write("speed", "Time of labels", about, {"speed": speed_table(times)})


def suggest(
    report: Report,
    split: SplitOption = Split.HELDOUT,
    sites: Annotated[int, typer.Option(min=1, help="Scenes of each season.")] = 5,
    size: Annotated[int, typer.Option(min=64, help="Height and width in pixels.")] = 1024,
    jobs: JobsOption = None,
) -> None:
    """Compare suggested limits with the best ones, in the light of four seasons."""
    results = {
        sky: for_each_scene(
            score_season_scene,
            list_season_scenes(split, sites, size, sky),
            f"Suggesting, sky {sky}",
            jobs,
        )
        for sky in ("clear", "mixed")
    }
    about = (
        "Limits that `polynya thresholds --suggest` proposes for each scene alone, without truth;"
        " the best limits of each scene, found by trying all pairs against the truth; the profile"
        " that ships for the season; the paper's limits; Otsu's thresholds for three classes. No"
        " filter runs. A suggestion is wrong if it loses more than one point against the best."
    )
    tables = {f"suggest-{sky}": season_table(found) for sky, found in results.items()}
    tables["suggest-sureness"] = sureness_table(list(results.values()))
    tables["suggest-limits"] = limits_table(results["clear"])
    report.write("suggest", "Suggested limits", about, tables)


def tuner(
    report: Report,
    size: Annotated[
        int, typer.Option(min=2560, help="Height and width of the scene in pixels.")
    ] = LARGE_SIZE,
    data: Annotated[Path, typer.Option(help="Folder that keeps the scene.")] = Path(
        "runs/bench/data"
    ),
) -> None:
    """Time the page of `polynya thresholds` in Chromium on a large scene, and draw its pictures."""
    about = (
        f"One scene of {size} x {size} pixels, 8-bit RGB in deflated blocks of 256 pixels, with"
        f" overviews and without; a window of {DESKTOP} x 900 pixels of headless Chromium, drawn by"
        " the processor. A limit is moved by a key; the time ends with the frame after the label."
    )
    report.write(
        "tuner", "The page of polynya thresholds", about, page_tables(measure_page(data, size))
    )
    for path in draw_page(report.folder):
        typer.echo(f"Picture: {path}")


def real(
    report: Report,
    data: Annotated[
        Path,
        typer.Option(help="Folder with s2_greenland, modis_sea_ice and modis_same_day."),
    ],
    water: Annotated[int, typer.Option(help="Greatest brightness of open water.")] = DARK,
    thick: Annotated[int, typer.Option(help="Least brightness of thick ice.")] = BRIGHT,
) -> None:
    """Judge every method by real pictures: simulated skies, same day, clear pictures, two days."""
    judge_all(data, report, water, thick)
    typer.echo(f"Tables and pictures are in {report.folder}")


def _specs(sets: list[SceneSet], split: Split, sites: int | None, quick: bool) -> list[SceneSpec]:
    if quick:
        return list_scenes(sets, split, sites=sites or QUICK_SITES, size=QUICK_SIZE)
    return list_scenes(sets, split, sites=sites)


app = make_app(
    "labels",
    agreement,
    calibration,
    known_light,
    speed,
    suggest,
    tuner,
    real,
    judge,
    default=accuracy,
)

if __name__ == "__main__":
    app()

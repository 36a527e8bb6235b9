"""Tables IV and V of the sea-ice paper on generated scenes: `benchmarks.accuracy tables`.

Two U-Nets learn from the same images: "Man" from the truth, in the place of people's labels, and
"Auto" from labels of filter and thresholds. Both are scored on scenes that neither has seen, on
original and on filtered images, on tiles with more and with less cloud and shadow.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.accuracy.models import quick_recipe
from benchmarks.common.cli import JobsOption, QuickOption
from benchmarks.common.commands import ROOT, run
from benchmarks.common.report import Report
from benchmarks.common.workers import for_each_scene
from data_samples import SKY_KINDS, make_scene
from data_samples.write import write_scene
from inference.evaluate.results import ALL, RESULTS_FILE, Results, read_results
from inference.evaluate.summary import LESS, MORE
from inference.evaluate.tables import cover_table, images_table
from polynya.recipe.base import STEM
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.report.tables import Table
from polynya.storage.files import output_folder
from training.model_folder.folder import CARD_FILE

MAN, AUTO = "Man", "Auto"
ORIGINAL, FILTERED = "original", "illumination"

PAPER = {
    (ALL, ORIGINAL): (91.39, 90.18),
    (ALL, FILTERED): (98.40, 98.97),
    (MORE, ORIGINAL): (88.74, 79.91),
    (MORE, FILTERED): (98.91, 99.28),
    (LESS, ORIGINAL): (92.27, 93.60),
    (LESS, FILTERED): (98.23, 98.87),
}
"""Accuracy of U-Net-Man and U-Net-Auto in the paper's Tables IV and V, %."""
PAPER_SSIM = {ORIGINAL: 89.0, FILTERED: 99.64}
"""Structural similarity of the paper's labels to manual ones, %, without and after its filter."""

_TRAINING, _HELD_OUT = 61_000, 62_000
"""First seeds; no other benchmark uses them."""
_EQUAL = 1.0
"""Points of accuracy within which the paper calls its models very similar."""


@dataclass(frozen=True)
class SiteSpec:
    """A site to make; small enough to send to a worker."""

    seed: int
    sky: str
    size: int
    folder: Path


def tables(
    report: Report,
    scenes: Annotated[int, typer.Option(min=4, help="Scenes to train on.")] = 16,
    held_out: Annotated[int, typer.Option(min=4, help="Scenes to score.")] = 12,
    size: Annotated[int, typer.Option(min=64, help="Their height and width in pixels.")] = 512,
    quick: QuickOption = False,
    jobs: JobsOption = None,
) -> None:
    """Train "Man" (true labels) and "Auto" (own labels); print the paper's Tables IV and V.

    Of the scenes, a quarter each is under a clear sky, shadow, cloud and both. A second run keeps
    what is finished; to begin again, remove the folder.
    """
    if quick:
        scenes, held_out, size = 8, 4, 192
    out = report.folder
    train = _write_sites(out / "training", _TRAINING, scenes, size, jobs)
    score = _write_sites(out / "held_out", _HELD_OUT, held_out, size, jobs)
    recipe = load_recipe(ROOT / "benchmarks/accuracy/tables.yaml")
    auto = quick_recipe(recipe) if quick else recipe
    people = auto.label.model_copy(update={"raster": f"{STEM}_labels.tif"})
    man = auto.model_copy(update={"label": people})
    for name, own in ((MAN, man), (AUTO, auto)):
        _train(name, own, train, out, jobs)
    models = [word for n in (MAN, AUTO) for word in ("--model", f"{n}={out / 'models' / n}")]
    images = ["--images", ORIGINAL, "--images", FILTERED]
    metrics = ["--metric", "ssim", "--metric", "calibration_error"]
    evaluation = out / "evaluation"
    run(
        ["polynya", "evaluate", "--scenes", *map(str, score), *models, *images, *metrics, "--rows",
         "predicted", "--out", str(evaluation)]
    )  # fmt: skip
    results = read_results(evaluation / RESULTS_FILE)
    about = (
        f"{len(train)} generated scenes of {size} x {size} pixels trained both U-Nets, and"
        f" {len(results.scenes)} others are scored."
    )
    about = " ".join([about, *results.notes])
    files = {
        "table_iv": images_table(results),
        "table_v": cover_table(results),
        "against_the_paper": paper_table(results),
        "ssim": ssim_table(results),
        "pattern": pattern_table(results),
    }
    report.write("tables", "Tables IV and V of the sea-ice paper", about, files)


def _write_sites(folder: Path, seed: int, count: int, size: int, jobs: int | None) -> list[Path]:
    """Write sites that are not there yet; return the scenes under their own skies."""
    output_folder(folder)
    specs = [
        SiteSpec(seed + number, SKY_KINDS[number % len(SKY_KINDS)], size, folder)
        for number in range(count)
    ]
    missing = [spec for spec in specs if not _labels(_scene(spec)).is_file()]
    for_each_scene(_write_site, missing, f"Making scenes in {folder.name}", jobs)
    return [_scene(spec) for spec in specs]


def _scene(spec: SiteSpec) -> Path:
    return spec.folder / f"ross{spec.seed:04d}-0000_{spec.sky}.tif"


def _labels(scene: Path) -> Path:
    return scene.with_name(f"{scene.stem}_labels.tif")


def _write_site(spec: SiteSpec) -> None:
    write_scene(make_scene(spec.seed, 0, (spec.size, spec.size), spec.sky), spec.folder)
    scene = _scene(spec)
    # The last file, so a site with labels is whole.
    shutil.copyfile(scene.with_name(f"ross{spec.seed:04d}-0000_truth.tif"), _labels(scene))


def _train(name: str, recipe: Recipe, scenes: Sequence[Path], out: Path, jobs: int | None) -> None:
    """Label the scenes and train, unless that is done."""
    shards, model = out / "shards" / name, out / "models" / name
    if (model / CARD_FILE).is_file():
        return
    file = output_folder(out / "recipes") / f"{name}.yaml"
    recipe.save(file)
    options = ["--recipe", str(file)]
    workers = ["--workers", str(jobs)] if jobs else []
    run(
        [
            "polynya",
            "label",
            "--scenes",
            *map(str, scenes),
            "--out",
            str(shards),
            *options,
            *workers,
        ]
    )
    program = [sys.executable, str(ROOT / "training/train.py")]
    run([*program, *options, "--shards", str(shards), "--out", str(model), "--overwrite"])


def accuracies(results: Results) -> dict[tuple[str, str], tuple[float, float]]:
    """Share of right pixels of Man and Auto in percent, by group and images."""
    found = {}
    for group in results.groups:
        for images in (ORIGINAL, FILTERED):
            shares = {
                method.family: 100 * (score.right or 0.0)
                for method, score in zip(results.methods, group.scores, strict=True)
                if method.images == images and method.kind == "model"
            }
            found[group.name, images] = (shares[MAN], shares[AUTO])
    return found


def paper_table(results: Results) -> Table:
    """Accuracy here and in the paper, side by side."""
    titles = {group.name: group.title for group in results.groups}
    rows = [
        (titles[name], images, *(f"{share:.2f}" for share in (*here, *PAPER[name, images])))
        for (name, images), here in accuracies(results).items()
    ]
    columns = ("tiles", "images", "Man", "Auto", "Man in the paper", "Auto in the paper")
    return Table("Pixels right, %", columns, tuple(rows))


def ssim_table(results: Results) -> Table:
    """Structural similarity of the labels by thresholds to the truth."""
    rows = []
    for method, score in zip(results.methods, results.groups[0].scores, strict=True):
        value = score.values.get("ssim")
        if method.kind == "thresholds" and isinstance(value, float):
            paper = PAPER_SSIM.get(method.images)
            rows.append((method.name, f"{100 * value:.2f}", "" if paper is None else f"{paper:g}"))
    return Table("SSIM of labels, %", ("labels", "here", "in the paper"), tuple(rows))


def pattern_table(results: Results) -> Table:
    """What the paper's tables show, and whether it is so here."""
    return Table(
        "The paper's pattern",
        ("in the paper", "here", "points here"),
        tuple(
            (text, "holds" if held else "does not hold", points)
            for text, held, points in pattern(accuracies(results))
        ),
    )


def pattern(found: dict[tuple[str, str], tuple[float, float]]) -> list[tuple[str, bool, str]]:
    """Compare accuracies with what the paper's Tables IV and V show.

    Args:
        found: See `accuracies`; without a group of covered or of clear tiles, what needs it is left
            out.

    Returns:
        Statement, whether it holds, and the points that decide.
    """

    def gains(group: str) -> tuple[float, float]:
        before, after = found[group, ORIGINAL], found[group, FILTERED]
        return after[0] - before[0], after[1] - before[1]

    def told(values: Sequence[float]) -> str:
        return " and ".join(f"{value:+.2f}" for value in values)

    man, auto = gains(ALL)
    apart = found[ALL, FILTERED][0] - found[ALL, FILTERED][1]
    rows = [
        ("filtered images are better for both models", man > 0 and auto > 0, told((man, auto))),
        ("Man and Auto are alike on filtered images", abs(apart) <= _EQUAL, f"{apart:+.2f}"),
    ]
    if (MORE, ORIGINAL) in found and (LESS, ORIGINAL) in found:
        more, less = gains(MORE), gains(LESS)
        differences = [a - b for a, b in zip(more, less, strict=True)]
        covered = found[MORE, ORIGINAL][0] - found[MORE, ORIGINAL][1]
        rows += [
            ("the filter gains more under cloud", min(differences) > 0, told(differences)),
            ("under cloud, Man is better on original images", covered > 0, f"{covered:+.2f}"),
            ("filtered images are better under cloud", min(more) > 0, told(more)),
            ("filtered images are better on clear tiles", min(less) > 0, told(less)),
        ]
    return rows

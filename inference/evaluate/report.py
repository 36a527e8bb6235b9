"""Files of an evaluation: tables, pictures, and `evaluation.json`; what the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from inference.evaluate.figures import FILES as FIGURES
from inference.evaluate.figures import draw_all
from inference.evaluate.results import RESULTS_FILE, Results, write_results
from inference.evaluate.samples import SAMPLES_FILE, SCORES_FILE, score_table, write_samples
from inference.evaluate.scenes import Comparison
from inference.evaluate.scores import (
    Evaluation,
    accuracy_table,
    class_table,
    confusion_table,
    scene_table,
)
from inference.evaluate.sites import SITES_FILE, SITES_PAGE, TILES_FILE, site_table, tile_rows
from inference.evaluate.tables import (
    Rows,
    calibration_table,
    comparison_table,
    cover_table,
    images_table,
    method_table,
    percent_table,
)
from polynya.report.pictures import draw_panels
from polynya.report.tables import Table
from polynya.storage.files import write_text
from polynya.storage.ownership import is_ours, remove_file

SCENES_FILE, PAGE = "scenes.csv", "accuracy.md"
_EXTREMES = ("comparison_best.png", "comparison_worst.png")
FILES = (
    *(RESULTS_FILE, PAGE, SITES_PAGE, SCENES_FILE, SITES_FILE, TILES_FILE),
    *(SCORES_FILE, SAMPLES_FILE, "accuracy.csv", "classes.csv", "confusion.csv"),
    *("images.csv", "cover.csv", "methods.csv", "comparisons.csv", "confusion_percent.csv"),
    *("calibration.csv", *FIGURES, *_EXTREMES),
)
"""All files that an evaluation may have."""


def write_scene_report(
    evaluation: Evaluation,
    results: Results,
    comparisons: list[Comparison],
    folder: Path,
    rows: Rows = "truth",
) -> None:
    """Print and write what an evaluation of scenes found.

    Args:
        evaluation: Scores of the scenes.
        results: Their summary.
        comparisons: The best and the worst scene.
        folder: Folder to write into.
        rows: What the rows of confusions in percent and of their pictures are.
    """
    last = evaluation.methods[-1]
    accuracy, confusion = accuracy_table(evaluation), confusion_table(evaluation, last)
    by_class, by_scene = class_table(evaluation, evaluation.methods), scene_table(evaluation)
    scores = score_table({name: evaluation.tally(name) for name in evaluation.methods}, "scenes")
    for table in (accuracy, class_table(evaluation, [last]), confusion):
        table.print()
    files = {
        "accuracy": accuracy, "classes": by_class, "scenes": by_scene, "confusion": confusion,
        "scores": scores,
    }  # fmt: skip
    write_samples(
        folder / SAMPLES_FILE,
        [
            {"scene": scene.scene_id, "sky": scene.sky, "method": method, **tally.cells()}
            for scene in evaluation.scenes
            for method, tally in scene.tallies.items()
        ],
    )
    written = {SAMPLES_FILE}
    if any(scene.tiles for scene in evaluation.scenes):
        files["sites"] = site_table(evaluation)
        write_samples(folder / TILES_FILE, list(tile_rows(evaluation)))
        written.add(TILES_FILE)
    for name, comparison in zip(_EXTREMES, comparisons, strict=True):
        kind = name.removesuffix(".png").rpartition("_")[2]
        draw_comparison(folder / name, kind, comparison, evaluation)
        written.add(name)
    shown = [accuracy, by_class, scores, confusion, by_scene]
    _write_common(results, folder, rows, files, PAGE, shown, written)


def write_tile_report(
    evaluation: Evaluation, results: Results, folder: Path, rows: Rows = "truth"
) -> None:
    """Print and write what an evaluation of tiles found; see `write_scene_report`."""
    by_site = site_table(evaluation)
    tallies = {name: evaluation.tally(name) for name in evaluation.methods}
    scores = score_table(tallies, "tiles")
    for table in (by_site, scores):
        table.print()
    write_samples(folder / TILES_FILE, list(tile_rows(evaluation)))
    files = {"sites": by_site, "scores": scores, "scenes": scene_table(evaluation)}
    _write_common(results, folder, rows, files, SITES_PAGE, [by_site, scores], {TILES_FILE})


def _write_common(
    results: Results,
    folder: Path,
    rows: Rows,
    files: Mapping[str, Table],
    page: str,
    shown: list[Table],
    written: set[str],
) -> None:
    """Write what scenes and tiles have in common, and remove pictures of an earlier run."""
    more = {
        "images": images_table(results),
        "methods": method_table(results),
        "comparisons": comparison_table(results),
        "confusion_percent": percent_table(results, rows),
    }
    if len(results.groups) > 1:
        more["cover"] = cover_table(results)
    calibration = calibration_table(results)
    if calibration is not None:
        more["calibration"] = calibration
    trained = [method.name for method in results.methods if method.kind != "thresholds"]
    _print_more(results, more, trained)
    for name, table in {**files, **more}.items():
        table.write_csv(folder / f"{name}.csv")
        written.add(f"{name}.csv")
    pages = [*shown, more["images"], *([more["cover"]] if "cover" in more else [])]
    pages += [
        comparison_table(results, [method.name for method in results.methods]),
        more["confusion_percent"],
    ]
    notes = [f"- {note}" for note in results.notes]
    write_text(folder / page, "\n".join([*(table.markdown() for table in pages), *notes, ""]))
    figures = draw_all(results, folder, rows)
    written |= {page, RESULTS_FILE, *(figure.file for figure in figures)}
    write_results(folder / RESULTS_FILE, results.model_copy(update={"figures": figures}))
    for name in FILES:
        if name not in written and is_ours(folder / name):
            remove_file(folder / name)


def _print_more(results: Results, tables: Mapping[str, Table], trained: list[str]) -> None:
    """Print the tables by images and cover, and what differences of models are worth."""
    if len(results.methods) > 1:
        tables["images"].print()
    if "cover" in tables:
        tables["cover"].print()
    if len(trained) > 1:
        comparison_table(results, trained).print()
    for note in results.notes:
        typer.echo(note)


def draw_comparison(path: Path, name: str, comparison: Comparison, evaluation: Evaluation) -> None:
    """Draw a scene, its truth and the result of each method."""
    score = comparison.score
    results = [
        (f"{method}: {score.accuracy(method):.1%}", codes)
        for method, codes in comparison.results.items()
    ]
    count, method = len(evaluation.scenes), evaluation.methods[-1]
    title = f"{score.scene_id}: {name} of {count} scenes for: {method}"
    panels = [("Truth", comparison.truth), *results]
    if comparison.image is not None:
        panels.insert(0, ("Scene", comparison.image))
    columns = None if len(panels) <= _PANELS else -(-len(panels) // 2)
    draw_panels(path, panels, evaluation.classes, title, columns)


_PANELS = 6
"""More panels come in two rows."""

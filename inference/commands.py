"""`polynya predict`: a trained model over scenes, to maps."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from inference.predict import open_model
from inference.products import MapResult, map_scene
from inference.summary import summary_columns, write_table
from polynya.classes import ClassScheme
from polynya.errors import ScenesFailedError
from polynya.files import output_folder
from polynya.progress import console
from polynya.scenes import find_scenes

SUMMARY_FILE = "summary.csv"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="Files, folders, globs or URIs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the maps.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Predict finished scenes again.")
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Windows per call of the model; default: the recipe's."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.95, help="Share that windows have in common; default: the recipe's."
        ),
    ] = None,
) -> None:
    """Segment whole scenes into georeferenced class maps.

    Writes SCENE.tif (Cloud-Optimized GeoTIFF of class codes), SCENE.json (STAC item), SCENE.png
    (overview) and summary.csv (area and share of each class).
    """
    trained = open_model(model)
    refs = find_scenes(scenes)
    folder = output_folder(out)
    results = []
    for ref in refs:
        result = map_scene(
            trained, ref, folder, overwrite=overwrite, batch_size=batch_size, overlap=overlap
        )
        results.append(result)
        if result.status == "failed":
            console.print(f"Failed: {result.reason}", style="red", markup=False, soft_wrap=True)
        # After every scene, so that a run that is stopped has its rows.
        write_summary(folder / SUMMARY_FILE, results, trained.recipe.classes)
    report(results, folder)


def write_summary(path: Path, results: list[MapResult], classes: ClassScheme) -> None:
    """Write one row a scene; rows of other scenes from earlier runs stay.

    Args:
        path: CSV file.
        results: This run's scenes.
        classes: Gives the columns; a file with other columns is replaced.
    """
    columns = ["scene", "status", "reason", *summary_columns(classes)]
    rows: dict[str, dict[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames == columns:
                rows = {row["scene"]: row for row in reader}
    for result in results:
        rows[result.scene_id] = {
            "scene": result.scene_id,
            "status": result.status,
            "reason": result.reason,
            **(result.summary or {}),
        }
    write_table(path, columns, [rows[scene] for scene in sorted(rows)])


def report(results: list[MapResult], folder: Path) -> None:
    """Print the counts to stdout; ScenesFailedError if there is a failed scene."""
    counts = Counter(result.status for result in results)
    typer.echo(
        f"{counts['done']} scenes mapped, {counts['skipped']} skipped (finished before),"
        f" {counts['failed']} failed; maps and {SUMMARY_FILE} in {folder}"
    )
    if counts["failed"]:
        raise ScenesFailedError(
            f"{counts['failed']} of {len(results)} scenes failed; {folder / SUMMARY_FILE} has the"
            " reasons, the others are done."
        )

"""Maps of many scenes: an engine does them, the summary has a row for each."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autolabel.engines import EngineName, open_engine, run_all, worker_died
from inference.choice import inference_options
from inference.collection import write_collection, write_model_item
from inference.predict import open_model
from inference.products import MapResult, map_scene
from inference.summary import summary_columns, write_table
from polynya.classes import ClassScheme
from polynya.errors import ScenesFailedError
from polynya.files import output_folder
from polynya.inference_options import ProductName
from polynya.progress import console, progress
from polynya.scenes import SceneRef, find_scenes
from polynya.storage import absolute
from training.model_folder import MODEL_FILE

if TYPE_CHECKING:
    from training.model_folder import TrainedModel

SUMMARY_FILE = "summary.csv"


@dataclass(frozen=True)
class MapOptions:
    """How scenes become maps. Small and picklable."""

    model: Path
    """Absolute path of the model's folder."""
    folder: Path
    """Absolute path of the folder for the products."""
    overwrite: bool = False
    """Predict even what an earlier run finished with this model."""
    batch_size: int | None = None
    """Windows per call of the model; default from its recipe."""
    overlap: float | None = None
    """Share that neighbouring windows have in common; default from the recipe."""
    products: tuple[ProductName, ...] | None = None
    """What is written beside the map; default from the recipe."""
    cell: float | None = None
    """Edge of a cell of the ice concentration in metres; default from the recipe."""


def map_scenes(
    patterns: Sequence[str], options: MapOptions, engine: EngineName, workers: int | None = None
) -> list[MapResult]:
    """Predict scenes and write their products and the summary.

    Args:
        patterns: Files, folders, globs or URIs of scenes.
        options: Model and folder.
        engine: Who does it. "here" takes all cores for one scene after another; workers of the
            others take one core each.
        workers: How many; default the engine's own.

    Raises:
        ModelError: There is no usable model.
        RecipeError: A product doesn't fit the model's classes.
        OutputError: The folder can't be made.
        ScenesFailedError: Some scenes failed; the others are done.
    """
    recipe = _model_of(options.model).recipe
    classes = recipe.classes
    inference_options(recipe, options.products, options.cell)  # Before anything is computed.
    output_folder(options.folder)
    refs = [SceneRef(ref.id, absolute(ref.uri)) for ref in find_scenes(patterns)]
    results: list[MapResult] = []
    here = engine == "here"  # Then each scene shows its own progress,
    # and their rows are written after each, so that a run that is stopped has them.
    batches = [[ref] for ref in refs] if here else [refs]
    task = partial(_map_one if here else _map_on_one_core, options=options)
    with (
        open_engine(engine, workers) as runner,
        progress("Mapping", len(refs), enabled=not here) as advance,
    ):
        for batch in batches:
            made = run_all(runner, task, batch, lambda ref: None, advance)
            for ref, result in zip(batch, made, strict=True):
                lost = MapResult(ref.id, ref.uri, "failed", worker_died(ref.uri))
                results.append(result or lost)
                if results[-1].status == "failed":
                    reason = results[-1].reason
                    console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)
            write_summary(options.folder / SUMMARY_FILE, results, classes)
    write_collection(options.folder, classes)
    _describe_model(options)
    report(results, options.folder)
    return results


@lru_cache(maxsize=1)
def _model_of(folder: Path) -> TrainedModel:
    """The model of this process: loading takes seconds, so a worker does it once."""
    return open_model(folder)


def _describe_model(options: MapOptions) -> None:
    """Write the STAC item of the model beside its maps."""
    import keras

    model = _model_of(options.model)
    write_model_item(
        options.folder,
        options.model / MODEL_FILE,
        model.recipe,
        parameters=model.keras_model.count_params(),
        framework_version=keras.__version__,
    )


def _map_one(ref: SceneRef, options: MapOptions) -> MapResult:
    model = _model_of(options.model)
    return map_scene(
        model,
        ref,
        options.folder,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        overlap=options.overlap,
        options=inference_options(model.recipe, options.products, options.cell),
    )


def _map_on_one_core(ref: SceneRef, options: MapOptions) -> MapResult:
    # TensorFlow reads these when it is imported. One core a worker: more threads only fight.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    return _map_one(ref, options)


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

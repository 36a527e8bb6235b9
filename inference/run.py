"""Maps of many scenes: an engine does them, the summary has a row for each."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autolabel.engines import Engine, EngineName, open_engine, run_all, worker_died
from inference.backends import check_backend
from inference.choice import inference_options
from inference.collection import write_collection, write_model_item
from inference.parts import (
    WORK_FOLDER,
    Part,
    keeps_probabilities,
    part_file,
    predict_part,
    scene_parts,
)
from inference.paths import ProductPaths
from inference.predict import open_model
from inference.products import MapResult, is_finished, map_scene, prediction_tags
from inference.stac import mapped_files
from inference.summary import summary_columns, write_table
from polynya.classes import ClassScheme
from polynya.errors import PolynyaError, ScenesFailedError
from polynya.files import output_folder
from polynya.inference_options import Backend, FirstFilter, Precision, ProductName
from polynya.progress import console, progress
from polynya.scenes import SceneRef, find_scenes, open_scene
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
    backend: Backend | None = None
    """What runs the model; default from the recipe."""
    precision: Precision | None = None
    """Arithmetic of its layers; default from the recipe."""
    first_filter: FirstFilter | None = None
    """Filter before the model sees a scene; default from the recipe."""


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
        MissingDependencyError: The back end isn't installed.
        OutputError: The folder can't be made.
        ScenesFailedError: Some scenes failed; the others are done.
    """
    recipe = _model_of(options).recipe
    classes = recipe.shown_classes
    # Before anything is computed: it may not fit the model, or not be there.
    wanted = inference_options(recipe, options.products, options.cell)
    check_backend(wanted)
    output_folder(options.folder)
    refs = [SceneRef(ref.id, absolute(ref.uri)) for ref in find_scenes(patterns)]
    clashes = _clashes(refs, options.folder, wanted.products)
    results: list[MapResult] = []
    here = engine == "here"  # Then each scene shows its own progress,
    # and their rows are written after each, so that a run that is stopped has them.
    task = partial(_map_one if here else _map_on_one_core, options=options)
    with open_engine(engine, workers) as runner:
        if here:
            batches = [[_Ready(ref, failure=clashes.get(ref, ""))] for ref in refs]
        else:
            batches = [_ready(refs, clashes, runner, options)]
        with progress("Mapping", len(refs), enabled=not here) as advance:
            for batch in batches:
                made = run_all(runner, task, batch, lambda ready: None, advance)
                for ready, result in zip(batch, made, strict=True):
                    ref = ready.ref
                    lost = MapResult(ref.id, ref.uri, "failed", worker_died(ref.uri))
                    results.append(result or lost)
                    _tell_failure(results[-1])
                write_summary(options.folder / SUMMARY_FILE, results, classes)
    if not any(result.status == "failed" for result in results):
        shutil.rmtree(options.folder / WORK_FOLDER, ignore_errors=True)
    write_collection(options.folder, classes)
    _describe_model(options)
    report(results, options.folder)
    return results


def _model_of(options: MapOptions) -> TrainedModel:
    """The model, with what the command says of how it is run in its recipe."""
    return _opened(options.model, options.backend, options.precision, options.first_filter)


@lru_cache(maxsize=1)
def _opened(
    folder: Path,
    backend: Backend | None,
    precision: Precision | None,
    first_filter: FirstFilter | None,
) -> TrainedModel:
    """The model of this process: loading takes seconds, so a worker does it once."""
    said = {"backend": backend, "precision": precision, "filter": first_filter}
    return open_model(folder).run_with(**{k: v for k, v in said.items() if v is not None})


def _describe_model(options: MapOptions) -> None:
    """Write the STAC item of the model beside its maps."""
    import keras

    model = _model_of(options)
    write_model_item(
        options.folder,
        options.model / MODEL_FILE,
        model.recipe,
        parameters=model.keras_model.count_params(),
        framework_version=keras.__version__,
    )


@dataclass(frozen=True)
class _Ready:
    """A scene whose map can be made."""

    ref: SceneRef
    parts: tuple[Path, ...] = ()
    """Files with its predicted bands; none: it is predicted on the way."""
    failure: str = ""
    """Why it can't."""


@dataclass(frozen=True)
class _PartTask:
    """A part of a large scene and where it goes."""

    part: Part
    target: Path


def _clashes(
    refs: Sequence[SceneRef], folder: Path, products: Sequence[ProductName]
) -> dict[SceneRef, str]:
    """Scenes with a file of the same name as one of an earlier scene, and a sentence about it.

    Earlier in the list, or mapped into the folder by an earlier run.
    """
    ids = {ref.id for ref in refs}
    owners = {file: scene for file, scene in mapped_files(folder).items() if scene not in ids}
    clashes: dict[SceneRef, str] = {}
    for ref in refs:
        files = ProductPaths(folder, ref.id).of(products)
        taken = next((file for file in files if file in owners), None)
        if taken is not None:
            clashes[ref] = (
                f"{ref.uri} and {owners[taken]} would both write {taken.name}; rename one of"
                " them, or map them into different folders."
            )
        else:
            owners |= dict.fromkeys(files, ref.uri)
    return clashes


def _ready(
    refs: Sequence[SceneRef], clashes: dict[SceneRef, str], engine: Engine, options: MapOptions
) -> list[_Ready]:
    """Have workers predict the parts of large scenes, so that one scene keeps all of them busy."""
    planned = {ref: [] if ref in clashes else _parts_of(ref, options) for ref in refs}
    tasks = [task for parts in planned.values() for task in parts]
    left = [task for task in tasks if options.overwrite or not task.target.is_file()]
    reasons: dict[Path, str] = {}
    with progress("Predicting parts of large scenes", len(left), enabled=bool(left)) as advance:
        task_of = partial(_predict_on_one_core, options=options)
        made = run_all(engine, task_of, left, _left_by, advance)
        for task, reason in zip(left, made, strict=True):
            reasons[task.target] = worker_died(task.part.uri) if reason is None else reason
    return [
        _Ready(
            ref,
            tuple(task.target for task in parts),
            clashes.get(ref)
            or next((reasons[t.target] for t in parts if reasons.get(t.target)), ""),
        )
        for ref, parts in planned.items()
    ]


def _parts_of(ref: SceneRef, options: MapOptions) -> list[_PartTask]:
    """Parts of a scene that is large and not finished; else none."""
    model = _model_of(options)
    wanted = inference_options(model.recipe, options.products, options.cell)
    try:
        scene = open_scene(ref.uri, model.recipe.scene, ref.id)
        parts = scene_parts(model, scene, options.overlap)
        if len(parts) == 1:
            return []
        if not options.overwrite and is_finished(
            model, scene, options.folder, options.overlap, wanted
        ):
            return []
        tags = prediction_tags(model, scene, options.overlap)
    except PolynyaError:
        return []  # The task that makes its map says what is wrong with it.
    tags["probabilities"] = str(keeps_probabilities(wanted.products))
    return [_PartTask(part, part_file(options.folder, part, tags)) for part in parts]


def _left_by(task: _PartTask) -> str | None:
    """A worker that died may have finished its part before."""
    return "" if task.target.is_file() else None


def _predict_on_one_core(task: _PartTask, options: MapOptions) -> str:
    """Predict a part; why it failed, or nothing."""
    _take_one_core()
    model = _model_of(options)
    wanted = inference_options(model.recipe, options.products, options.cell)
    try:
        predict_part(
            model,
            open_scene(task.part.uri, model.recipe.scene, task.part.scene_id),
            task.part,
            task.target,
            batch_size=options.batch_size,
            overlap=options.overlap,
            with_probabilities=keeps_probabilities(wanted.products),
        )
    except PolynyaError as error:
        return str(error)
    except OSError as error:
        return f"{task.target} can't be written ({error.strerror or error}); make room there."
    return ""


def _map_one(ready: _Ready, options: MapOptions) -> MapResult:
    if ready.failure:
        return MapResult(ready.ref.id, ready.ref.uri, "failed", ready.failure)
    model = _model_of(options)
    return map_scene(
        model,
        ready.ref,
        options.folder,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        overlap=options.overlap,
        options=inference_options(model.recipe, options.products, options.cell),
        parts=ready.parts,
    )


def _map_on_one_core(ready: _Ready, options: MapOptions) -> MapResult:
    _take_one_core()
    return _map_one(ready, options)


def _take_one_core() -> None:
    # One core a worker: more threads only fight. TensorFlow reads its two when it is imported.
    os.environ.setdefault("GDAL_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


def _tell_failure(result: MapResult) -> None:
    if result.status == "failed":
        console.print(f"Failed: {result.reason}", style="red", markup=False, soft_wrap=True)


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

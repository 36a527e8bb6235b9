"""Makes maps of many scenes with an engine; the summary has one row per scene."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import typer

from inference.predict.backends import check_backend, framework_version
from inference.predict.decision import read_decision
from inference.predict.opening import open_for_model
from inference.predict.parts import remove_parts
from inference.products.paths import COLLECTION_FILE, model_file
from inference.products.summary import summary_columns
from inference.run.large_scenes import ReadyScene, predict_parts
from inference.run.map_names import NamedScene, name_scenes
from inference.run.options import MapOptions, model_of, take_one_core, wanted_of
from inference.run.scene import MapResult, map_scene
from inference.stac.collection import write_collection, write_model_item
from polynya.attempt import Failure, attempt
from polynya.engines.engines import EngineName, open_engine, run_all, worker_died
from polynya.errors import OutputError, ScenesFailedError, failed_of
from polynya.progress import console, progress
from polynya.provenance import file_digest
from polynya.report.tables import write_table
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.scenes.identity import scene_digest
from polynya.storage.folder import absolute
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free
from training.model_folder.folder import model_path

SUMMARY_FILE = "summary.csv"


def map_scenes(
    patterns: Sequence[str], options: MapOptions, engine: EngineName, workers: int | None = None
) -> list[MapResult]:
    """Predict scenes and write their products and the summary.

    Args:
        patterns: Files, folders, globs or URIs of scenes.
        options: Model and folder.
        engine: Engine that runs the tasks. "here" uses all cores for one scene after another; with
            other engines, each worker uses one core.
        workers: Number of workers; default from the engine.

    Raises:
        ModelError: There is no usable model.
        RecipeError: A product doesn't fit the model's classes.
        MissingDependencyError: The back end isn't installed.
        OutputError: The folder can't be made, another run uses it, or it has a file that isn't ours
            in the place of one that every run writes.
        ScenesFailedError: Some scenes failed; the others are done.
    """
    model = model_of(options)
    recipe = model.recipe
    classes = recipe.shown_classes
    # Check before any computation: options may not fit the model, or the back end may be missing.
    wanted = wanted_of(options)
    check_backend(wanted, model.predictor)
    decision = read_decision(options.model, recipe)
    columns = summary_columns(classes, has_thresholds=decision.threshold == "otsu")
    with open_output(options.folder, "maps") as folder:
        digest = file_digest(model_path(options.model))
        check_free(folder / n for n in (SUMMARY_FILE, COLLECTION_FILE, model_file(digest)))
        refs = [
            SceneRef(ref.id, absolute(ref.uri)) for ref in find_scenes(patterns, recipe.companions)
        ]
        scenes = name_scenes(
            refs,
            folder,
            wanted.products,
            lambda ref: scene_digest(open_for_model(ref, recipe)),
        )
        results: list[MapResult] = []
        problems: list[str] = []
        for done in _map_each(scenes, options, engine, workers):
            results += done
            for result in done:
                _tell_failure(result.reason)
            # Write the summary after each scene, so that a stopped run has the rows so far.
            summary = partial(
                write_summary,
                folder / SUMMARY_FILE,
                results,
                columns,
            )
            problems = _problems(summary, folder / SUMMARY_FILE)
        problems += _problems(lambda: write_collection(folder, classes), folder / COLLECTION_FILE)
        problems += _problems(lambda: _describe_model(options), folder / model_file(digest))
        report(results, problems, folder)
    return results


def _map_each(
    scenes: Sequence[NamedScene], options: MapOptions, engine: EngineName, workers: int | None
) -> Iterator[list[MapResult]]:
    """Map the scenes, and yield results as soon as they are ready."""
    # In this process, one scene at a time; each scene shows its own progress.
    here = engine == "here"
    task = partial(_map_one if here else _map_on_one_core, options=options)
    with open_engine(engine, workers) as runner:
        if here:
            batches = [[ReadyScene(scene.ref, failure=scene.failure)] for scene in scenes]
        else:
            batches = [predict_parts(scenes, runner, options)]
        with progress("Mapping", len(scenes), enabled=not here) as advance:
            for batch in batches:
                made = run_all(runner, task, batch, lambda ready: None, advance)
                results = [
                    result or _failed(ready.ref, worker_died(ready.ref.uri))
                    for ready, result in zip(batch, made, strict=True)
                ]
                yield results
                _remove_parts(batch, results, options.folder)


def _remove_parts(scenes: Sequence[ReadyScene], results: Sequence[MapResult], folder: Path) -> None:
    """Delete parts that are no longer needed: their scenes are done, or newer parts exist."""
    failed = {result.scene_id for result in results if result.status == "failed"}
    needed = {part for scene in scenes if scene.ref.id in failed for part in scene.parts}
    remove_parts(folder, {result.scene_id for result in results}, needed)


def _map_one(ready: ReadyScene, options: MapOptions) -> MapResult:
    """Map a scene; turn any error into a failed result."""
    ref = ready.ref
    if ready.failure:
        return _failed(ref, ready.failure)
    made = attempt(lambda: _map(ready, options), ref.uri, "mapped")
    return _failed(ref, made.reason) if isinstance(made, Failure) else made


def _map(ready: ReadyScene, options: MapOptions) -> MapResult:
    return map_scene(
        model_of(options),
        ready.ref,
        options.folder,
        overwrite=options.overwrite,
        options=wanted_of(options),
        parts=ready.parts,
    )


def _map_on_one_core(ready: ReadyScene, options: MapOptions) -> MapResult:
    take_one_core()
    return _map_one(ready, options)


def _failed(ref: SceneRef, reason: str) -> MapResult:
    return MapResult(ref.id, ref.uri, "failed", reason)


def _describe_model(options: MapOptions) -> None:
    """Write the STAC item of the model beside its maps."""
    model = model_of(options)
    write_model_item(
        options.folder,
        model_path(options.model),
        model.recipe,
        parameters=model.predictor.count_params(),
        framework_version=framework_version(model.predictor),
    )


def _problems(write: Callable[[], None], path: Path) -> list[str]:
    """Write a file about all scenes; return an error as a text, because the scenes are done."""
    made = attempt(write, str(path), "written")
    return [made.reason] if isinstance(made, Failure) else []


def _tell_failure(reason: str) -> None:
    if reason:
        console.print(f"Failed: {reason}", style="red", markup=False, soft_wrap=True)


def write_summary(path: Path, results: list[MapResult], names: Sequence[str]) -> None:
    """Write one row per scene; rows of other scenes from earlier runs stay.

    Args:
        path: CSV file.
        results: Results of this run's scenes.
        names: Columns from `summary_columns`; columns of maps with other classes also stay.
    """
    columns = [*_KEYS, *names]
    rows: dict[str, dict[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = {row["scene"]: row for row in reader if row.get("scene")}
            columns += [name for name in reader.fieldnames or () if name not in columns]
    for result in results:
        rows[result.scene_id] = {
            "scene": result.scene_id,
            "status": result.status,
            "reason": result.reason,
            **(result.summary or {}),
        }
    write_table(path, columns, [rows[scene] for scene in sorted(rows)])


_KEYS = ("scene", "status", "reason")


def report(results: list[MapResult], problems: Sequence[str], folder: Path) -> None:
    """Print the counts to stdout.

    Args:
        results: Results of the scenes.
        problems: Other problems, one sentence each.
        folder: Folder of the maps.

    Raises:
        ScenesFailedError: A scene failed.
        OutputError: There is another problem.
    """
    counts = Counter(result.status for result in results)
    without = f", {counts['nodata']} without any valid pixel (nodata)" if counts["nodata"] else ""
    typer.echo(
        f"{counts['done']} scenes mapped, {counts['skipped']} skipped (finished before),"
        f" {counts['failed']} failed{without}; maps and {SUMMARY_FILE} in {folder}"
    )
    if counts["failed"]:
        for problem in problems:
            _tell_failure(problem)
        raise ScenesFailedError(
            f"{failed_of(counts['failed'], len(results))}; {folder / SUMMARY_FILE} has the reasons."
        )
    if problems:
        raise OutputError(f"The scenes are done, but other files failed: {' '.join(problems)}")

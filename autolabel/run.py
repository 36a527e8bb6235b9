"""A labelling run or an import: plan units, let an engine do them, write the manifest, report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from autolabel.importers.registry import import_recipe
from autolabel.importers.samples import find_samples
from autolabel.inspection import Found, content_digest, find_contents
from autolabel.label_pictures import draw_overviews, picture_name
from autolabel.labels import check_labelling
from autolabel.plan import Unit, needs_sky, plan_units, sky_name
from autolabel.report import report, say, say_what_is_black, warn_of_small_scenes
from autolabel.resume import Work, compare
from autolabel.tasks import (
    Job,
    PartResult,
    SkyTask,
    find_scene_sky,
    label_unit,
    read_note,
    unit_note,
)
from autolabel.words import words_of
from polynya.attempt import Failure, attempt
from polynya.engines.engines import Engine, EngineName, open_engine, run_all, worker_died
from polynya.errors import ScenesFailedError
from polynya.grid import tile_grid
from polynya.progress import progress
from polynya.recipe.overrides import with_settings
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.scenes.finding import SceneRef, find_scenes
from polynya.shards.lifecycle import (
    announce,
    damaged_files,
    finish_dataset,
    foreign_files,
    labelled_before,
    open_dataset,
)
from polynya.shards.manifest import SceneResult, read_manifest
from polynya.storage.folder import Folder, absolute
from polynya.storage.stores import gdal_path, is_remote


def run_labelling(
    patterns: Sequence[str],
    out: str,
    recipe_file: Path | None,
    overwrite: bool,
    engine: EngineName,
    workers: int | None = None,
    retries: int = 2,
    pictures: bool = False,
    settings: Sequence[str] = (),
) -> list[SceneResult]:
    """Label scenes into a data set of shards, or add missing scenes to an existing data set.

    Args:
        patterns: Files, folders, globs or URIs of scenes.
        out: Folder of the data set: a path or URI.
        recipe_file: YAML recipe; None for the defaults.
        overwrite: Replace the existing data set.
        engine: Engine that runs the tasks.
        workers: Number of workers; None for the engine's default.
        retries: How often a failed scene is retried.
        pictures: Draw an overview picture of each scene.
        settings: Values of `--set`, see `polynya.recipe.overrides.with_settings`.

    Returns:
        Results of all scenes that the user asked for, including those that were already done.

    Raises:
        RecipeError: The recipe is wrong.
        OutputError: The folder can't be used, or another run uses it.
        EngineError: The engine can't start.
        ScenesFailedError: Some scenes failed; the others are done and the manifest is written.
    """
    recipe = with_settings(load_recipe(recipe_file), settings)
    check_labelling(recipe)
    refs = [SceneRef(ref.id, absolute(ref.uri)) for ref in find_scenes(patterns, recipe.companions)]
    return run_batch(refs, out, recipe, overwrite, engine, workers, retries, pictures)


def run_import(
    kind: str,
    sources: Sequence[str],
    out: str,
    recipe_file: Path | None,
    overwrite: bool,
    engine: EngineName,
    workers: int | None = None,
    retries: int = 2,
    settings: Sequence[str] = (),
) -> list[SceneResult]:
    """Import images with labels that people have into a data set of shards.

    Args:
        kind: Kind of the data set, a value of the recipe's key `imports.kind`.
        sources: Folders, files or archives.
        out: See `run_labelling`, also for the other arguments, results and errors.
        recipe_file: YAML recipe; None for the one that ships under the name of the kind, or the
            defaults.
        overwrite: Replace the existing data set.
        engine: Engine that runs the tasks.
        workers: Number of workers; None for the engine's default.
        retries: How often a failed sample is retried.
        settings: Values of `--set`.
    """
    recipe = import_recipe(recipe_file, kind, settings)
    refs = find_samples(sources, recipe)
    return run_batch(refs, out, recipe, overwrite, engine, workers, retries)


def run_batch(
    refs: Sequence[SceneRef],
    out: str,
    recipe: Recipe,
    overwrite: bool,
    engine: EngineName,
    workers: int | None = None,
    retries: int = 2,
    pictures: bool = False,
) -> list[SceneResult]:
    """Label or import scenes that are found already; see `run_labelling`.

    Args:
        refs: Scenes with different ids; samples if the recipe has a section `imports`.
        out: Folder of the data set: a path or URI.
        recipe: Checked recipe.
        overwrite: Replace the existing data set.
        engine: Engine that runs the tasks.
        workers: Number of workers; None for the engine's default.
        retries: How often a failed scene is retried.
        pictures: Draw an overview picture of each scene.
    """
    with open_dataset(out, recipe, overwrite) as folder:
        job = Job(recipe, folder, retries)
        known = labelled_before(folder)
        found = find_contents(refs, recipe, retries)
        warn_of_small_scenes([one.scene for one in found if one.scene is not None], recipe)
        work = compare(found, known, job)
        made, undrawn = _carry_out(work, job, engine, workers, pictures)
        rows = known | made
        results = [work.failed.get(name) or rows[name] for name in work.asked]
        for reason in undrawn:
            say(f"Failed: {reason}", "red")
        words = words_of(recipe)
        report(results, folder, words, work.history(results, words))
    say_what_is_black([one.scene for one in found if one.scene is not None], results)
    if undrawn:
        raise ScenesFailedError(
            f"{len(undrawn)} pictures could not be drawn, the reasons are above; all shards are"
            " done."
        )
    return results


def _carry_out(
    work: Work, job: Job, engine: EngineName, workers: int | None, pictures: bool
) -> tuple[dict[str, SceneResult], list[str]]:
    """Label scenes, write the manifest and draw pictures.

    Returns:
        New rows of the manifest, and why pictures are missing.
    """
    folder = job.folder
    # Pictures of scenes that are labelled again are out of date.
    folder.remove(map(picture_name, work.again))
    if not work.to_do and not pictures:
        return _finish(folder, work.rows), []
    with open_engine(engine, workers) as runner:
        made = _finish(folder, [*work.rows, *label_found(work.to_do, job, runner)])
        if not pictures:
            return made, []
        there = set(folder.names())
        with_tiles = {row.scene_id for row in read_manifest(folder) if row.file_names}
        wanted = [scene for scene in work.scenes if scene.id in with_tiles]
        for name in (picture_name(scene.id) for scene in wanted):
            if name in there and not folder.is_ours(name):
                say(
                    f"Not drawn: {folder}/{name} is in the place of a picture and is not Polynya's;"
                    " move it away and run it again.",
                    "yellow",
                )
        scenes = [scene for scene in wanted if picture_name(scene.id) not in there]
        return made, draw_overviews(scenes, job, runner)


def _finish(folder: Folder, made: Sequence[SceneResult]) -> dict[str, SceneResult]:
    """Merge new rows into the current manifest; return the new rows by their scenes.

    In an object store, another run that began at the same moment may have added scenes.
    """
    changed = {result.scene_id: result for result in made}
    if changed:
        finish_dataset(folder, list((labelled_before(folder) | changed).values()))
    return changed


def label_scenes(refs: Sequence[SceneRef], job: Job, engine: Engine) -> list[SceneResult]:
    """Label scenes; skip units that already have a note in the data set.

    Args:
        refs: Scenes with different ids.
        job: Recipe and data set.
        engine: Engine that runs the tasks.
    """
    return label_found(find_contents(refs, job.recipe, job.retries), job, engine)


def label_found(found: Sequence[Found], job: Job, engine: Engine) -> list[SceneResult]:
    """Label scenes that are already opened; see `label_scenes`."""
    recipe, folder = job.recipe, job.folder
    usable = {one.ref.id: one for one in found if one.scene is not None}
    results = [
        SceneResult(one.ref.id, one.ref.uri, "failed", one.reason)
        for one in found
        if one.scene is None
    ]
    scenes = [one.scene for one in usable.values() if one.scene is not None]
    units = plan_units(scenes, recipe, {name: one.digest for name, one in usable.items()})
    names = set(folder.names())
    noted = _noted(units, names, folder)
    parts = [part for made in noted.values() for part in made]
    waiting, blocked = _free(units, noted, folder, recipe)
    parts += blocked
    announce(folder, _stems(waiting, recipe))
    no_sky = _find_skies(waiting, job, names, engine)
    ready = [unit for unit in waiting if unit.parts[0].scene.id not in no_sky]
    parts += _label_units(ready, job, engine)
    parts += [PartResult(scene_id, 0, reason) for scene_id, reason in no_sky.items()]
    by_scene: dict[str, list[PartResult]] = {name: [] for name in usable}
    for part in parts:
        by_scene[part.scene_id].append(part)
    return results + [_joined(one, by_scene[name], recipe) for name, one in usable.items()]


def _noted(
    units: Sequence[Unit], names: Collection[str], folder: Folder
) -> dict[Unit, list[PartResult]]:
    """Return results of units that an interrupted run finished, if all their shards are there."""
    left = {unit: read_note(folder, unit) for unit in units if unit_note(unit) in names}
    # The user may have fixed what failed.
    noted = {unit: made for unit, made in left.items() if made and not any(p.reason for p in made)}
    sums = {
        name: known
        for made in noted.values()
        for part in made
        for name, known in zip(part.files, part.file_sums, strict=True)
    }
    damaged = damaged_files(folder, sums, sums)
    return {
        unit: made
        for unit, made in noted.items()
        if not any(name in damaged for part in made for name in part.files)
    }


def _free(
    units: Sequence[Unit], noted: Mapping[Unit, object], folder: Folder, recipe: Recipe
) -> tuple[list[Unit], list[PartResult]]:
    """Return units to do, and results of units blocked by a file that is not Polynya's."""
    waiting = [unit for unit in units if unit not in noted]
    foreign = foreign_files(folder, [unit.name for unit in waiting])
    redo = words_of(recipe).redo
    blocked = [
        PartResult(
            part.scene.id,
            part.row,
            f"{part.scene.uri} could not be written: {folder}/{foreign[unit.name]} is in its place"
            f" and is not Polynya's; move it away and {redo} again.",
        )
        for unit in waiting
        if unit.name in foreign
        for part in unit.parts
    ]
    return [unit for unit in waiting if unit.name not in foreign], blocked


def _stems(units: Sequence[Unit], recipe: Recipe) -> list[str]:
    skies = [sky_name(u.parts[0], recipe) for u in units if needs_sky(u, recipe.label)]
    return [*(unit.name for unit in units), *skies]


def _find_skies(
    units: Sequence[Unit], job: Job, names: Collection[str], engine: Engine
) -> dict[str, str]:
    """Find the sky over scenes that are labelled in strips; return reasons of failed scenes."""
    parts = [u.parts[0] for u in units if needs_sky(u, job.recipe.label)]
    tasks = [SkyTask.of(part, job.recipe) for part in {p.scene.id: p for p in parts}.values()]
    tasks = [task for task in tasks if task.note not in names]
    if not tasks:
        return {}

    def again(task: SkyTask) -> str | None:
        return "" if job.folder.has(task.note) else None

    with progress("Finding the light over large scenes", len(tasks)) as advance:
        reasons = run_all(engine, partial(find_scene_sky, job=job), tasks, again, advance)
    found = zip(tasks, reasons, strict=True)
    said = {t.scene.id: worker_died(t.scene.uri) if why is None else why for t, why in found}
    return {scene_id: reason for scene_id, reason in said.items() if reason}


def _label_units(units: Sequence[Unit], job: Job, engine: Engine) -> list[PartResult]:
    def again(unit: Unit) -> list[PartResult] | None:
        return read_note(job.folder, unit) or None

    with progress(words_of(job.recipe).doing, len(units)) as advance:
        made = run_all(engine, partial(label_unit, job=job), units, again, advance)
    results: list[PartResult] = []
    for unit, parts in zip(units, made, strict=True):
        results += parts or [
            PartResult(part.scene.id, part.row, worker_died(part.scene.uri)) for part in unit.parts
        ]
    return results


def _joined(found: Found, parts: Sequence[PartResult], recipe: Recipe) -> SceneResult:
    """Make a scene's manifest row; an error while it is made becomes the row's reason."""
    row = SceneResult(found.ref.id, found.ref.uri, "failed", digest=found.digest)
    joined = attempt(partial(_join, found, parts, recipe), found.ref.uri, words_of(recipe).done)
    return replace(row, reason=joined.reason) if isinstance(joined, Failure) else joined


def _join(found: Found, parts: Sequence[PartResult], recipe: Recipe) -> SceneResult:
    """Make a scene's manifest row from the results of its parts."""
    scene = found.scene
    assert scene is not None  # Others have no parts.
    tiles = len(tile_grid(scene.height, scene.width, recipe.tiles.size))
    row = SceneResult(
        scene.id,
        scene.uri,
        "done",
        height=scene.height,
        width=scene.width,
        tiles=tiles,
        digest=found.digest,
    )
    ordered = sorted(parts, key=lambda part: part.row)
    reason = next((part.reason for part in ordered if part.reason), "")
    # Compare the digest again. This does not read an unchanged local file again.
    if not reason and not is_remote(gdal_path(scene.uri)) and content_digest(scene) != found.digest:
        words = words_of(recipe)
        reason = (
            f"{scene.uri} changed while it was {words.done}; {words.redo} it again when it is"
            " complete."
        )
    if reason:
        return replace(row, status="failed", reason=reason, failed=tiles)
    valid = sum(part.valid_pixels for part in ordered)
    labelled = sum(part.labelled for part in ordered)
    files = {
        name: known
        for part in ordered
        for name, known in zip(part.files, part.file_sums, strict=True)
    }
    counts = np.sum([part.class_pixels for part in ordered], axis=0)
    return replace(
        row,
        status="done" if valid else "nodata",
        labelled=labelled,
        nodata=tiles - labelled,
        files=" ".join(files),
        file_sums=" ".join(files.values()),
        valid_pixels=valid,
        veiled_pixels=_total(part.veiled_pixels for part in ordered),
        thick_cloud_pixels=_total(part.thick_cloud_pixels for part in ordered),
        uncertain_pixels=_total(part.uncertain_pixels for part in ordered),
        class_pixels=" ".join(
            f"{name}={count}" for name, count in zip(recipe.classes.names, counts, strict=True)
        ),
    )


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None

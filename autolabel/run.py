"""A labelling run: plan the work, let an engine do what is missing, write the manifest, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import typer

from autolabel.engines import Engine, EngineName, open_engine, run_all, worker_died
from autolabel.levels import levels_of
from autolabel.plan import Unit, needs_sky, plan_units
from autolabel.tasks import (
    Failure,
    Job,
    PartResult,
    SkyTask,
    find_scene_sky,
    label_unit,
    read_note,
    tried,
    unit_note,
)
from autolabel.thresholds import get_profile
from polynya.errors import ScenesFailedError
from polynya.grid import tile_grid
from polynya.manifest import MANIFEST_FILE, SceneResult, read_manifest
from polynya.progress import console, progress, track
from polynya.recipe import Recipe, load_recipe
from polynya.scenes import Scene, SceneRef, find_scenes, open_scene, unique_id
from polynya.shard_writer import WORK_FOLDER, finish_dataset, start_dataset
from polynya.storage import Folder, absolute
from polynya.stores import gdal_path, is_remote

T = TypeVar("T")
R = TypeVar("R")

_OPENED_AT_ONCE = 16
"""Scenes whose headers are read at the same time: most of it is waiting."""


def run_labelling(
    patterns: Sequence[str],
    out: str,
    recipe_file: Path | None,
    overwrite: bool,
    engine: EngineName,
    workers: int | None = None,
    retries: int = 2,
) -> list[SceneResult]:
    """Label scenes into a data set of shards; of one that is there already, what is missing.

    Args:
        patterns: Files, folders, globs or URIs of scenes.
        out: Folder of the data set: a path or URI.
        recipe_file: YAML recipe; None for the defaults.
        overwrite: Replace what is there.
        engine: Who runs the tasks.
        workers: How many; default the engine's own.
        retries: Times that a scene that fails is tried again.

    Returns:
        The manifest: also of scenes that were there already.

    Raises:
        RecipeError: The recipe is wrong.
        OutputError: The folder can't be used.
        ScenesFailedError: Some scenes failed; the others are done and the manifest is written.
    """
    recipe = load_recipe(recipe_file)
    _check_profile(recipe)
    folder = start_dataset(out, recipe, overwrite)
    known = {result.scene_id: result for result in read_manifest(folder)}
    refs = _named_apart(find_scenes(patterns), known)
    missing = [ref for ref in refs if not _is_done(known.get(ref.id))]
    if missing:
        with open_engine(engine, workers) as runner:
            made = label_scenes(missing, Job(recipe, folder, retries), runner)
        known |= {result.scene_id: result for result in made}
        finish_dataset(folder, list(known.values()))
    results = [known[ref.id] for ref in refs]
    report(results, len(refs) - len(missing), folder)
    return results


def label_scenes(refs: Sequence[SceneRef], job: Job, engine: Engine) -> list[SceneResult]:
    """Label scenes, but for units of which the data set has notes already.

    Args:
        refs: Scenes with different ids.
        job: Recipe and data set.
        engine: Who runs the tasks.
    """
    recipe, folder = job.recipe, job.folder
    scenes, results = _open_scenes(refs, job)
    units = plan_units(scenes, recipe)
    notes = {name for name in folder.names() if name.startswith(f"{WORK_FOLDER}/")}
    noted = {unit: read_note(folder, unit) for unit in units if unit_note(unit) in notes}
    # What failed may have been mended since.
    noted = {unit: made for unit, made in noted.items() if not any(part.reason for part in made)}
    parts = [part for made in noted.values() for part in made]
    waiting = [unit for unit in units if unit not in noted]
    no_sky = _find_skies(waiting, job, notes, engine)
    ready = [unit for unit in waiting if unit.parts[0].scene.id not in no_sky]
    parts += _label_units(ready, job, engine)
    parts += [PartResult(scene_id, 0, reason) for scene_id, reason in no_sky.items()]
    by_scene: dict[str, list[PartResult]] = {scene.id: [] for scene in scenes}
    for part in parts:
        by_scene[part.scene_id].append(part)
    return results + [_join(scene, by_scene[scene.id], recipe) for scene in scenes]


def _check_profile(recipe: Recipe) -> None:
    """A wrong profile is one error, not one for every scene."""
    profile = get_profile(recipe.label.profile)
    if recipe.label.method == "illumination":
        levels_of(profile, recipe.classes)


def _is_done(result: SceneResult | None) -> bool:
    return result is not None and result.status == "done"


def _named_apart(refs: Sequence[SceneRef], known: Mapping[str, SceneResult]) -> list[SceneRef]:
    """Scenes by their places for all workers, called as they or no others are in the data set."""
    ids = {result.uri: result.scene_id for result in known.values()}
    named = []
    for ref in refs:
        uri = absolute(ref.uri)
        new = unique_id(uri) if ref.id in known else ref.id
        named.append(SceneRef(ids.get(uri, new), uri))
    return named


def _open_scenes(refs: Sequence[SceneRef], job: Job) -> tuple[list[Scene], list[SceneResult]]:
    """Describe scenes; those that can't be used are failed rows of the manifest."""

    def describe(ref: SceneRef) -> Scene | SceneResult:
        # What is not on a disk may have a bad moment.
        retries = job.retries if is_remote(gdal_path(ref.uri)) else 0
        scene = tried(partial(open_scene, ref.uri, job.recipe.scene, ref.id), ref.uri, retries)
        if isinstance(scene, Failure):
            return SceneResult(ref.id, ref.uri, "failed", scene.reason)
        return scene

    scenes: list[Scene] = []
    failed: list[SceneResult] = []
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        for found in track(pool.map(describe, refs), "Opening scenes", len(refs)):
            if isinstance(found, Scene):
                scenes.append(found)
            else:
                failed.append(found)
    return scenes, failed


def _find_skies(units: Sequence[Unit], job: Job, notes: set[str], engine: Engine) -> dict[str, str]:
    """Find the sky over scenes that are labelled in bands; why not, for those that failed."""
    scenes = [u.parts[0].scene for u in units if needs_sky(u, job.recipe.label)]
    tasks = [SkyTask(scene) for scene in {scene.id: scene for scene in scenes}.values()]
    tasks = [task for task in tasks if task.note not in notes]
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
        return read_note(job.folder, unit) if job.folder.has(unit_note(unit)) else None

    with progress("Labelling", len(units)) as advance:
        made = run_all(engine, partial(label_unit, job=job), units, again, advance)
    results: list[PartResult] = []
    for unit, parts in zip(units, made, strict=True):
        results += parts or [
            PartResult(part.scene.id, part.row, worker_died(part.scene.uri)) for part in unit.parts
        ]
    return results


def _join(scene: Scene, parts: Sequence[PartResult], recipe: Recipe) -> SceneResult:
    """The manifest's row of a scene from what became of its parts."""
    tiles = len(tile_grid(scene.height, scene.width, recipe.tiles.size))
    row = SceneResult(
        scene.id, scene.uri, "done", height=scene.height, width=scene.width, tiles=tiles
    )
    ordered = sorted(parts, key=lambda part: part.row)
    reason = next((part.reason for part in ordered if part.reason), "")
    valid = sum(part.valid_pixels for part in ordered)
    if not reason and not valid:
        reason = f"{scene.uri} has no valid pixel, all of it is nodata; leave it out."
    if reason:
        return replace(row, status="failed", reason=reason, failed=tiles)
    labelled = sum(part.labelled for part in ordered)
    files = dict.fromkeys(file for part in ordered for file in part.files)
    counts = np.sum([part.class_pixels for part in ordered], axis=0)
    return replace(
        row,
        labelled=labelled,
        nodata=tiles - labelled,
        files=" ".join(files),
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


def report(results: Sequence[SceneResult], already: int, folder: Folder) -> None:
    """Print what was done to stdout, and each failure to stderr.

    Args:
        results: Of all scenes that were asked for.
        already: How many of them an earlier run had done.
        folder: The data set.

    Raises:
        ScenesFailedError: Some scenes failed.
    """
    done = [r for r in results if r.status == "done"]
    failed = [r for r in results if r.status == "failed"]
    for result in sorted(failed, key=lambda r: r.scene_id):
        console.print(f"Failed: {result.reason}", style="red", markup=False, soft_wrap=True)
    tiles, labelled, lost = (
        sum(getattr(r, name) for r in results) for name in ("tiles", "labelled", "failed")
    )
    before = f" ({already} of them before)" if already else ""
    typer.echo(
        f"{len(done)} scenes labelled{before}, {len(failed)} failed; {tiles} tiles = {labelled}"
        f" labelled + {tiles - labelled - lost} nodata + {lost} failed; shards and"
        f" {MANIFEST_FILE} in {folder}"
    )
    if failed:
        raise ScenesFailedError(
            f"{len(failed)} of {len(results)} scenes failed; {folder}/{MANIFEST_FILE} has the"
            " reasons, the others are done."
        )

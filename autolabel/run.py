"""A labelling run: plan the scenes, let an engine do them, write the manifest, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import typer

from autolabel.scene_tiles import label_scene
from autolabel.thresholds import get_profile
from polynya.errors import ScenesFailedError
from polynya.progress import console, progress
from polynya.recipe import load_recipe
from polynya.scenes import SceneRef, find_scenes
from polynya.shards import MANIFEST_FILE, SceneResult, finish_dataset, start_dataset

Task = Callable[[SceneRef], SceneResult]
Advance = Callable[[int], None]
Engine = Callable[[Sequence[SceneRef], Task, Advance], list[SceneResult]]
"""Runs a task for each scene, in any order, and tells how many more are done."""


def run_labelling(
    patterns: Sequence[str],
    out: Path,
    recipe_file: Path | None,
    overwrite: bool,
    engine: Engine,
) -> list[SceneResult]:
    """Label scenes into a data set of shards.

    Args:
        patterns: Files, folders, globs or URIs of scenes.
        out: Folder of the data set.
        recipe_file: YAML recipe; None for the defaults.
        overwrite: Replace a finished data set.
        engine: Who runs the tasks.

    Raises:
        RecipeError: The recipe is wrong.
        OutputError: The folder can't be used.
        ScenesFailedError: Some scenes failed; the others are done and the manifest is written.
    """
    recipe = load_recipe(recipe_file)
    get_profile(recipe.label.profile)  # A wrong name is one error, not one for every scene.
    refs = find_scenes(patterns)
    folder = start_dataset(out, recipe, overwrite)
    task = partial(label_scene, recipe=recipe, folder=folder.absolute())
    with progress("Labelling scenes", len(refs)) as advance:
        results = engine(refs, task, advance)
    finish_dataset(folder, results)
    report(results, folder)
    return results


def processes(workers: int | None = None) -> Engine:
    """Engine of plain processes on this machine."""

    def run(refs: Sequence[SceneRef], task: Task, advance: Advance) -> list[SceneResult]:
        count = min(workers or os.cpu_count() or 1, len(refs))
        # A fresh interpreter per worker: a forked one may inherit locks that are held.
        with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
            results = []
            for future in as_completed([pool.submit(task, ref) for ref in refs]):
                results.append(future.result())
                advance(1)
            return results

    return run


def report(results: Sequence[SceneResult], folder: Path) -> None:
    """Print what was done to stdout, and each failure to stderr.

    Raises:
        ScenesFailedError: Some scenes failed.
    """
    done = [r for r in results if r.status == "done"]
    failed = [r for r in results if r.status == "failed"]
    for result in sorted(failed, key=lambda r: r.scene_id):
        console.print(f"Failed: {result.reason}", style="red", markup=False, soft_wrap=True)
    tiles = sum(r.tiles for r in results)
    labelled = sum(r.labelled for r in results)
    typer.echo(
        f"{len(done)} scenes labelled, {len(failed)} failed; {tiles} tiles = {labelled} labelled +"
        f" {tiles - labelled} nodata; shards and {MANIFEST_FILE} in {folder}"
    )
    if failed:
        raise ScenesFailedError(
            f"{len(failed)} of {len(results)} scenes failed; {folder / MANIFEST_FILE} has the"
            " reasons, the others are done."
        )

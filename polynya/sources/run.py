"""A run of `polynya scenes`: list the items, make a scene file of each, write the manifest."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polynya.errors import OutputError, PolynyaError, RecipeError, SceneError, SourceError
from polynya.files import output_folder
from polynya.progress import progress
from polynya.recipe import load_recipe
from polynya.scenes import scene_id
from polynya.sources import earth_engine, files, safe, stac
from polynya.sources.earth_engine_pixels import fetch_parts
from polynya.sources.item import Item
from polynya.sources.manifest import ItemResult, item_result, write_manifest
from polynya.sources.options import (
    AcquireOptions,
    EarthEngineOptions,
    SafeOptions,
    StacOptions,
)
from polynya.sources.scene_file import made_from, scene_vrt, write_geotiff, write_vrt
from polynya.stores import gdal_options

_WORK = ".unfinished"
_MERGES_AT_ONCE = 2
"""Earth Engine scenes in work: while one is written, the next one's parts come."""
_UNKNOWN = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Run:
    """What making one scene file needs beside its item."""

    options: AcquireOptions
    out: Path
    in_place: bool
    overwrite: bool
    requests: Executor
    """Runs requests of Earth Engine."""

    @property
    def ending(self) -> str:
        return ".vrt" if self.in_place else ".tif"


@dataclass(frozen=True)
class Summary:
    """What a run did; done = new + kept."""

    results: tuple[ItemResult, ...]
    kept: int
    """Scenes that an earlier run had finished."""

    @property
    def failed(self) -> tuple[ItemResult, ...]:
        """The items that failed, in order of the scenes."""
        rows = (result for result in self.results if result.status == "failed")
        return tuple(sorted(rows, key=lambda row: row.scene))


def acquire_options(recipe_file: Path) -> AcquireOptions:
    """Section `acquire` of a recipe; RecipeError if it is wrong or missing."""
    options = load_recipe(recipe_file).acquire
    if options is None:
        raise RecipeError(
            f"The recipe {recipe_file} lacks the key 'acquire'; add it with a source, such as"
            " 'acquire: {source: safe, paths: [products]}' (docs/scenes.md)."
        )
    return options


def list_items(options: AcquireOptions) -> list[Item]:
    """The items of a source that fit, the earliest first, cut to the recipe's limit.

    Raises:
        SourceError: There are none, or the source can't be used.
        SceneError: A bucket can't be listed.
        MissingDependencyError: A package is not installed.
    """
    items: list[Item]
    if isinstance(options, EarthEngineOptions):
        items = earth_engine.list_items(options)
    elif isinstance(options, StacOptions):
        items = stac.list_items(options)
    elif isinstance(options, SafeOptions):
        items = safe.list_items(options)
    else:
        items = files.list_items(options)
    if not items:
        raise SourceError(
            f"No scene of the source '{options.source}' fits; widen region, dates or max_cloud"
            " under 'acquire' in the recipe, or mend its collection."
        )
    return sorted(items, key=lambda i: (i.time or _UNKNOWN, i.id, i.uri))[: options.limit]


def fetch_scenes(
    items: Sequence[Item],
    options: AcquireOptions,
    out: Path,
    in_place: bool = False,
    overwrite: bool = False,
) -> Summary:
    """Make a scene file of each item that has none yet, and write the manifest.

    Args:
        items: From `list_items`.
        options: The recipe's section.
        out: Folder of the scenes.
        in_place: Refer to the source's files instead of copying their pixels.
        overwrite: Make files anew that are there.

    Raises:
        OutputError: The folder can't be used.
        SourceError: Earth Engine has no files to refer to.
    """
    if in_place and isinstance(options, EarthEngineOptions):
        raise SourceError(
            "Earth Engine has no files that scenes could refer to; leave out --in-place."
        )
    output_folder(out)
    is_earth_engine = isinstance(options, EarthEngineOptions)
    names = _scene_names(items)
    results, kept = [], 0
    with (
        ThreadPoolExecutor(options.at_once) as requests,
        ThreadPoolExecutor(_MERGES_AT_ONCE if is_earth_engine else options.at_once) as pool,
        progress("Fetching scenes", len(items)) as advance,
    ):
        run = _Run(options, out, in_place, overwrite, requests)
        tasks = [
            pool.submit(_fetch, item, name, run) for item, name in zip(items, names, strict=True)
        ]
        try:
            for task in as_completed(tasks):
                result, was_there = task.result()
                results.append(result)
                kept += was_there
                advance(1)
        except BaseException:
            for executor in (pool, requests):
                executor.shutdown(wait=False, cancel_futures=True)
            raise
    if not any((out / _WORK).glob("*")):
        shutil.rmtree(out / _WORK, ignore_errors=True)
    write_manifest(out, results)
    return Summary(tuple(results), kept)


def _fetch(item: Item, name: str, run: _Run) -> tuple[ItemResult, bool]:
    """Make one scene file; what goes wrong becomes the row's reason. Also: was it there?"""
    file = name + run.ending
    try:
        if item.problem:
            raise SceneError(item.problem)
        was_there = _is_finished(run.out / file, item, run.overwrite)
        if not was_there:
            _write_scene(item, run.out / file, run)
        # The same scene in both forms would be labelled twice.
        other = run.out / (name + (".tif" if run.in_place else ".vrt"))
        if other.exists() and made_from(other) is not None:
            other.unlink()
        return item_result(item, name, file), was_there
    except PolynyaError as error:
        return item_result(item, name, file, str(error)), False
    except OSError as error:
        reason = f"{file} could not be made: {error.strerror or error}; mend that and run again."
        return item_result(item, name, file, reason), False
    except MemoryError:
        reason = f"{file} could not be made: out of memory; set acquire.at_once lower."
        return item_result(item, name, file, reason), False


def _is_finished(path: Path, item: Item, overwrite: bool) -> bool:
    """Whether a scene file is there and made from just this item."""
    if overwrite or not path.exists():
        return False
    digest = made_from(path)
    if digest is None:
        raise OutputError(
            f"{path} is there and not made by 'polynya scenes'; move it or say --overwrite."
        )
    return digest == item.digest()


def _write_scene(item: Item, path: Path, run: _Run) -> None:
    settings = gdal_environment(run.options)
    if run.in_place:
        write_vrt(scene_vrt(item, settings), path)
        return
    work = run.out / _WORK / f"{path.stem}-{item.digest()}"
    work.mkdir(parents=True, exist_ok=True)
    from_parts = isinstance(run.options, EarthEngineOptions)
    whole = False
    try:
        text = fetch_parts(item, work, run.requests) if from_parts else scene_vrt(item, settings)
        write_geotiff(text, path, work, settings)
        whole = True
    finally:
        # Parts that came wait for the next run; of anything else nothing is worth keeping.
        if whole or not from_parts:
            shutil.rmtree(work, ignore_errors=True)


def gdal_environment(options: AcquireOptions) -> dict[str, Any]:
    """GDAL settings for reading the files of a source."""
    settings = gdal_options() | {"GDAL_HTTP_MAX_RETRY": str(options.retries)}
    if isinstance(options, StacOptions) and options.sign_url is not None:
        settings["VSICURL_PC_SAS_TOKEN_URL"] = options.sign_url.rstrip("/") + "/"
    return settings


def _scene_names(items: Sequence[Item]) -> list[str]:
    """File names without ending, each once: ids, with a digest where two are the same."""
    names = [scene_id(item.id + ".item") for item in items]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [
        f"{name}-{item.digest()}" if name in repeated else name
        for name, item in zip(names, items, strict=True)
    ]

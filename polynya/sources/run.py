"""A run of `polynya scenes`: list items, make a scene file for each, write the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from polynya.attempt import Failure, attempt
from polynya.errors import OutputError, RecipeError, SceneError, SourceError
from polynya.progress import progress
from polynya.rasters.own_references import is_own_file
from polynya.rasters.relay import proxy_settings
from polynya.recipe.acquire import AcquireOptions
from polynya.recipe.recipe import load_recipe
from polynya.sources.access.web import SLOWEST, Web
from polynya.sources.items.item import Item
from polynya.sources.items.names import scene_names
from polynya.sources.items.scene_file import made_from, scene_vrt, write_geotiff, write_vrt
from polynya.sources.items.versions import with_versions
from polynya.sources.manifest import (
    MANIFEST_FILE,
    ItemResult,
    item_result,
    read_results,
    write_manifest,
)
from polynya.sources.source import Source, find_source
from polynya.storage.output_folder import open_output
from polynya.storage.ownership import check_free, is_ours, is_whole, remove_file, remove_ours
from polynya.storage.stores import gdal_options

_WORK = ".unfinished"
_MOST_RETRIES = 5
"""Greatest number of GDAL's retries; it doubles its waits, and a sixth would take a minute."""
_MOST_ATTEMPTS = 2
_SERVERS = ("/vsicurl", "/vsis3/", "/vsigs/")
_UNKNOWN = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Run:
    """Everything except the item that is needed to make a scene file."""

    source: Source
    options: AcquireOptions
    out: Path
    in_place: bool
    overwrite: bool
    requests: Executor
    """Executor of requests for pixels."""
    web: Callable[[], Web]
    """Returns the session for requests to servers, the same session for all scenes."""

    @property
    def ending(self) -> str:
        return ".vrt" if self.in_place else ".tif"


@dataclass(frozen=True)
class Summary:
    """Result of a run; done = new + kept."""

    results: tuple[ItemResult, ...]
    kept: int
    """Number of scenes that an earlier run had finished."""

    @property
    def failed(self) -> tuple[ItemResult, ...]:
        """Failed items, sorted by scene."""
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
    """List the matching items of a source, the earliest first, up to the recipe's limit.

    Raises:
        SourceError: No item matches, or the source can't be used.
        SceneError: A bucket can't be listed.
        MissingDependencyError: A package is not installed.
    """
    items = find_source(options.source).list_items(options)
    if not items:
        raise SourceError(
            f"No scene of the source '{options.source}' fits; widen region, dates or max_cloud"
            " under 'acquire' in the recipe, or fix its collection."
        )
    return sorted(items, key=lambda i: (i.time or _UNKNOWN, i.id, i.uri))[: options.limit]


def fetch_scenes(
    items: Sequence[Item],
    options: AcquireOptions,
    out: Path,
    in_place: bool = False,
    overwrite: bool = False,
) -> Summary:
    """Make a scene file for each item without one, and write the manifest.

    Args:
        items: From `list_items`.
        options: Section `acquire` of the recipe.
        out: Folder for the scenes.
        in_place: Refer to the source's files instead of copying their pixels.
        overwrite: Make existing files again.

    Raises:
        OutputError: The folder can't be used.
        SourceError: The source has no files to refer to.
    """
    source = find_source(options.source)
    if in_place and not source.has_files:
        raise SourceError(
            f"The source '{options.source}' has no files that scenes could refer to; leave out"
            " --in-place."
        )
    with open_output(out, "scenes"):
        check_free([out / MANIFEST_FILE])
        names = scene_names(items, lambda name: _owner(out, name))
        requests = ThreadPoolExecutor(options.at_once)
        web = cache(partial(Web, options.timeout, options.retries))
        run = _Run(source, options, out, in_place, overwrite, requests, web)
        summary = _fetch_all(items, names, run)
        _clear_work(out, summary)
        earlier = _earlier_rows(out, summary.results)
        write_manifest(out, [*summary.results, *earlier])
    return summary


def _fetch_all(items: Sequence[Item], names: Sequence[str], run: _Run) -> Summary:
    results, kept = [], 0
    pool = ThreadPoolExecutor(run.source.scenes_at_once or run.options.at_once)
    with progress("Fetching scenes", len(items)) as advance:
        try:
            tasks = [
                pool.submit(_fetch, item, name, run)
                for item, name in zip(items, names, strict=True)
            ]
            for task in as_completed(tasks):
                result, was_there = task.result()
                results.append(result)
                kept += was_there
                advance(1)
        finally:
            for executor in (pool, run.requests):
                executor.shutdown(wait=len(results) == len(items), cancel_futures=True)
    return Summary(tuple(results), kept)


def _fetch(item: Item, name: str, run: _Run) -> tuple[ItemResult, bool]:
    """Make one scene file; return its row, with the reason of a failure, and whether it existed."""
    if item.problem:
        return item_result(item, name, "", item.problem), False
    file = name + run.ending
    was_there = attempt(lambda: _made(item, run.out / file, run), item.uri, "fetched")
    if isinstance(was_there, Failure):
        return item_result(item, name, "", was_there.reason), False
    return item_result(item, name, file), was_there


def _made(item: Item, path: Path, run: _Run) -> bool:
    """Make a scene file unless it exists and is from this item; return whether it existed."""
    if run.source.has_files:
        item = with_versions(item, run.web)
    origin = made_from(path)
    was_there = origin is not None and origin.digest == item.digest() and not run.overwrite
    if run.in_place:
        # A virtual raster that other people made could not be read later.
        was_there = was_there and is_own_file(path)
    if not was_there:
        if origin is None and path.exists() and not is_ours(path):
            raise OutputError(
                f"{path} is there and was not made by 'polynya scenes', or was changed since; move"
                " it away, or choose another --out folder."
            )
        try:
            _write_again(item, path, run)
        except MemoryError:
            raise SceneError(
                f"{path.name} could not be made: out of memory; set acquire.at_once lower."
            ) from None
    # With both forms of a scene in the folder, it would be labelled twice.
    other = path.with_suffix(".tif" if run.in_place else ".vrt")
    if made_from(other) is not None:
        remove_file(other)
    return was_there


def _write_again(item: Item, path: Path, run: _Run) -> None:
    """Write a scene, and retry an early failure: GDAL gives up if a connection breaks twice."""
    began = time.monotonic()
    settings = gdal_environment(run.options) | run.source.gdal_settings(run.options)
    left = min(run.options.retries, _MOST_ATTEMPTS) if _is_on_server(item) else 0
    while True:
        try:
            return _write_scene(item, path, run, settings)
        except SceneError:
            if left == 0 or time.monotonic() - began > run.options.timeout:
                raise
            left -= 1
            # Without this, GDAL would take the cached part of a cut answer as the whole answer.
            settings["CPL_VSIL_CURL_NON_CACHED"] = "/vsicurl/"


def _is_on_server(item: Item) -> bool:
    return any(band.path.startswith(_SERVERS) for band in item.bands)


def _write_scene(item: Item, path: Path, run: _Run, settings: dict[str, Any]) -> None:
    if run.in_place:
        write_vrt(scene_vrt(item, settings), path)
    elif run.source.write_scene is not None:
        run.source.write_scene(item, path, run.out / _WORK, run.requests, settings)
    else:
        write_geotiff(scene_vrt(item, settings, drivers=True), path, settings)


def _owner(out: Path, name: str) -> str | None:
    """Address of the item from which Polynya made a scene file (.tif or .vrt); None if unknown."""
    for ending in (".tif", ".vrt"):
        origin = made_from(out / (name + ending))
        if origin is not None:
            return origin.source
    return None


def _clear_work(out: Path, summary: Summary) -> None:
    """Delete parts that no scene needs: the image has changed, or another recipe needed them."""
    work = out / _WORK
    if not summary.failed and work.is_dir():
        remove_ours(work)


def _earlier_rows(out: Path, results: Sequence[ItemResult]) -> list[ItemResult]:
    """Rows of existing scenes that earlier runs made from other items."""
    if not is_whole(out / MANIFEST_FILE):
        return []
    now = {result.scene for result in results} | {result.file for result in results}
    return [
        row
        for row in read_results(out)
        if row.status == "done" and not {row.scene, row.file} & now and is_whole(out / row.file)
    ]


def gdal_environment(options: AcquireOptions) -> dict[str, Any]:
    """GDAL settings for reading the files of a source."""
    # Pixels are read in many requests, and each may be sent again. All trials of a request together
    # may take no longer than a request for metadata.
    silence = str(max(1, round(options.timeout / 3)))
    return (
        gdal_options()
        | proxy_settings()
        | {
            "GDAL_HTTP_MAX_RETRY": str(min(options.retries, _MOST_RETRIES)),
            "GDAL_HTTP_CONNECTTIMEOUT": silence,
            "GDAL_HTTP_LOW_SPEED_TIME": silence,
            "GDAL_HTTP_LOW_SPEED_LIMIT": str(SLOWEST),
        }
    )

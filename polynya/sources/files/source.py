"""Raster files with all bands of a scene, local, on a server or in an object store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from polynya.errors import SceneError
from polynya.progress import track
from polynya.rasters.opening import opened_raster
from polynya.recipe.acquire import FilesOptions
from polynya.recipe.scene import SceneOptions
from polynya.scenes.finding import find_scenes
from polynya.scenes.reading import open_scene
from polynya.scenes.scene import Scene
from polynya.scenes.validity import find_validity
from polynya.sources.access.parallel import each
from polynya.sources.access.web import Web
from polynya.sources.items import sentinel2
from polynya.sources.items.item import ALPHA, Band, Item, described, optional
from polynya.sources.items.versions import file_version
from polynya.sources.source import Source
from polynya.storage.stores import gdal_path

_COLORS = ("red", "green", "blue")


def list_items(options: FilesOptions) -> list[Item]:
    """List the files with their bands and alpha; an unusable file is an item with a problem.

    Raises:
        SceneError: A bucket can't be listed.
    """
    refs = find_scenes(options.paths)
    web = cache(partial(Web, options.timeout, options.retries))
    items = each(lambda ref: _describe(ref.id, ref.uri, options, web), refs, options.at_once)
    return list(track(items, "Opening files", len(refs)))


def _describe(name: str, uri: str, options: FilesOptions, web: Callable[[], Web]) -> Item:
    found = Item(id=name, uri=uri)

    def describe() -> Item:
        path = gdal_path(uri)
        if path.startswith("/vsi"):
            file_version(path, web)  # Fails here, before GDAL reads from an endless server.
        return _with_bands(found, options)

    return described(describe, found)


def _with_bands(found: Item, options: FilesOptions) -> Item:
    uri = found.uri
    scene = open_scene(uri, SceneOptions(scale=options.scale, offset=options.offset))
    with opened_raster(uri) as source:
        colors = dict(zip(_COLORS, scene.band_indexes, strict=True))
        bands = [_band(source, uri, wanted, colors, scene) for wanted in options.required_bands]
        for wanted in options.optional_bands:
            bands += optional(partial(_like_colors, source, uri, wanted, scene))
        validity = find_validity(source, scene.band_indexes)
        if validity.alpha is not None:
            bands.append(Band(ALPHA, gdal_path(uri), validity.alpha, 1.0, 0.0, None))
        elif validity.masks:
            raise SceneError(
                f"{uri} has a mask beside its bands; turn it into a nodata value (gdalwarp"
                " -dstnodata 0) or an alpha band (gdalwarp -dstalpha)."
            )
        tags = {key: text for key, text in source.tags().items() if key != "AREA_OR_POINT"}
    return replace(found, bands=tuple(bands), properties=tuple(tags.items()))


def _band(source: Any, uri: str, wanted: str, colors: dict[str, int], scene: Scene) -> Band:
    index = _band_index(source, uri, wanted, colors)
    known = sentinel2.find_band(wanted)
    return Band(
        name=known.name if known else wanted,
        path=gdal_path(uri),
        index=index,
        scale=scene.scale,
        offset=scene.offset,
        nodata=source.nodatavals[index - 1],
    )


def _like_colors(source: Any, uri: str, wanted: str, scene: Scene) -> Band:
    """A band that the recipe doesn't name; it must have the numbers of the colours."""
    band = _band(source, uri, wanted, {}, scene)
    kinds = {
        (source.dtypes[i - 1], source.scales[i - 1], source.offsets[i - 1])
        for i in (*scene.band_indexes, band.index)
    }
    if len(kinds) > 1:
        raise SceneError(f"{uri} has a band '{wanted}' of another type or scale than its colours.")
    return band


def _band_index(source: Any, uri: str, wanted: str, colors: dict[str, int]) -> int:
    """1-based band of a file, found by its description, otherwise by its colour."""
    known = sentinel2.find_band(wanted)
    names = {wanted.lower()} | ({known.name.lower(), known.short.lower()} if known else set())
    for index, description in enumerate(source.descriptions, start=1):
        if (description or "").lower() in names:
            return index
    if known and known.color in colors:
        return colors[known.color]
    raise SceneError(
        f"{uri} has no band '{wanted}' (it has {source.count}: {list(source.descriptions)}); fix"
        " acquire.bands in the recipe."
    )


SOURCE = Source(list_items)

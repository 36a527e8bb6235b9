"""STAC: APIs and static catalogues, in the layouts of Earth Search, Planetary Computer and others.

https://stacspec.org. Which asset is a band, and what its numbers mean, is in
`polynya.sources.stac_assets`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from shapely.geometry import mapping

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, PolynyaError, SourceError, reason_of
from polynya.progress import track
from polynya.sources.item import Item
from polynya.sources.options import StacOptions
from polynya.sources.region import is_box
from polynya.sources.selection import Selection
from polynya.sources.stac_assets import find_baseline, item_band
from polynya.stores import gdal_path, read_object, signed_path

_PAGE = 250
_TIMEOUT = 60.0
"""Seconds without an answer."""
_PASSING = (429, 500, 502, 503, 504)
"""Status codes of failures that may pass."""


def list_items(options: StacOptions) -> list[Item]:
    """The items of a catalogue that fit; one that can't be used is an item with a problem.

    Raises:
        MissingDependencyError: The package pystac-client is not installed.
        SourceError: The catalogue can't be reached or is none.
    """
    selection = Selection(options)
    stac_io = _stac_io(options)
    root = _read(options.catalog, options, stac_io)
    if any(link.get("rel") == "search" for link in root.get("links", ())):
        found = _search(options, selection, stac_io)
    else:
        found = _walk(root, options, stac_io)
    items = {item.uri: item for item in track(found, "Listing items") if selection.holds(item)}
    return list(items.values())


def _read(href: str, options: StacOptions, stac_io: Any) -> dict[str, Any]:
    try:
        content = json.loads(stac_io.read_text(href))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        return content
    except _errors() as error:
        raise _unusable(options, href, error) from None


def _search(options: StacOptions, selection: Selection, stac_io: Any) -> Iterator[Item]:
    """Ask an API, part of the region by part: what crosses the antimeridian few agree on."""
    from pystac_client import Client
    from pystac_client.conformance import ConformanceClasses

    try:
        client = Client.open(options.catalog, stac_io=stac_io)
        query: dict[str, Any] = {"limit": _PAGE}
        if options.collection is not None:
            query["collections"] = [options.collection]
        if selection.start is not None and selection.end is not None:
            query["datetime"] = [selection.start, selection.end - timedelta(milliseconds=1)]
        if selection.max_cloud is not None and client.conforms_to(ConformanceClasses.QUERY):
            query["query"] = {"eo:cloud_cover": {"lte": selection.max_cloud}}
        for part in selection.parts or (None,):
            place: dict[str, Any] = {}
            if part is not None and is_box(part):
                place["bbox"] = list(part.bounds)
            elif part is not None:
                place["intersects"] = mapping(part)
            for content in client.search(**query, **place).items_as_dicts():
                yield _describe_one_of(content, options)
    except _errors() as error:
        raise _unusable(options, options.catalog, error) from None


def _walk(root: dict[str, Any], options: StacOptions, stac_io: Any) -> Iterator[Item]:
    """Follow the links of a static catalogue, or take the items of one file."""
    kind = root.get("type")
    if kind == "Feature":
        yield _describe(root, options.catalog, options)
    elif kind == "FeatureCollection":
        for content in root.get("features", ()):
            yield _describe_one_of(content, options)
    elif kind in ("Catalog", "Collection"):
        with ThreadPoolExecutor(options.at_once) as pool:
            yield from pool.map(
                lambda href: _read_item(href, options, stac_io),
                _item_links(root, options.catalog, options, stac_io),
            )
    else:
        raise SourceError(
            f"{options.catalog} is no STAC catalogue, collection or item; mend acquire.catalog in"
            " the recipe."
        )


def _item_links(
    catalog: dict[str, Any], href: str, options: StacOptions, stac_io: Any
) -> Iterator[str]:
    from pystac.utils import make_absolute_href

    for link in catalog.get("links", ()):
        if link.get("rel") not in ("item", "child"):
            continue
        target = make_absolute_href(link["href"], href, start_is_dir=False)
        if link["rel"] == "item":
            yield target
        else:
            yield from _item_links(_read(target, options, stac_io), target, options, stac_io)


def _read_item(href: str, options: StacOptions, stac_io: Any) -> Item:
    try:
        content = _read(href, options, stac_io)
    except SourceError as error:
        name = href.rstrip("/").rpartition("/")[2].removesuffix(".json")
        return Item(id=name, uri=href).failed(str(error))
    return _describe(content, href, options)


def _describe_one_of(content: dict[str, Any], options: StacOptions) -> Item:
    """Describe an item of a list, which may not say where it is itself."""
    return _describe(content, f"{options.catalog}#{content.get('id', '')}", options)


def _describe(content: dict[str, Any], href: str, options: StacOptions) -> Item:
    from pystac import Item as StacItem

    own = [link["href"] for link in content.get("links", ()) if link.get("rel") == "self"]
    uri = own[0] if own and "://" in own[0] else href
    found = Item(id=str(content.get("id", uri)), uri=uri)
    try:
        # The version stays as it is: `stac_assets` knows what changed between them.
        item = StacItem.from_dict(content, href=uri, migrate=False)
        properties = item.properties
        start = item.datetime or item.common_metadata.start_datetime
        found = replace(
            found,
            time=start.astimezone(UTC) if start else None,
            cloud_cover=properties.get("eo:cloud_cover"),
            footprint=item.geometry,
            product=properties.get("s2:product_uri", "").removesuffix(".SAFE") or None,
            baseline=find_baseline(properties),
            sun_azimuth=properties.get("view:sun_azimuth"),
            sun_elevation=properties.get("view:sun_elevation"),
        )
        bands = []
        for name in options.bands:
            band, asset_href = item_band(item, name, found, options)
            if options.sign_url is not None:
                path = signed_path(asset_href, item.collection_id or options.collection or "")
            else:
                path = gdal_path(asset_href)
            bands.append(replace(band, path=path))
    except PolynyaError as error:
        return found.failed(str(error))
    except _errors() as error:
        return found.failed(f"{uri} is no complete STAC item ({reason_of(error)}); leave it out.")
    return replace(found, bands=tuple(bands))


def _stac_io(options: StacOptions) -> Any:
    """Reader of catalogues on this machine, on servers and in object stores."""
    try:
        from pystac_client.stac_api_io import StacApiIO
    except ImportError:
        raise MissingDependencyError(
            "Scenes from STAC need the package pystac-client; install it with:"
            f" {install_command('stac')}"
        ) from None
    from urllib3.util import Retry

    class StacIO(StacApiIO):
        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            href = str(source)
            if href.startswith(("s3://", "gs://")):
                return read_object(href).decode()
            return str(super().read_text(source, *args, **kwargs))

    retries = Retry(
        total=options.retries,
        status_forcelist=_PASSING,
        allowed_methods=None,
        backoff_factor=0.5,
        backoff_jitter=0.5,
    )
    return StacIO(timeout=_TIMEOUT, max_retries=retries)


def _unusable(options: StacOptions, href: str, error: Exception) -> SourceError:
    where = href if href == options.catalog else f"{href} of {options.catalog}"
    return SourceError(
        f"The STAC catalogue {where} can't be read ({reason_of(error)}); check acquire.catalog and"
        " acquire.collection in the recipe and the network."
    )


def _errors() -> tuple[type[Exception], ...]:
    """What reading a catalogue raises.

    pystac has no error of its own for a document that is JSON but no STAC: it fails with whatever
    its parsing meets first (a missing key, a list where a string should be, an unknown version).
    """
    from pystac import STACError
    from pystac_client.exceptions import APIError

    malformed = (ValueError, KeyError, TypeError, AttributeError, NotImplementedError)
    return (STACError, APIError, PolynyaError, OSError, *malformed)

"""STAC: APIs and static catalogues, in the layouts of Earth Search, Planetary Computer and others.

See https://stacspec.org. `polynya.sources.stac.catalogue` reads catalogues.
`polynya.sources.stac.assets` finds the assets of bands, and their scale and offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from polynya.attempt import Failure, attempt
from polynya.errors import SceneError, SourceError, reason_of
from polynya.names import printable
from polynya.progress import track
from polynya.recipe.acquire import StacOptions
from polynya.sources.access.addresses import REFERRING, is_remote, resolve
from polynya.sources.access.parallel import each
from polynya.sources.items.item import (
    Band,
    Item,
    described,
    number_of,
    optional,
    text_of,
    time_of,
)
from polynya.sources.items.selection import Selection
from polynya.sources.source import Source
from polynya.sources.stac.assets import find_baseline, is_sentinel2, item_band
from polynya.sources.stac.catalogue import Catalogue, Document, malformed, name_of, search, walk
from polynya.storage.stores import gdal_path, signed_path


def list_items(options: StacOptions) -> list[Item]:
    """List the matching items of a catalogue; an unusable item has a problem.

    Raises:
        MissingDependencyError: The package pystac-client is not installed.
        SourceError: The catalogue can't be reached, is no STAC catalogue, or never ends.
    """
    selection = Selection(options)
    catalogue = Catalogue(options)
    root = catalogue.read(options.catalog)
    found: Iterator[Item]
    links = root.content.get("links")
    links = links if isinstance(links, list) else []
    if any(isinstance(link, dict) and link.get("rel") == "search" for link in links):
        found = map(partial(_describe, options=options), search(catalogue, selection))
    else:
        found = _static(catalogue, root)
    # Two parts of a region may give the same item.
    items = {(item.uri, item.id, item.bands): item for item in track(found, "Listing items")}
    return list(selection.chosen(items.values()))


def _static(catalogue: Catalogue, root: Document) -> Iterator[Item]:
    """Items of a static catalogue, or of a single file."""
    options, kind = catalogue.options, root.content.get("type")
    if kind == "Feature":
        yield _describe(root, options)
    elif kind == "FeatureCollection":
        features = root.content.get("features")
        for number, content in enumerate(features if isinstance(features, list) else (), start=1):
            yield _describe(Document(root.href, content, number), options)
    elif kind in ("Catalog", "Collection"):
        yield from each(partial(_read_item, catalogue), walk(catalogue, root), options.at_once)
    else:
        raise SourceError(
            f"{options.catalog} is no STAC catalogue, collection or item; fix acquire.catalog in"
            " the recipe."
        )


def _read_item(catalogue: Catalogue, found: Document | Item) -> Item:
    if isinstance(found, Item):
        return found
    document = attempt(lambda: catalogue.read(found.href), found.href, "read")
    if isinstance(document, Failure):
        return Item(id=name_of(found.href), uri=found.href).failed(document.reason)
    return _describe(document, catalogue.options)


def _describe(document: Document, options: StacOptions) -> Item:
    content: object = document.content
    name = content.get("id") if isinstance(content, dict) else None
    shown = text_of(str(name)[:300]) if isinstance(name, (str, int, float)) else None
    own = _own_address(content)
    place = f"#{printable(shown or str(document.number))}" if document.number else ""
    uri = own or document.href + place
    found = Item(id=shown or name_of(uri), uri=uri)
    try:
        item = _parsed(content, uri)
    except malformed() as error:
        return found.failed(f"{uri} is no complete STAC item ({reason_of(error)}); leave it out.")
    found = described(lambda: _with_properties(found, item), found)
    is_local = not is_remote(document.href)
    base = own or document.href
    return described(lambda: _with_bands(found, item, base, is_local, options), found)


def _own_address(content: object) -> str:
    """Remote address that an item gives for itself; "" if it gives none."""
    links = content.get("links") if isinstance(content, dict) else None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "self":
            href = text_of(link.get("href"))
            if href is not None and is_remote(href):
                return href
    return ""


def _parsed(content: Any, uri: str) -> Any:
    from pystac import Item as StacItem

    # Malformed links and assets are left out, because they may be unnecessary.
    assets = {
        key: asset
        for key, asset in content["assets"].items()
        if isinstance(asset, dict) and isinstance(asset.get("href"), str)
    }
    # The STAC version is not changed, because `polynya.sources.stac.assets` handles all versions.
    return StacItem.from_dict({**content, "assets": assets, "links": []}, href=uri, migrate=False)


def _with_properties(found: Item, item: Any) -> Item:
    properties = item.properties
    product = text_of(properties.get("s2:product_uri"))
    return replace(
        found,
        time=time_of(item.datetime or properties.get("start_datetime")),
        cloud_cover=number_of(properties.get("eo:cloud_cover")),
        footprint=item.geometry,
        product=product.removesuffix(".SAFE") if product else None,
        baseline=find_baseline(properties),
        sun_azimuth=number_of(properties.get("view:sun_azimuth")),
        sun_elevation=number_of(properties.get("view:sun_elevation")),
        version=text_of(properties.get("updated")) or "",
    )


def _with_bands(found: Item, item: Any, base: str, is_local: bool, options: StacOptions) -> Item:
    def band_of(name: str, by_number: bool = True) -> Band:
        try:
            band, href = item_band(item, name, found, options, by_number)
        except malformed() as error:
            raise SceneError(
                f"{found.uri} describes its band '{name}' in a way that isn't STAC"
                f" ({reason_of(error)}); leave it out."
            ) from None
        return replace(band, path=_band_path(href, base, is_local, name, item, options))

    bands = [band_of(name) for name in options.required_bands]
    by_number = is_sentinel2(item, found)
    for name in options.optional_bands:
        of_name = optional(partial(band_of, name, by_number))
        if not of_name and name == "nir":
            of_name = optional(partial(band_of, "nir08", by_number))  # Landsat has it alone.
        bands += of_name
    return replace(found, bands=tuple(bands))


def _band_path(
    href: object, base: str, is_local: bool, name: str, item: Any, options: StacOptions
) -> str:
    """GDAL path of an asset; SceneError if the asset may not be opened."""
    what = f"The asset of {base} for the band '{name}'"
    place = resolve(href, base, what)
    if not is_remote(place) and not is_local:
        raise SceneError(f"{what} refers to {place:.99}, a file of this machine; leave it out.")
    ending = re.search(r"\.([A-Za-z0-9]+)$", place.partition("?")[0].rpartition("/")[2])
    if ending and ending[1].lower() in REFERRING:
        raise SceneError(
            f"{what} is {place:.99}, a file that may refer to others; give one that is a GeoTIFF or"
            " JPEG 2000 image (acquire.bands), or leave the item out."
        )
    if options.sign_url is None:
        return gdal_path(place)
    collection = item.collection_id or options.collection or ""
    if not re.fullmatch(r"[\w.-]+", collection):
        raise SceneError(f"{what} is of the collection {collection!r:.99}, which can't be signed.")
    return signed_path(place, collection)


def _gdal_settings(options: StacOptions) -> dict[str, Any]:
    """GDAL setting with the address of read tokens, if files must be signed."""
    if options.sign_url is None:
        return {}
    return {"VSICURL_PC_SAS_TOKEN_URL": options.sign_url.rstrip("/") + "/"}


SOURCE = Source(list_items, gdal_settings=_gdal_settings)

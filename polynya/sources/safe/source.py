"""Sentinel-2 SAFE products, folders and zip files, on this machine or in an object store.

Scale and offset come from the product's metadata. Elements are named in the Sentinel-2 Products
Specification Document (https://sentiwiki.copernicus.eu/web/s2-products): QUANTIFICATION_VALUE and
RADIO_ADD_OFFSET of Level-1C, BOA_QUANTIFICATION_VALUE and BOA_ADD_OFFSET of Level-2A.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from xml.etree import ElementTree

from polynya.errors import SceneError, SourceError
from polynya.progress import track
from polynya.recipe.acquire import SafeOptions
from polynya.sources.access.addresses import member_name
from polynya.sources.access.parallel import each
from polynya.sources.items import sentinel2
from polynya.sources.items.item import Band, Item, described, number_of, optional, time_of
from polynya.sources.items.selection import Selection
from polynya.sources.safe.product import (
    DAMAGED,
    LEVELS,
    Product,
    open_product,
    parse_xml,
    product_metadata,
)
from polynya.sources.source import Source
from polynya.storage.stores import is_listing, list_objects

_ENDINGS = (".safe", ".zip")


def list_items(options: SafeOptions) -> list[Item]:
    """List the matching products; an unreadable product is an item with a problem.

    Raises:
        SourceError: There is no product, the region can't be used, or a band is unknown.
        SceneError: A bucket can't be listed.
    """
    names = [sentinel2.require_band(band) for band in options.required_bands]
    selection = Selection(options)
    products = [product for path in options.paths for product in _find_products(path)]
    if not products:
        raise SourceError(
            f"No SAFE product is in {', '.join(options.paths)}; give products, folders of products"
            " (names end in .SAFE or .zip) or globs in acquire.paths."
        )
    uris = sorted(set(products))
    items = each(lambda uri: _describe(uri, names, options), uris, options.at_once)
    return list(selection.chosen(track(items, "Reading metadata of products", len(uris))))


def _find_products(path: str) -> list[str]:
    if path.startswith(("s3://", "gs://")):
        return (
            [uri for uri in list_objects(path, folders=True) if uri.lower().endswith(_ENDINGS)]
            if is_listing(path)
            else [path]
        )
    if os.path.isdir(path) and not _is_folder_product(path):
        inside = (os.path.join(path, name) for name in os.listdir(path))
        return [os.path.abspath(name) for name in inside if name.lower().endswith(_ENDINGS)]
    found = glob.glob(path, recursive=True)
    # A path that doesn't exist stays in the list, and fails later with its name.
    return [os.path.abspath(name) for name in found or [path]] if not _is_empty(path) else []


def _is_empty(path: str) -> bool:
    return glob.has_magic(path) and not glob.glob(path, recursive=True)


def _is_folder_product(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, f"MTD_{level}.xml")) for level in LEVELS) or (
        path.rstrip("/").lower().endswith(".safe")
    )


def _describe(uri: str, names: list[sentinel2.BandName], options: SafeOptions) -> Item:
    stem = os.path.basename(uri.rstrip("/"))
    found = Item(id=re.sub(r"\.(SAFE|zip)$", "", stem, flags=re.IGNORECASE), uri=uri)
    # Each step adds its results, so that an item with a problem keeps the known information.
    opened: list[tuple[Product, str, ElementTree.Element]] = []

    def with_product() -> Item:
        product = open_product(uri)
        level, metadata = product_metadata(product)
        opened.append((product, level, metadata))
        return _with_product(found, metadata)

    def with_bands() -> Item:
        product, level, metadata = opened[0]
        images = _images(metadata, product)
        item = _with_sun(known, product, next(iter(images.values())))

        def band(name: sentinel2.BandName) -> Band:
            return _band(name, images, level, metadata, product, options)

        def there(name: sentinel2.BandName) -> Band:
            return _there(band(name), product)

        bands = [band(name) for name in names]
        for wanted in map(sentinel2.require_band, options.optional_bands):
            bands += optional(partial(there, wanted))
        return replace(item, bands=tuple(bands))

    known = described(lambda: _understood(with_product, uri), found)
    return described(lambda: _understood(with_bands, uri), known)


def _understood(step: Callable[[], Item], uri: str) -> Item:
    """Result of a step; an error of the product becomes a SceneError with one sentence."""
    try:
        return step()
    except DAMAGED as error:
        reason = " ".join(str(error).strip("'\"").split())[:300]
        raise SceneError(f"{uri} is no complete SAFE product ({reason}); fetch it again.") from None


def _with_product(item: Item, metadata: ElementTree.Element) -> Item:
    name = _value(metadata, "PRODUCT_URI") or _value(metadata, "PRODUCT_URI_2A")
    return replace(
        item,
        time=time_of(_value(metadata, "PRODUCT_START_TIME")),
        cloud_cover=number_of(_value(metadata, "Cloud_Coverage_Assessment")),
        product=re.sub(r"\.SAFE$", "", name) if name else None,
        baseline=_value(metadata, "PROCESSING_BASELINE"),
        footprint=_footprint(_value(metadata, "EXT_POS_LIST")),
    )


def _footprint(positions: str | None) -> dict[str, Any] | None:
    """GeoJSON polygon from a text 'latitude longitude latitude longitude ...'."""
    if positions is None:
        return None
    numbers = [number_of(number) for number in positions.split()]
    if None in numbers:
        return None
    points = [[x, y] for y, x in zip(numbers[::2], numbers[1::2], strict=False)]
    return {"type": "Polygon", "coordinates": [points]} if len(points) > 3 else None


def _images(metadata: ElementTree.Element, product: Product) -> dict[str, str]:
    """Image files of a product, by the last part of their names, such as 'B04' or 'B04_10m'."""
    texts = ((node.text or "").strip() for node in metadata.iterfind(".//{*}IMAGE_FILE"))
    paths = [member_name(text, product.uri) for text in texts]
    if len({tuple(path.split("/")[:2]) for path in paths}) != 1:
        raise SceneError(
            f"{product.uri} is of the format before December 2016, with several tiles or none in"
            " one product; fetch it again in the present format, one tile a product."
        )
    named = ((re.search(r"_([A-Z0-9]{3}(?:_\d\dm)?)$", path), path) for path in paths)
    images = {match[1]: path for match, path in named if match}
    if not images:
        raise SceneError(f"{product.uri} names no image of a band; fetch it again.")
    return images


def _with_sun(item: Item, product: Product, image: str) -> Item:
    granule = "/".join(image.split("/")[:2])
    try:
        tile = parse_xml(product.read(f"{granule}/MTD_TL.xml"))
    except (FileNotFoundError, KeyError):
        raise SceneError(
            f"{product.uri} is no complete SAFE product ({granule}/MTD_TL.xml is missing); fetch it"
            " again."
        ) from None
    zenith = number_of(_value(tile, "Mean_Sun_Angle/{*}ZENITH_ANGLE"))
    return replace(
        item,
        sun_azimuth=number_of(_value(tile, "Mean_Sun_Angle/{*}AZIMUTH_ANGLE")),
        sun_elevation=None if zenith is None else round(90.0 - zenith, 9),
    )


def _band(
    name: sentinel2.BandName,
    images: dict[str, str],
    level: str,
    metadata: ElementTree.Element,
    product: Product,
    options: SafeOptions,
) -> Band:
    # The first name has the finest resolution of the band.
    found = [images[key] for key in sorted(images) if key.split("_")[0] == name.name]
    if not found:
        raise SceneError(
            f"{product.uri} has no band {name.name} ({name.common}); fix acquire.bands in the"
            " recipe or leave the product out."
        )
    scale, offset = 1.0, 0.0
    if name.name != sentinel2.CLASSIFICATION:
        scale, offset = _calibration(name, level, metadata, product, options)
    member = f"{found[0]}.jp2"
    product.check(member)
    return Band(name.name, f"{product.root}/{member}", 1, scale, offset, sentinel2.NODATA)


def _there(band: Band, product: Product) -> Band:
    """The band; SceneError if its file is missing, as in products that were fetched in part."""
    if not product.has(band.path.removeprefix(f"{product.root}/")):
        raise SceneError(f"{product.uri} lacks the file of its band {band.name}.")
    return band


def _calibration(
    name: sentinel2.BandName,
    level: str,
    metadata: ElementTree.Element,
    product: Product,
    options: SafeOptions,
) -> tuple[float, float]:
    """Scale and offset of a band: from the recipe, otherwise from the product."""
    boa = level == "MSIL2A"
    scale = options.scale
    if scale is None:
        key = ("BOA_" if boa else "") + "QUANTIFICATION_VALUE"
        quantification = number_of(_value(metadata, key))
        if quantification is None or not quantification > 0:
            raise SceneError(
                f"{product.uri} doesn't say its QUANTIFICATION_VALUE; fetch it again or set"
                " acquire.scale in the recipe."
            )
        scale = 1.0 / quantification
    if options.offset is not None:
        return scale, options.offset
    return scale, _add_offset(name, boa, metadata, product) * scale


def _add_offset(
    name: sentinel2.BandName, boa: bool, metadata: ElementTree.Element, product: Product
) -> float:
    """Number that must be added to the product's digital numbers, from its metadata."""
    tag = "BOA_ADD_OFFSET" if boa else "RADIO_ADD_OFFSET"
    offsets = {
        node.get("band_id", ""): float(node.text or "nan")
        for node in metadata.iterfind(f".//{{*}}{tag}")
    }
    band_ids = {
        node.get("physicalBand", ""): node.get("bandId", "")
        for node in metadata.iterfind(".//{*}Spectral_Information")
    }
    band_id = band_ids.get(name.short, str(sentinel2.BANDS.index(name)))
    if band_id in offsets:
        return offsets[band_id]
    baseline = _value(metadata, "PROCESSING_BASELINE")
    if offsets or baseline is None or sentinel2.has_offset(baseline):
        raise SceneError(
            f"{product.uri} doesn't say the {tag} of {name.name}; fetch it again or set"
            " acquire.offset in the recipe."
        )
    return 0.0


def _value(root: ElementTree.Element, tag: str) -> str | None:
    node = root.find(f".//{{*}}{tag}")
    return node.text.strip() if node is not None and node.text else None


SOURCE = Source(list_items)

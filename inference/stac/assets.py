"""Assets of STAC items: each file of a scene with its type, size, checksum and bands."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from inference.products.class_map import is_one_band
from inference.products.paths import COG, ProductFile, ProductPaths
from inference.products.registry import listed_files
from polynya.quiet import ignore_warnings
from polynya.recipe.classes import NO_MASK, ClassScheme
from polynya.recipe.inference import ProductName

if TYPE_CHECKING:
    from pystac import Asset

CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
# Multihash: code of SHA-256 and length of the digest in bytes, from
# https://github.com/multiformats/multicodec.
_SHA256_OF_32_BYTES = "1220"


def product_assets(
    paths: ProductPaths, classes: ClassScheme, products: Iterable[ProductName]
) -> dict[str, Asset]:
    """Describe the files of a scene as assets, by key.

    Args:
        paths: Paths of the files.
        classes: Scheme of the codes.
        products: Products in addition to map and overview.
    """
    import pystac

    assets = {}
    for file in listed_files(products):
        path = paths.named(file.ending)
        fields = file_fields(path)
        if file.media_type == COG:
            fields |= raster_fields(path)
        if file.has_codes:
            meaning = label_fields(file, classes)
            of_bands = zip(fields.get("bands", []), meaning.get("bands", []), strict=False)
            merged = [raster | label for raster, label in of_bands]
            fields |= meaning | ({"bands": merged} if merged else {})
        assets[file.asset] = pystac.Asset(
            path.name,
            title=(file.title_of_masks if classes.has_masks else "") or file.title,
            media_type=file.media_type,
            roles=[file.role],
            extra_fields=fields,
        )
    return assets


def file_fields(path: Path) -> dict[str, Any]:
    """Find size and checksum of a file, for the file extension."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file:size": path.stat().st_size, "file:checksum": _SHA256_OF_32_BYTES + digest}


def label_fields(file: ProductFile, classes: ClassScheme) -> dict[str, Any]:
    """Describe the pixels of a file of labels, for the classification extension.

    One band of codes or of one mask has classes. If several masks have one band each, each band has
    its own classes. One band of several masks has one bit field per mask.
    """
    if not classes.has_masks:
        return {"classification:classes": class_entries(classes)}
    if is_one_band(classes):
        return {"classification:classes": [*_mask_entries(classes, 0), _nodata_entry(classes)]}
    if file.media_type == COG:
        return {
            "bands": [
                {
                    "name": c.name,
                    "description": c.title,
                    "classification:classes": [
                        *_mask_entries(classes, c.code),
                        _nodata_entry(classes),
                    ],
                }
                for c in classes.classes
            ]
        }
    return {
        "nodata": classes.nodata,
        "classification:bitfields": [
            {
                "offset": c.code,
                "length": 1,
                "name": c.name,
                "description": c.title,
                "classes": _mask_entries(classes, c.code),
            }
            for c in classes.classes
        ],
    }


def _mask_entries(classes: ClassScheme, code: int) -> list[dict[str, Any]]:
    """List two classes: outside and inside of a mask."""
    mask = classes.classes[code]
    return [
        {
            "value": 0,
            "name": f"no_{mask.name}",
            "title": f"Outside of: {mask.title}",
            "description": f"Outside of: {mask.title}, mask {code} of {classes.name}",
            "color_hint": _color_hint(NO_MASK),
        },
        {
            "value": 1,
            "name": mask.name,
            "title": mask.title,
            "description": f"{mask.title}, mask {code} of {classes.name}",
            "color_hint": _color_hint(mask.color),
        },
    ]


def _color_hint(color: tuple[int, int, int]) -> str:
    return "".join(f"{part:02X}" for part in color)


def _nodata_entry(classes: ClassScheme) -> dict[str, Any]:
    return {
        "value": classes.nodata,
        "name": "nodata",
        "title": "No data",
        "description": "The scene has no valid pixel here",
        "nodata": True,
    }


def class_entries(classes: ClassScheme) -> list[dict[str, Any]]:
    """List the classes by code, with nodata at the end, for the classification extension.

    For masks, these are the channels of a model; a map of masks uses `label_fields`. Version 2 of
    the extension needs a name; MLM refers to version 1, which needs a description.
    """
    kind = "mask" if classes.has_masks else "class"
    entries: list[dict[str, Any]] = [
        {
            "value": c.code,
            "name": c.name,
            "title": c.title,
            "description": f"{c.title}, {kind} {c.code} of {classes.name}",
            "color_hint": _color_hint(c.color),
        }
        for c in classes.classes
    ]
    return [*entries, _nodata_entry(classes)]


def raster_fields(path: Path) -> dict[str, Any]:
    """Describe type, nodata, bands and place of a raster, for the raster extension."""
    ignore_warnings(NotGeoreferencedWarning)
    with rasterio.open(path) as source:
        bands = [
            {"name": name, "raster:scale": scale, "raster:offset": offset}
            for name, scale, offset in zip(
                source.descriptions, source.scales, source.offsets, strict=True
            )
        ]
        fields: dict[str, Any] = {
            "data_type": source.dtypes[0],
            "nodata": "nan" if math.isnan(source.nodata) else int(source.nodata),
            "bands": bands,
            "proj:shape": [source.height, source.width],
        }
        if not source.transform.is_identity:
            fields["proj:transform"] = list(source.transform)[:6]
    return fields

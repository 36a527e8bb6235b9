"""Assets of a STAC item: which asset is a band, and its scale, offset and nodata.

Known layouts are Earth Search (assets red, green, blue;
https://earth-search.aws.element84.com/v1), Planetary Computer (B04, B03, B02;
https://planetarycomputer.microsoft.com/dataset/sentinel-2-l2a), and others by common names of
bands. Scale and offset are in `raster:bands` (raster extension 1), or are `raster:scale` and
`raster:offset` in `bands` or in the asset (STAC 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polynya.errors import SceneError
from polynya.recipe.acquire import StacOptions
from polynya.sources.items import sentinel2
from polynya.sources.items.item import Band, Item, number_of

_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
_OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Earth Search: whether the numbers already include BOA_ADD_OFFSET. If they do, the offset in
`raster:bands` must not be used (https://github.com/Element84/earth-search/issues/9)."""


_SENTINEL2 = re.compile(r"sentinel[ _-]?2|(?<![0-9a-z])s2[abc_-]")


def find_baseline(properties: Mapping[str, Any]) -> str | None:
    """Processing baseline of a Sentinel-2 item, such as '05.10'; None if it is not given."""
    for key in _BASELINES:
        text = str(properties.get(key, ""))
        if re.fullmatch(r"\d\d\.\d\d", text):
            return text
    return None


def is_sentinel2(item: Any, found: Item) -> bool:
    """Whether an item is of Sentinel-2: by its baseline, satellite, collection or id."""
    said = [item.collection_id, item.id]
    said += [item.properties.get(key) for key in ("platform", "constellation")]
    return found.baseline is not None or any(
        _SENTINEL2.search(text.lower()) for text in said if isinstance(text, str)
    )


def item_band(
    item: Any, name: str, found: Item, options: StacOptions, by_number: bool = True
) -> tuple[Band, object]:
    """Find one band of an item, with an empty path, and the unchanged address of its asset.

    Args:
        item: The pystac item.
        name: Name of the band in the recipe.
        found: Known information about the item.
        options: Options of the source, with scale and offset.
        by_number: Also look for the number of the band on Sentinel-2; on other satellites, it may
            be another band.

    Raises:
        SceneError: There is no such band, or its scale or offset is unknown.
    """
    known = sentinel2.find_band(name)
    asset = _find_asset(item, name, known if by_number else None, found.uri)
    info = _band_info(asset)
    scale, offset = 1.0, 0.0
    if known is None or known.name != sentinel2.CLASSIFICATION:
        scale, offset = _calibration(item.properties, info, found, options)
    nodata = info.get("nodata", sentinel2.NODATA if known and found.baseline else None)
    return Band(
        # B04 is the near infrared of Landsat 5, so only Sentinel-2 has these names.
        name=known.name if known and is_sentinel2(item, found) else name,
        path="",
        index=1,
        scale=scale,
        offset=offset,
        nodata=number_of(nodata),
        version=_version(asset.extra_fields),
    ), asset.href


def _version(fields: Mapping[str, Any]) -> str:
    """Checksum, size and time of an asset's file (STAC file extension); "" if not given."""
    said = (fields.get(key) for key in ("file:checksum", "file:size", "updated"))
    return " ".join(str(one)[:200] for one in said if isinstance(one, (str, int)))


def _find_asset(item: Any, name: str, known: sentinel2.BandName | None, uri: str) -> Any:
    keys = [name]
    if known is not None:
        # Copernicus Data Space puts the resolution into the key.
        in_metres = f"{known.name}_{known.resolution}m"
        keys += [known.common, known.name, known.short, in_metres, f"{known.common}-jp2"]
    for key in keys:
        if key in item.assets:
            return item.assets[key]
    wanted = {key.lower() for key in keys}
    for asset in item.assets.values():
        fields = asset.extra_fields
        bands: list[dict[str, Any]] = fields.get("bands") or fields.get("eo:bands") or []
        if len(bands) == 1:
            names = (bands[0].get(key) for key in ("name", "common_name", "eo:common_name"))
            if wanted & {str(one).lower() for one in names}:
                return asset
    raise SceneError(
        f"{uri} has no band '{name}' (its assets: {', '.join(item.assets)}); fix acquire.bands in"
        " the recipe or leave the item out."
    )


def _band_info(asset: Any) -> dict[str, Any]:
    """Scale, offset and nodata of an asset, as far as given, in any version of STAC."""
    fields = asset.extra_fields
    info: dict[str, Any] = {}
    per_band: list[dict[str, Any]] = [
        *(fields.get("bands") or [])[:1],
        *(fields.get("raster:bands") or [])[:1],
    ]
    for source in (fields, *per_band):
        for key in ("scale", "offset", "nodata"):
            for name in (key, f"raster:{key}"):
                if source.get(name) is not None:
                    info[key] = source[name]
    return info


def _calibration(
    properties: Mapping[str, Any], info: dict[str, Any], found: Item, options: StacOptions
) -> tuple[float, float]:
    """Scale and offset: from the recipe, otherwise from the item."""
    scale = options.scale if options.scale is not None else _number(info, "scale", found)
    if scale is None and found.baseline is not None:
        scale = sentinel2.SCALE
    if scale is None:
        raise SceneError(
            f"{found.uri} doesn't say what reflectance its numbers mean; set acquire.scale and"
            " acquire.offset in the recipe."
        )
    if options.offset is not None:
        return scale, options.offset
    if any(properties.get(key) is True for key in _OFFSET_APPLIED):
        return scale, 0.0
    offset = _number(info, "offset", found)
    if found.baseline is None:
        # In the raster extension, a missing offset means 0.
        return scale, offset or 0.0
    shifted = sentinel2.has_offset(found.baseline)
    if offset is None:
        return scale, sentinel2.ADD_OFFSET * scale if shifted else 0.0
    if shifted != (offset != 0.0):
        raise SceneError(
            f"{found.uri} says that its offset is {offset} and its processing baseline"
            f" {found.baseline}, which has {'one' if shifted else 'none'}; set acquire.offset in"
            " the recipe: -0.1 where the numbers are as the agency made them from baseline 04.00"
            " on, 0 where they are older or shifted."
        )
    return scale, offset


def _number(info: dict[str, Any], key: str, found: Item) -> float | None:
    """Number from an item; None if missing; SceneError if it is no number."""
    if key not in info:
        return None
    number = number_of(info[key])
    if number is None:
        raise SceneError(
            f"{found.uri} gives a band the {key} {info[key]!r:.50}, which must be a number; set"
            f" acquire.{key} in the recipe or leave the item out."
        )
    return number

"""Which band of a file a recipe means by a name such as 'nir', 'B08' or 'SR_B5'.

Names are the common names of STAC's eo extension
(https://github.com/stac-extensions/eo#common-band-names) or the file's own names of its bands.
The meaning of a band number depends on the sensor that the file names. If the file names no sensor,
a common name is found by words and wavelengths only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from polynya.errors import SceneError
from polynya.names import printable
from polynya.rasters.opening import band_number
from polynya.scenes.bands import names_of, wavelength_of

_SENTINEL_2 = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "rededge1", "6": "rededge2",
    "7": "rededge3", "8": "nir", "8a": "nir08", "9": "nir09", "10": "cirrus", "11": "swir16",
    "12": "swir22",
}  # fmt: skip
_LANDSAT_8 = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir16",
    "7": "swir22", "8": "pan", "9": "cirrus", "10": "lwir11", "11": "lwir12",
}  # fmt: skip
_LANDSAT_4 = {"1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir16", "6": "lwir",
              "7": "swir22"}  # fmt: skip
_MODIS = {"1": "red", "2": "nir", "3": "blue", "4": "green", "6": "swir16", "7": "swir22"}
_SENSORS = (
    (_MODIS, re.compile(r"modis|sur_refl_b|nadir_reflectance|(?<![0-9a-z])m[coy]d(?:09|43)")),
    (_LANDSAT_8, re.compile(r"landsat[ _-]?0?[89]|(?<![0-9a-z])l[co]0?[89]")),
    (_LANDSAT_4, re.compile(r"landsat[ _-]?0?[457]|(?<![0-9a-z])l[et]0?[457]")),
    (_SENTINEL_2, re.compile(r"sentinel[ _-]?2|(?<![0-9a-z])s2[abc_-]")),
)
"""Common names of bands by number for each sensor, and how names of files mention the sensor."""

COMMON_NAMES = frozenset(
    {*_SENTINEL_2.values(), *_LANDSAT_8.values(), *_LANDSAT_4.values(), "pan", "yellow", "rededge"}
)
_PHRASES = (
    (re.compile(r"\bnear ?infra ?red\b"), "nir"),
    (re.compile(r"\bshort ?wave ?infra ?red\b"), "swir"),
    (re.compile(r"\bred ?edge ?(\d?)\b"), r"rededge\1"),
    (re.compile(r"\bswir ?1\b"), "swir16"),
    (re.compile(r"\bswir ?2\b"), "swir22"),
)
"""Other words for common names."""
_LETTERS = {"r": "red", "g": "green", "b": "blue", "n": "nir"}
_NO_LIGHT = {"edge", "infra", "infrared", "deep", "index", "mask", "ratio"}
"""Words that change the meaning of a colour in a name, such as "red edge"."""

_NANOMETRES = {
    "coastal": (400, 450), "blue": (450, 530), "green": (510, 600), "yellow": (600, 620),
    "red": (620, 690), "rededge": (690, 790), "nir": (750, 1000), "swir16": (1550, 1750),
    "swir22": (2050, 2450),
}  # fmt: skip
"""Wavelengths of the eo extension; overlapping ranges are narrowed."""

LAYERS = {
    "nir": (("nir", "nir08"), "b8"),
    "swir": (("swir16", "swir22"), "b11"),
    "cirrus": (("cirrus",), "b10"),
}
"""Common names of the band of a layer, the best first, and its short name on Sentinel-2."""
_POSITION = re.compile(r"band[ _-]?\d+a?")

_NUMBER = re.compile(r"(?<![0-9a-z])(?:b|band)[ _-]?0?(\d{1,2}a?)(?![0-9a-z])")
_PADDED = re.compile(r"(?<![0-9a-z])b0[1-9]|(?<![0-9a-z])b(?:8a|1[012])(?![0-9a-z])")
"""Band numbers in a form that only Sentinel-2 uses."""


def find_band(source: Any, uri: str, band: int | str, key: str) -> int:
    """1-based number of the band that a recipe names.

    Args:
        source: The open raster.
        uri: Name of the raster.
        band: Number, name in the file, common name, or number of the sensor such as 'B08'.
        key: Key of the recipe that names the band.

    Raises:
        SceneError: There is no such band, or there are several.
    """
    if isinstance(band, int) or band in source.descriptions:
        return band_number(source, uri, band, key)
    wanted = band.strip().lower()
    names = names_of(source)
    common = _common_names(source, names, uri)
    meant = _common_word(wanted)
    number = _number(wanted)
    for found in (
        [i for i, name in enumerate(names, 1) if name == wanted],
        [i for i, name in enumerate(common, 1) if meant and name == meant],
        [i for i, name in enumerate(names, 1) if number and _number(name) == number],
        [] if any(common) else _by_wavelength(source, meant or ""),
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise SceneError(
                f"{printable(uri)} has several bands that may be '{band}' (numbers"
                f" {', '.join(map(str, found))}); give one by its number in the recipe's key"
                f" '{key}'."
            )
    called = ", ".join(
        f"{i} '{name}'" + (f" ({known})" if known and known != name else "")
        for i, (name, known) in enumerate(zip(names, common, strict=True), 1)
        if name
    )
    raise SceneError(
        f"{printable(uri)} has no band '{band}' (it has {source.count}:"
        f" {called or 'without names'}); correct the recipe's key '{key}', or name the file's bands"
        " (gdal_edit.py, or rasterio's set_band_description)."
    )


def find_layer(source: Any, uri: str, layer: str, bands: Collection[int]) -> int | None:
    """1-based number of the band of a layer by the names of bands; None if it isn't clear.

    Args:
        source: The open raster.
        uri: Name of the raster.
        layer: One of `LAYERS`.
        bands: 1-based numbers of the bands that may be taken.
    """
    # 'Band 8' may be the eighth band of any stack.
    names = ["" if _POSITION.fullmatch(name) else name for name in names_of(source)]
    common = _common_names(source, names, uri)
    wanted, sentinel_2 = LAYERS[layer]
    for name in wanted:
        found = [i for i, known in enumerate(common, 1) if known == name and i in bands]
        if found:
            return found[0] if len(found) == 1 else None
    if _sensor(source, names, uri) is None:
        # Earth Engine's exports of Sentinel-2 have B4, B3, B2 and B8, and name no sensor.
        found = [i for i, name in enumerate(names, 1) if name == sentinel_2 and i in bands]
        return found[0] if len(found) == 1 else None
    return None


def common_name(source: Any, index: int, uri: str) -> str | None:
    """Common name of a band; None if the file doesn't tell it."""
    return _common_names(source, names_of(source), uri)[index - 1]


def _common_names(source: Any, names: Sequence[str], uri: str) -> list[str | None]:
    by_number = _sensor(source, names, uri) or {}
    return [_common_word(name) or by_number.get(_number(name) or "") for name in names]


def _common_word(name: str) -> str | None:
    """Common name from words of a name, such as 'Red Edge 1' or 'Red (B04)'; None if unclear."""
    text = re.sub(r"[^0-9a-z]+", " ", name).strip()
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    words = [_LETTERS.get(text, word) for word in text.split()]
    found = {word for word in words if word in COMMON_NAMES}
    return found.pop() if len(found) == 1 and not _NO_LIGHT & set(words) else None


def _number(name: str) -> str | None:
    match = _NUMBER.search(name.replace("sur_refl_b", "b"))
    return match[1] if match else None


def _sensor(source: Any, names: Sequence[str], uri: str) -> dict[str, str] | None:
    """Common names by band number for the file's sensor; None if the file names no sensor."""
    platform = " ".join(
        text
        for key, text in source.tags().items()
        if re.search(r"platform|spacecraft|satellite|sensor|product", key, re.IGNORECASE)
    )
    for text in (" ".join(names), platform, re.split(r"[/\\]", uri)[-1]):
        found = [table for table, pattern in _SENSORS if pattern.search(text.lower())]
        if len(found) == 1:
            return found[0]
    return _SENTINEL_2 if any(_PADDED.search(name) for name in names) else None


def _by_wavelength(source: Any, wanted: str) -> list[int]:
    low, high = _NANOMETRES.get(wanted, (0, 0))
    lengths = [wavelength_of(source, index) for index in range(1, source.count + 1)]
    return [i for i, length in enumerate(lengths, 1) if low <= length < high]

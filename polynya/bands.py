"""Which bands of a file are red, green and blue.

What the file says wins over what a format says by itself: GDAL calls the bands of each 3-band 8-bit
TIFF red, green and blue. In this order: names of bands, their wavelengths, an order of colours that
isn't the usual one, the usual one. Names and colours that contradict each other are an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from rasterio.enums import ColorInterp

from polynya.errors import SceneError
from polynya.scene_names import printable

COLORS = ("red", "green", "blue")
_INTERPRETATIONS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

_REMEDY = "set scene.bands in the recipe, such as [4, 3, 2] or [B04, B03, B02]."

# Bands of red, green and blue by number.
_FOUR_THREE_TWO = (4, 3, 2)
"""Sentinel-2, Landsat 8 and 9, HLS."""
_THREE_TWO_ONE = (3, 2, 1)
"""Landsat 4, 5 and 7."""
_MODIS = (1, 4, 3)

_NUMBERED = re.compile(r"^(?:(sr|toa|st)[_-]?)?(?:b|band)(0?)(\d{1,2})(a?)(?![0-9a-z])(.*)$")
_MODIS_NAMES = re.compile(r"^(?:sur_refl_b|nadir_reflectance_band)0?(\d)")
_OTHER_LIGHT = {
    "edge", "rededge", "infra", "infrared", "near", "nir", "swir", "coastal", "deep", "pan",
    "index", "mask", "ratio",
}  # fmt: skip
_ONLY_LATER = {8.5, 9, 10, 11, 12}
"""Numbers that Landsat 4, 5 and 7 don't have; 8.5 stands for 8A."""
_FIRST_SENSORS = re.compile(r"landsat[ _-]?0?[457]|^l[et]0?[457]", re.IGNORECASE)
_LATER_SENSORS = re.compile(
    r"landsat[ _-]?0?[89]|^lc0?[89]|sentinel[ _-]?2|^s2[abc]", re.IGNORECASE
)

_WAVELENGTHS = {"red": (620.0, 665.0, 690.0), "green": (530.0, 560.0, 590.0),
                "blue": (440.0, 485.0, 515.0)}  # fmt: skip
"""Shortest, preferred and longest, nanometres."""

_NAME_TAGS = ("long_name", "standard_name", "band_name", "bandname", "name", "common_name")
_WAVELENGTH_TAGS = ("central_wavelength_um", "central_wavelength_nm", "center_wavelength",
                    "central_wavelength", "wavelength")  # fmt: skip


def find_colors(source: Any, uri: str) -> tuple[int, int, int]:
    """1-based bands of red, green and blue.

    Args:
        source: The open raster.
        uri: Its name.

    Raises:
        SceneError: The file has too few bands, or what it says of them is ambiguous.
    """
    if source.count < 3:
        raise SceneError(_too_few(source, uri))
    marked = _marked(source, uri)
    named = _by_number(_names(source), source, uri) or _by_word(_names(source), uri)
    named = named or _by_wavelength(source)
    missing = [color for color in COLORS if color not in named]
    if named and not missing:
        found = (named["red"], named["green"], named["blue"])
        if marked is not None and marked != (1, 2, 3) and marked != found:
            raise SceneError(
                f"{printable(uri)} contradicts itself: by names red, green and blue are the bands"
                f" {found}, by colours {marked}; {_REMEDY}"
            )
        return found
    by_format = marked or ((1, 2, 3) if source.count <= 4 else None)
    if by_format is None:
        raise SceneError(
            f"{printable(uri)} has {source.count} bands and none is marked red, green or blue;"
            f" {_REMEDY}"
        )
    for color, index in named.items():
        if by_format[COLORS.index(color)] != index:
            raise SceneError(
                f"{printable(uri)} names band {index} {color} and no band {' or '.join(missing)};"
                f" {_REMEDY}"
            )
    return by_format


def _too_few(source: Any, uri: str) -> str:
    bands = f"{source.count} band{'s' * (source.count > 1)}"
    if ColorInterp.palette in source.colorinterp:
        return (
            f"{printable(uri)} has {bands} with a palette where red, green and blue are needed;"
            " turn the palette into colours (gdal_translate -expand rgb)."
        )
    return (
        f"{printable(uri)} has {bands} where red, green and blue are needed; stack the files of"
        " red, green and blue, in this order, into one (gdalbuildvrt -separate)."
    )


def _marked(source: Any, uri: str) -> tuple[int, int, int] | None:
    """The bands that are marked by colour."""
    colors = list(source.colorinterp)
    if not set(_INTERPRETATIONS) <= set(colors):
        return None
    for color in _INTERPRETATIONS:
        if colors.count(color) > 1:
            raise SceneError(
                f"{printable(uri)} has {colors.count(color)} bands that are marked {color.name};"
                f" {_REMEDY}"
            )
    red, green, blue = (colors.index(color) + 1 for color in _INTERPRETATIONS)
    return red, green, blue


def _names(source: Any) -> list[str]:
    """What the file calls its bands, in lower case; empty where it doesn't say."""
    tags = {key.lower(): text for key, text in source.tags().items()}
    # A tuple written as text, as programs do that keep one attribute for all bands.
    listed = re.findall(r"[^,;()\[\]'\"]+", tags.get("long_name", ""))
    listed = [text.strip() for text in listed if text.strip()]
    names = []
    for index in range(1, source.count + 1):
        of_band = {key.lower(): text for key, text in source.tags(index).items()}
        found = source.descriptions[index - 1] or next(
            (of_band[key] for key in _NAME_TAGS if of_band.get(key)), ""
        )
        if not found and len(listed) == source.count:
            found = listed[index - 1]
        names.append((found or tags.get(f"band_{index}", "")).strip().lower())
    return names


def _by_number(names: Sequence[str], source: Any, uri: str) -> dict[str, int]:
    """Colours by names such as B04, B4, SR_B4, B04_10m or sur_refl_b01."""
    modis = [_MODIS_NAMES.match(name) for name in names]
    if any(modis):
        return _at(_MODIS, [float(m.group(1)) if m else math.nan for m in modis], names, uri)
    found = [_NUMBERED.match(name) for name in names]
    numbers = [int(m.group(3)) + 0.5 * bool(m.group(4)) if m else math.nan for m in found]
    if not {2, 3} <= set(numbers) or any(m and _words(m.group(5)) & set(COLORS) for m in found):
        return {}  # 'Band 4 - Red' says more than its number.
    padded = any(m and m.group(2) for m in found)
    # 'Band 1' is the first band of anything.
    if not padded and all(name.startswith("band") for name in names if name):
        return {}
    order = _FOUR_THREE_TWO if padded else _order(set(numbers), names, source, uri)
    return _at(order, numbers, names, uri) if order else {}


def _order(
    numbers: set[float], names: Sequence[str], source: Any, uri: str
) -> tuple[int, int, int] | None:
    """Which numbers are red, green and blue: sensors differ."""
    platform = " ".join(
        text
        for key, text in source.tags().items()
        if re.search(r"platform|spacecraft|satellite|sensor|product", key, re.IGNORECASE)
    )
    name = re.split(r"[/\\]", uri)[-1]
    for text in (platform, name):
        if _FIRST_SENSORS.search(text):
            return _THREE_TWO_ONE
        if _LATER_SENSORS.search(text):
            return _FOUR_THREE_TWO
    if any("b6_vcid" in text for text in names):
        return _THREE_TWO_ONE
    if numbers & _ONLY_LATER or 1 not in numbers:
        return _FOUR_THREE_TWO if 4 in numbers else None
    surface = any(text.startswith("sr") for text in names)
    if surface and {1, 2, 3, 4, 5, 7} <= numbers:
        return _FOUR_THREE_TWO if 6 in numbers else _THREE_TWO_ONE
    if surface and 4 not in numbers:
        return _THREE_TWO_ONE
    if 4 not in numbers:
        return None  # B1, B2, B3 may be the bands of anything.
    raise SceneError(
        f"{printable(uri)} has bands B1 to B4, of which red is B4 (Sentinel-2, Landsat 8 and 9) or"
        f" B3 (Landsat 4 to 7); {_REMEDY}"
    )


def _at(
    order: tuple[int, int, int], numbers: Sequence[float], names: Sequence[str], uri: str
) -> dict[str, int]:
    return {
        color: _only([i for i, n in enumerate(numbers, 1) if n == number], color, names, uri)
        for color, number in zip(COLORS, order, strict=True)
        if number in numbers
    }


def _by_word(names: Sequence[str], uri: str) -> dict[str, int]:
    """Colours by names such as red, Red (B04) or R."""
    if {"r", "g", "b"} <= set(names):
        names = [{"r": "red", "g": "green", "b": "blue"}.get(name, name) for name in names]
    found = {}
    for color in COLORS:
        exact = [i for i, name in enumerate(names, 1) if name == color]
        within = [
            i
            for i, name in enumerate(names, 1)
            if _words(name) & set(COLORS) == {color} and not _words(name) & _OTHER_LIGHT
        ]
        if exact or within:
            found[color] = _only(exact or within, color, names, uri)
    return found


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _only(indexes: Sequence[int], color: str, names: Sequence[str], uri: str) -> int:
    if len(indexes) > 1:
        both = ", ".join(f"{i} ({printable(names[i - 1])})" for i in indexes)
        raise SceneError(
            f"{printable(uri)} has several bands whose names say {color}: {both}; {_REMEDY}"
        )
    return indexes[0]


def _by_wavelength(source: Any) -> dict[str, int]:
    """Colours by the wavelengths in the metadata of bands; none unless all three are there."""
    lengths = [_wavelength(source, index) for index in range(1, source.count + 1)]
    found = {}
    for color, (shortest, preferred, longest) in _WAVELENGTHS.items():
        inside = [i for i, nm in enumerate(lengths, 1) if shortest <= nm <= longest]
        if not inside:
            return {}
        found[color] = min(inside, key=lambda i: abs(lengths[i - 1] - preferred))
    return found


def _wavelength(source: Any, index: int) -> float:
    """Nanometres; NaN where the file doesn't say."""
    tags = {key.lower(): text for key, text in source.tags(index).items()}
    tags |= {key.lower(): text for key, text in source.tags(index, ns="IMAGERY").items()}
    for key in _WAVELENGTH_TAGS:
        number = re.match(r"\s*([0-9.]+)", tags.get(key, ""))
        if number:
            try:
                length = float(number.group(1))
            except ValueError:
                continue
            # Micrometres are small numbers whatever the tag's name says.
            return length * 1000 if length < 100 else length
    return math.nan

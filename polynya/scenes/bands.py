"""Which bands of a file are red, green and blue.

Information of the file itself has precedence over defaults of a format: GDAL calls the bands of
each 3-band 8-bit TIFF red, green and blue. The order of precedence is: names of bands, their
wavelengths, an unusual order of marked colours, the usual order. If names and marked colours
contradict each other, or if names can't be understood, there is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from rasterio.enums import ColorInterp

from polynya.errors import SceneError
from polynya.names import printable
from polynya.recipe.scene import COLORS

_INTERPRETATIONS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

_REMEDY = "set scene.bands in the recipe, such as [4, 3, 2] or [B04, B03, B02]."

# Bands of red, green and blue by number.
_FOUR_THREE_TWO = (4, 3, 2)
"""Sentinel-2, Landsat 8 and 9, HLS."""
_THREE_TWO_ONE = (3, 2, 1)
"""Landsat 4, 5 and 7."""
_MODIS = (1, 4, 3)

_NUMBERED = re.compile(
    r"(?<![0-9a-z])(?:(?P<product>sr|toa|st)[_-]?)?(?P<word>b|band)(?P<zero>0?)(?P<number>\d{1,2})"
    r"(?P<narrow>a?)(?![0-9a-z])"
)
_GLUED = re.compile(
    r"(?P<product>)(?P<word>b)(?:(?P<zero>0)(?=[1-9])|(?=1[0-2]|8a))(?P<number>\d{1,2})(?P<narrow>a?)"
    r"(?![0-9])"
)
"""Numbers in a form that only Sentinel-2 and HLS use, within a word such as 20200605B04."""
_MODIS_NAMES = re.compile(r"(?:sur_refl_b|nadir_reflectance_band)0?(\d)(?![0-9])")
_OTHER_LIGHT = {
    "edge", "rededge", "infra", "infrared", "near", "nir", "swir", "coastal", "deep", "pan",
    "index", "mask", "ratio",
}  # fmt: skip
_INVISIBLE = {"rededge", "infra", "infrared", "nir", "swir", "coastal", "cirrus"}
"""Words that mean none of the three colours, even beside other words."""
_ONLY_LATER = {8.5, 9, 10, 11, 12}
"""Band numbers that Landsat 4, 5 and 7 don't have; 8.5 means 8A."""
_SENSORS = (
    (_THREE_TWO_ONE, re.compile(r"landsat[ _-]?0?[457]|(?<![0-9a-z])l[et]0?[457]")),
    (_FOUR_THREE_TWO,
     re.compile(r"landsat[ _-]?0?[89]|sentinel[ _-]?2|(?<![0-9a-z])(?:l[co]0?[89]|s2[abc_-])")),
    (_MODIS, re.compile(r"modis|(?<![0-9a-z])m[coy]d(?:09|43)")),
)  # fmt: skip
"""Numbers of red, green and blue for each group of sensors, and a pattern for lower-case names of
products and satellites of the group."""

_WAVELENGTHS = {"red": (620.0, 665.0, 690.0), "green": (530.0, 560.0, 590.0),
                "blue": (440.0, 485.0, 515.0)}  # fmt: skip
"""Shortest, preferred and longest wavelength in nanometres."""

_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])")
"""Start of a word inside a name such as medianB02 or BlueMedian."""

_NAME_TAGS = ("long_name", "standard_name", "band_name", "bandname", "name", "common_name")
_WAVELENGTH_TAGS = ("central_wavelength_um", "central_wavelength_nm", "center_wavelength",
                    "central_wavelength", "wavelength")  # fmt: skip


def find_colors(source: Any, uri: str) -> tuple[int, int, int]:
    """Find the 1-based bands of red, green and blue.

    Args:
        source: The open raster.
        uri: Name of the raster.

    Raises:
        SceneError: The file has too few bands, or its information about bands is ambiguous.
    """
    if source.count < 3:
        raise SceneError(_too_few(source, uri))
    marked = _marked(source, uri)
    names = names_of(source)
    numbered = _by_number(names, source, uri)
    named = numbered or {}
    if len(named) < len(COLORS):
        by_word = _by_word(names, uri)
        complete = len(by_word) == len(COLORS)
        named = by_word if complete else _joined(named, by_word, names, uri)
    if len(named) < len(COLORS):
        named = _by_wavelength(source) or named
    missing = [color for color in COLORS if color not in named]
    if named and not missing:
        found = (named["red"], named["green"], named["blue"])
        if marked is not None and marked != (1, 2, 3) and marked != found:
            raise SceneError(
                f"{printable(uri)} contradicts itself: by names red, green and blue are the bands"
                f" {found}, by colours {marked}; {_REMEDY}"
            )
        return found
    if numbered is not None and marked in (None, (1, 2, 3)):
        said = ", ".join(printable(name) for name in names if name)
        raise SceneError(
            f"{printable(uri)} names its bands {said:.200}, and none of them is known to be"
            f" {' or '.join(missing)}; {_REMEDY}"
        )
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
    if marked in (None, (1, 2, 3)):
        _check_others(names, missing, bool(named), uri)
    return by_format


def _check_others(names: Sequence[str], missing: Sequence[str], some: bool, uri: str) -> None:
    """Refuse a band at the usual position of a colour if its name means something else.

    Args:
        names: Names of all bands.
        missing: Colours that no name mentions.
        some: Whether names mention other colours.
        uri: Name of the raster.
    """
    for color in missing:
        name = names[COLORS.index(color)]
        if name and (some or _words(name) & _INVISIBLE):
            raise SceneError(
                f"{printable(uri)} names band {COLORS.index(color) + 1} '{printable(name)}' and no"
                f" band {color}; {_REMEDY}"
            )


def _too_few(source: Any, uri: str) -> str:
    bands = f"{source.count} band{'s' * (source.count > 1)}"
    if ColorInterp.palette in source.colorinterp:
        return (
            f"{printable(uri)} has {bands} with a palette where red, green and blue are needed;"
            " turn the palette into colours (gdal_translate -expand rgb)."
        )
    return (
        f"{printable(uri)} has {bands} where red, green and blue are needed; stack the files of"
        " red, green and blue, in this order, into one (gdalbuildvrt -separate), or name in the"
        " recipe's key 'scene.bands' the bands that pictures show instead, such as [1, 1, 1]."
    )


def _marked(source: Any, uri: str) -> tuple[int, int, int] | None:
    """Bands that the file marks as red, green and blue; None if it doesn't mark all three."""
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


def names_of(source: Any) -> list[str]:
    """The file's names of its bands, in lower case; "" for a band without name."""
    tags = {key.lower(): text for key, text in source.tags().items()}
    # Some programs write the names of all bands into one attribute, as a tuple in text form.
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
        found = found or tags.get(f"band_{index}", "")
        names.append(_WORD_STARTS.sub("_", found.strip()).lower())
    return names


def _numbers(names: Sequence[str]) -> list[float]:
    """Numbers in names such as B04, SR_B4, L2A_B04_10m or sur_refl_b01; NaN for a missing number.

    Returns:
        One number per band; [] if names only give the position in the file, such as 'Band 1'.
    """
    modis = [_MODIS_NAMES.search(name) for name in names]
    if any(modis):
        return [float(m.group(1)) if m else math.nan for m in modis]
    found = _all_numbered(names)
    numbers = [
        int(m.group("number")) + 0.5 * bool(m.group("narrow")) if m else math.nan for m in found
    ]
    sure = any(
        m and (m.group("product") or m.group("zero") or _sensors(name))
        for m, name in zip(found, names, strict=True)
    )
    # 'band1' may be the first band of any sensor.
    if not sure and all(m is None or m.group("word") == "band" for m in found):
        return []
    return numbers


def _all_numbered(names: Sequence[str]) -> list[re.Match[str] | None]:
    """Number in each name; numbers within words count only if all names have one."""
    found = [_numbered(name) for name in names]
    if any(found):
        return found
    glued = [_GLUED.search(name) for name in names]
    return glued if all(glued) else found


def _numbered(name: str) -> re.Match[str] | None:
    """Number of a band in its name; None if the name contains two different numbers."""
    if _words(name) & set(COLORS):
        return None  # The word in 'B4 - Red' is clearer than the number.
    found = list(_NUMBERED.finditer(re.split(r"[/\\]", name)[-1]))
    same = len({(m.group("number"), m.group("narrow")) for m in found}) == 1
    return found[-1] if same else None


def _sensors(text: str) -> set[tuple[int, int, int]]:
    """Numbers of red, green and blue for each group of sensors that a text names."""
    return {order for order, pattern in _SENSORS if pattern.search(text.lower())}


def _by_number(names: Sequence[str], source: Any, uri: str) -> dict[str, int] | None:
    """Find colours by numbers in names.

    Returns:
        Bands of the colours that are found; {} if the meaning of the numbers is unknown. None if
        names have no numbers, or only B1, B2 and B3, which may be bands of any sensor.
    """
    numbers = _numbers(names)
    there = {number for number in numbers if not math.isnan(number)}
    if not there:
        return None
    order = _order(there, names, source, uri)
    if order is None:
        return None if there == {1, 2, 3} else {}
    return _at(order, numbers, names, uri)


def _order(
    there: set[float], names: Sequence[str], source: Any, uri: str
) -> tuple[int, int, int] | None:
    """Numbers of red, green and blue, which depend on the sensor; None if they are unknown."""
    if any(_MODIS_NAMES.search(name) for name in names):
        return _MODIS
    of_names = _sensors(" ".join(names))
    found = [m for m in _all_numbered(names) if m]
    if not of_names and any(m.group("zero") for m in found):
        return _FOUR_THREE_TWO
    platform = " ".join(
        text
        for key, text in source.tags().items()
        if re.search(r"platform|spacecraft|satellite|sensor|product", key, re.IGNORECASE)
    )
    for sensors in (of_names, _sensors(platform), _sensors(re.split(r"[/\\]", uri)[-1])):
        if len(sensors) == 1:
            return next(iter(sensors))
    if any("b6_vcid" in text for text in names):
        return _THREE_TWO_ONE
    if there & _ONLY_LATER or 1 not in there:
        return _FOUR_THREE_TWO if 4 in there else None
    surface = any(m.group("product") == "sr" for m in found)
    if surface and {1, 2, 3, 4, 5, 7} <= there:
        return _FOUR_THREE_TWO if 6 in there else _THREE_TWO_ONE
    if surface and 4 not in there:
        return _THREE_TWO_ONE
    if 4 not in there:
        return None
    raise SceneError(
        f"{printable(uri)} has bands B1 to B4, and red may be B4 (Sentinel-2, Landsat 8 and 9) or"
        f" B3 (Landsat 4 to 7); {_REMEDY}"
    )


def _joined(
    by_number: dict[str, int], by_word: dict[str, int], names: Sequence[str], uri: str
) -> dict[str, int]:
    """Join colours found by number with colours found by word."""
    return by_number | {
        color: _only(sorted({index, by_number.get(color, index)}), color, names, uri)
        for color, index in by_word.items()
    }


def _at(
    order: tuple[int, int, int], numbers: Sequence[float], names: Sequence[str], uri: str
) -> dict[str, int]:
    return {
        color: _only([i for i, n in enumerate(numbers, 1) if n == number], color, names, uri)
        for color, number in zip(COLORS, order, strict=True)
        if number in numbers
    }


def _by_word(names: Sequence[str], uri: str) -> dict[str, int]:
    """Find colours by names such as red, Red (B04) or R."""
    letters = [re.split(r"[^0-9a-z]+", name)[-1] for name in names]
    if {"r", "g", "b"} <= set(letters):
        short = {"r": "red", "g": "green", "b": "blue"}
        names = [short.get(last, name) for last, name in zip(letters, names, strict=True)]
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
    """Find colours by the wavelengths in the metadata of bands; {} unless all three are found."""
    lengths = [wavelength_of(source, index) for index in range(1, source.count + 1)]
    found = {}
    for color, (shortest, preferred, longest) in _WAVELENGTHS.items():
        inside = [i for i, nm in enumerate(lengths, 1) if shortest <= nm <= longest]
        if not inside:
            return {}
        found[color] = min(inside, key=lambda i: abs(lengths[i - 1] - preferred))
    return found


def wavelength_of(source: Any, index: int) -> float:
    """Wavelength of a band in nanometres; NaN if the file doesn't give it."""
    tags = {key.lower(): text for key, text in source.tags(index).items()}
    tags |= {key.lower(): text for key, text in source.tags(index, ns="IMAGERY").items()}
    for key in _WAVELENGTH_TAGS:
        number = re.match(r"\s*([0-9.]+)", tags.get(key, ""))
        if number:
            try:
                length = float(number.group(1))
            except ValueError:
                continue
            # Small numbers are micrometres, also if the tag's name says nanometres.
            return length * 1000 if length < 100 else length
    return math.nan

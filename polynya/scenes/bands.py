"""Which bands of a file are red, green and blue.

What the file says wins over what a format says by itself: GDAL calls the bands of each 3-band 8-bit
TIFF red, green and blue. In this order: names of bands, their wavelengths, an order of colours that
isn't the usual one, the usual one. Names and colours that contradict each other are an error, and
so are names of bands that can't be understood.
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
"""Numbers as only Sentinel-2 and HLS write them, within a word such as 20200605B04."""
_MODIS_NAMES = re.compile(r"(?:sur_refl_b|nadir_reflectance_band)0?(\d)(?![0-9])")
_OTHER_LIGHT = {
    "edge", "rededge", "infra", "infrared", "near", "nir", "swir", "coastal", "deep", "pan",
    "index", "mask", "ratio",
}  # fmt: skip
_INVISIBLE = {"rededge", "infra", "infrared", "nir", "swir", "coastal", "cirrus"}
"""Words of light that is none of the three colours, whatever else a name says."""
_ONLY_LATER = {8.5, 9, 10, 11, 12}
"""Numbers that Landsat 4, 5 and 7 don't have; 8.5 stands for 8A."""
_SENSORS = (
    (_THREE_TWO_ONE, re.compile(r"landsat[ _-]?0?[457]|(?<![0-9a-z])l[et]0?[457]")),
    (_FOUR_THREE_TWO,
     re.compile(r"landsat[ _-]?0?[89]|sentinel[ _-]?2|(?<![0-9a-z])(?:l[co]0?[89]|s2[abc_-])")),
    (_MODIS, re.compile(r"modis|(?<![0-9a-z])m[coy]d(?:09|43)")),
)  # fmt: skip
"""Who calls red, green and blue what, and how names of products and satellites say that it is they,
in lower case."""

_WAVELENGTHS = {"red": (620.0, 665.0, 690.0), "green": (530.0, 560.0, 590.0),
                "blue": (440.0, 485.0, 515.0)}  # fmt: skip
"""Shortest, preferred and longest, nanometres."""

_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])")
"""Where a word begins within a name such as medianB02 or BlueMedian."""

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
    """Refuse bands in the usual places of colours whose names say that they are something else.

    Args:
        names: Of all bands.
        missing: Colours that no name says.
        some: Whether there are names that say others.
        uri: Whose they are.
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
        " red, green and blue, in this order, into one (gdalbuildvrt -separate), or say in the"
        " recipe's key 'scene.bands' which bands pictures show in their place, such as [1, 1, 1]."
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


def names_of(source: Any) -> list[str]:
    """What a file calls its bands, in lower case; empty where it doesn't say."""
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
        found = found or tags.get(f"band_{index}", "")
        names.append(_WORD_STARTS.sub("_", found.strip()).lower())
    return names


def _numbers(names: Sequence[str]) -> list[float]:
    """Numbers in names such as B04, SR_B4, L2A_B04_10m or sur_refl_b01; NaN where there is none.

    Returns:
        One a band; none if names are no more than places in the file, such as 'Band 1'.
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
    # 'band1' is the first band of anything.
    if not sure and all(m is None or m.group("word") == "band" for m in found):
        return []
    return numbers


def _all_numbered(names: Sequence[str]) -> list[re.Match[str] | None]:
    """The number in each name; numbers within words only if all names have one."""
    found = [_numbered(name) for name in names]
    if any(found):
        return found
    glued = [_GLUED.search(name) for name in names]
    return glued if all(glued) else found


def _numbered(name: str) -> re.Match[str] | None:
    """The number of a band in its name, whatever stands around it; none in what is made of two."""
    if _words(name) & set(COLORS):
        return None  # 'B4 - Red' says more than its number.
    found = list(_NUMBERED.finditer(re.split(r"[/\\]", name)[-1]))
    same = len({(m.group("number"), m.group("narrow")) for m in found}) == 1
    return found[-1] if same else None


def _sensors(text: str) -> set[tuple[int, int, int]]:
    """The numbers of red, green and blue of the sensors that a text names."""
    return {order for order, pattern in _SENSORS if pattern.search(text.lower())}


def _by_number(names: Sequence[str], source: Any, uri: str) -> dict[str, int] | None:
    """Colours by numbers in names.

    Returns:
        The bands of those that are there; none if names have numbers of no known meaning. None if
        names have no numbers, or B1, B2, B3 alone, which may be the bands of anything.
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
    """Which numbers are red, green and blue: sensors differ."""
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
        f"{printable(uri)} has bands B1 to B4, of which red is B4 (Sentinel-2, Landsat 8 and 9) or"
        f" B3 (Landsat 4 to 7); {_REMEDY}"
    )


def _joined(
    by_number: dict[str, int], by_word: dict[str, int], names: Sequence[str], uri: str
) -> dict[str, int]:
    """Colours by numbers of some bands and words of others."""
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
    """Colours by names such as red, Red (B04) or R."""
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
    """Colours by the wavelengths in the metadata of bands; none unless all three are there."""
    lengths = [wavelength_of(source, index) for index in range(1, source.count + 1)]
    found = {}
    for color, (shortest, preferred, longest) in _WAVELENGTHS.items():
        inside = [i for i, nm in enumerate(lengths, 1) if shortest <= nm <= longest]
        if not inside:
            return {}
        found[color] = min(inside, key=lambda i: abs(lengths[i - 1] - preferred))
    return found


def wavelength_of(source: Any, index: int) -> float:
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

"""Styles for QGIS: a .qml file beside each raster, which QGIS loads by itself with the raster.

The elements are those that QGIS 3 writes (`QgsPalettedRasterRenderer`, `QgsColorRampShader`,
`QgsSingleBandPseudoColorRenderer`: their methods `writeXml`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from inference.products.paths import COG, ProductPaths
from inference.products.registry import listed_files, style_of
from polynya.names import printable
from polynya.recipe.classes import NO_MASK, ClassScheme
from polynya.recipe.inference import ProductName
from polynya.storage.files import write_text
from polynya.storage.ownership import is_ours

Color = tuple[int, int, int]
Entry = tuple[int, Color, str]
"""A code with its colour and its name in the legend."""

_QGIS = "3.34.0-Prizren"
"""Version that the files name; QGIS reads styles of older versions."""
_CONTINUOUS = "1"
"""`QgsColorRampShader::ClassificationMode`: the items are those of the ramp."""
_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"

RAMP: tuple[Color, ...] = (
    (68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37),
)  # fmt: skip
"""Colours from the least to the greatest value, in equal steps: five of matplotlib's viridis, which
also people with colour blindness can tell apart."""


def class_entries(classes: ClassScheme) -> list[Entry]:
    """List the codes of the first band of a map: its classes, or outside and inside of a mask."""
    if classes.has_masks:
        first = classes.classes[0]
        return [(0, NO_MASK, f"Outside of: {first.title}"), (1, first.color, first.title)]
    return [(c.code, c.color, c.title) for c in classes.classes]


def write_styles(
    paths: ProductPaths, classes: ClassScheme, products: Iterable[ProductName]
) -> None:
    """Write the style of each raster of a scene; see `write_style`.

    Args:
        paths: Files of the scene.
        classes: Scheme of the codes, with the colours that maps are shown in.
        products: Products beside the map.

    Raises:
        OutputError: A file can't be written.
    """
    for file in listed_files(products):
        if file.media_type != COG:
            continue
        if file.has_codes:
            style = palette_style(class_entries(classes))
        else:
            style = ramp_style(*file.values)
        write_style(paths.named(style_of(file).ending), style)


def write_style(path: Path, style: str) -> None:
    """Write a style, unless a user has put an own one there.

    QGIS saves a changed style under the name of ours, so such a file is no error: it stays.

    Raises:
        OutputError: The file can't be written.
    """
    if not os.path.lexists(path) or is_ours(path):
        write_text(path, style)


def is_style(path: Path) -> bool:
    """Whether a file is a style, by its name."""
    return path.suffix == ".qml"


def palette_style(entries: Sequence[Entry]) -> str:
    """Make the style of a raster of codes: colour and name of each code of band 1.

    Nodata has no entry, so QGIS leaves it transparent.
    """
    renderer = _renderer("paletted")
    palette = ET.SubElement(renderer, "colorPalette")
    for value, color, label in entries:
        ET.SubElement(
            palette, "paletteEntry", value=str(value), color=_hex(color), alpha="255",
            label=printable(label),
        )  # fmt: skip
    return _document(renderer)


def ramp_style(low: float, high: float) -> str:
    """Make the style of a raster of measures: `RAMP` over the values of band 1.

    QGIS applies the scale of a band itself, so values are shares and not the stored bytes.
    """
    renderer = _renderer(
        "singlebandpseudocolor", classificationMin=f"{low:g}", classificationMax=f"{high:g}"
    )
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="INTERPOLATED",
        classificationMode=_CONTINUOUS, minimumValue=f"{low:g}", maximumValue=f"{high:g}",
        clip="0", labelPrecision="2",
    )  # fmt: skip
    shares = [number / (len(RAMP) - 1) for number in range(len(RAMP))]
    stops = zip(shares[1:-1], RAMP[1:-1], strict=True)
    ramp = ET.SubElement(shader, "colorramp", type="gradient", name="[source]")
    options = ET.SubElement(ramp, "Option", type="Map")
    for name, value in (
        ("color1", _rgba(RAMP[0])),
        ("color2", _rgba(RAMP[-1])),
        ("discrete", "0"),
        ("rampType", "gradient"),
        ("stops", ":".join(f"{share:g};{_rgba(color)}" for share, color in stops)),
    ):
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
    for share, color in zip(shares, RAMP, strict=True):
        value = f"{low + share * (high - low):g}"
        ET.SubElement(shader, "item", value=value, color=_hex(color), label=value, alpha="255")
    return _document(renderer)


def _renderer(kind: str, **attributes: str) -> ET.Element:
    always = {"type": kind, "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    renderer = ET.Element("rasterrenderer", always | attributes)
    ET.SubElement(renderer, "rasterTransparency")
    origin = ET.SubElement(renderer, "minMaxOrigin")
    for name, text in (
        ("limits", "None"),
        ("extent", "WholeRaster"),
        ("statAccuracy", "Estimated"),
        ("cumulativeCutLower", "0.02"),
        ("cumulativeCutUpper", "0.98"),
        ("stdDevFactor", "2"),
    ):
        ET.SubElement(origin, name).text = text
    return renderer


def _document(renderer: ET.Element) -> str:
    root = ET.Element("qgis", version=_QGIS, styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    pipe.append(renderer)
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(
        pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0", invertColors="0"
    )
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root, " ")
    return f"{_HEAD}{ET.tostring(root, encoding='unicode')}\n"


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _rgba(color: Color) -> str:
    return "{},{},{},255".format(*color)

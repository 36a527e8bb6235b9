"""Scenes as GDAL virtual rasters: small files that put rectangles of other files on one grid.

Format: https://gdal.org/drivers/raster/vrt.html. Numbers are not changed, except in bands with
larger pixels than the scene's. Reflectance is interpolated between these pixels (bilinear). Classes
and masks take the nearest pixel, because numbers between two classes mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from polynya.errors import SceneError
from polynya.sources.items.item import ALPHA, Band, Grid
from polynya.sources.items.sentinel2 import CLASSIFICATION, find_band

_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16"}
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Raster:
    """A file with pixels."""

    path: str
    """Path for GDAL."""
    grid: Grid
    dtype: str
    block: tuple[int, int]
    """Rows and columns of its blocks."""
    driver: str = ""
    """GDAL's name of the file format."""
    nodata: float | None = None
    """Value of pixels without data, as the file itself says."""


@dataclass(frozen=True)
class VrtBand:
    """A band of the scene and the rasters that fill it."""

    band: Band
    rasters: tuple[Raster, ...]
    """Rasters that don't overlap; uncovered pixels are nodata."""


def common_grid(rasters: Sequence[Raster], uri: str) -> Grid:
    """Grid of the finest raster of a scene.

    Raises:
        SceneError: Rasters have different coordinate systems, or are rotated against each other.
    """
    finest = min(rasters, key=lambda raster: abs(raster.grid.transform[0]))
    for raster in rasters:
        if raster.grid.crs != finest.grid.crs:
            raise SceneError(
                f"{uri} has bands in different coordinate systems ({raster.path}); warp them to one"
                " (gdalwarp -t_srs) and take them by the source 'files'."
            )
        if raster.grid != finest.grid and any(
            value != 0 for grid in (raster.grid, finest.grid) for value in _turn(grid)
        ):
            raise SceneError(
                f"{uri} has bands on different grids that are not north up ({raster.path}); warp"
                " them to one grid (gdalwarp) and take them by the source 'files'."
            )
    return finest.grid


def is_interpolated(band: Band, raster: Raster, grid: Grid) -> bool:
    """Whether the numbers of a band on a scene's grid are interpolated between its own pixels."""
    is_coarse = abs(raster.grid.transform[0]) > abs(grid.transform[0])
    return is_coarse and band.name not in (ALPHA, CLASSIFICATION)


def vrt_text(grid: Grid, bands: Sequence[VrtBand], tags: Mapping[str, str]) -> str:
    """XML of a virtual raster.

    Args:
        grid: Grid of the scene.
        bands: Bands in order.
        tags: Metadata of the scene.

    Returns:
        The same text for the same arguments.

    Raises:
        SceneError: A band has neither 8-bit nor 16-bit integers.
    """
    root = ElementTree.Element(
        "VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height)
    )
    if grid.crs:
        _text(root, "SRS", grid.crs)
    a, b, c, d, e, f = grid.transform
    _text(root, "GeoTransform", ", ".join(repr(float(value)) for value in (c, a, b, f, d, e)))
    metadata = ElementTree.SubElement(root, "Metadata")
    for key in sorted(tags):
        ElementTree.SubElement(metadata, "MDI", key=key).text = _printable(tags[key])
    dtype = _common_type([raster for band in bands for raster in band.rasters])
    for number, band in enumerate(bands, start=1):
        _add_band(root, number, dtype, grid, band)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_band(
    root: ElementTree.Element, number: int, dtype: str, grid: Grid, content: VrtBand
) -> None:
    band = content.band
    known = find_band(band.name)
    node = ElementTree.SubElement(root, "VRTRasterBand", dataType=_TYPES[dtype], band=str(number))
    _text(node, "Description", band.name)
    if band.nodata is not None:
        _text(node, "NoDataValue", f"{band.nodata:g}")
    color = band.name if band.name == ALPHA else known.color if known else ""
    _text(node, "ColorInterp", color.capitalize() or "Undefined")
    _text(node, "Offset", repr(float(band.offset)))
    _text(node, "Scale", repr(float(band.scale)))
    for raster in content.rasters:
        how = {"resampling": "bilinear"} if is_interpolated(band, raster, grid) else {}
        source = ElementTree.SubElement(node, "SimpleSource", how)
        name = ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0")
        name.text = raster.path
        _text(source, "SourceBand", str(band.index))
        width, height = raster.grid.width, raster.grid.height
        # With these properties, GDAL opens the source only when it reads pixels.
        ElementTree.SubElement(
            source,
            "SourceProperties",
            RasterXSize=str(width),
            RasterYSize=str(height),
            DataType=_TYPES[raster.dtype],
            BlockXSize=str(raster.block[1]),
            BlockYSize=str(raster.block[0]),
        )
        _rectangle(source, "SrcRect", (0, 0, width, height))
        _rectangle(source, "DstRect", _place(raster.grid, grid))


def _place(grid: Grid, on: Grid) -> tuple[float, float, float, float]:
    """Column, row, width and height of a raster in pixels of another grid."""
    if grid == on:
        return 0, 0, on.width, on.height
    a, _, c, _, e, f = grid.transform
    on_a, _, on_c, _, on_e, on_f = on.transform
    numbers = (
        (c - on_c) / on_a,
        (f - on_f) / on_e,
        grid.width * a / on_a,
        grid.height * e / on_e,
    )
    x, y, width, height = (_whole(number) for number in numbers)
    return x, y, width, height


def _whole(number: float) -> float:
    nearest = round(number)
    return nearest if abs(number - nearest) < _TOLERANCE else number


def _common_type(rasters: Sequence[Raster]) -> str:
    """Data type for the numbers of all bands: the type with most bits."""
    for raster in rasters:
        if raster.dtype not in _TYPES:
            raise SceneError(
                f"{raster.path} has {raster.dtype} pixels; scenes are {', '.join(_TYPES)}: convert"
                " it (gdal_translate -ot UInt16 -scale)."
            )
    names = {raster.dtype for raster in rasters}
    if {"uint16", "int16"} <= names:
        raise SceneError(
            f"{rasters[0].path} and other bands of its scene are partly signed, partly unsigned"
            " 16-bit numbers; convert them to one type (gdal_translate -ot UInt16)."
        )
    return next((name for name in ("uint16", "int16") if name in names), "uint8")


def _turn(grid: Grid) -> tuple[float, float]:
    return grid.transform[1], grid.transform[3]


def _rectangle(parent: ElementTree.Element, tag: str, values: Sequence[float]) -> None:
    names = ("xOff", "yOff", "xSize", "ySize")
    attributes = {
        name: str(int(value)) if float(value).is_integer() else repr(value)
        for name, value in zip(names, values, strict=True)
    }
    ElementTree.SubElement(parent, tag, attributes)


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def _printable(text: str) -> str:
    """Text on one line, without characters that XML forbids."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

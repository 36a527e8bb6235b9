"""Making a scene file from an item: a virtual raster in place, or a separate GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # What rasterio.shutil lets through.
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy

from polynya import __version__
from polynya.errors import SceneError, reason_of
from polynya.quiet import ignore_warnings
from polynya.rasters.opening import check_size, check_whole, opened_raster
from polynya.rasters.own_references import remember
from polynya.sources.items.item import Band, Grid, Item, check_pixels
from polynya.sources.items.vrt import Raster, VrtBand, common_grid, is_interpolated, vrt_text
from polynya.storage.files import UnreadableError, temporary_file, whole_file, write_text
from polynya.storage.ownership import is_whole

DIGEST_TAG = "item_digest"
"""Tag of a scene file with the digest of its item."""

_GDAL = tuple(int(number) for number in rasterio.__gdal_version__.split(".")[:2])
_HAS_OPTIONS = (3, 10)
"""First version of GDAL that accepts drivers in vrt:// names."""
_COG_OPTIONS = {
    "BLOCKSIZE": 512,
    "COMPRESS": "DEFLATE",
    "PREDICTOR": 2,
    "OVERVIEW_RESAMPLING": "AVERAGE",
    "BIGTIFF": "IF_SAFER",
}


def scene_tags(item: Item) -> dict[str, str]:
    """Metadata of a scene file, including its provenance."""
    return {**item.tags(), "polynya_version": __version__, DIGEST_TAG: item.digest()}


def describe_raster(path: str) -> Raster:
    """Open a raster to read its grid and data type.

    Raises:
        SceneError: The raster can't be opened.
    """
    with opened_raster(path) as source:
        check_whole(path)
        check_size(source, path)
        crs = source.crs.to_wkt() if source.crs else ""
        a, b, c, d, e, f = tuple(source.transform)[:6]
        return Raster(
            path=path,
            grid=Grid(crs, (a, b, c, d, e, f), source.width, source.height),
            dtype=source.dtypes[0],
            block=source.block_shapes[0],
            driver=source.driver,
            nodata=source.nodata,
        )


def scene_vrt(item: Item, settings: Mapping[str, Any], drivers: bool = False) -> str:
    """Virtual raster of an item with files as bands; opens each file to find missing ones.

    Args:
        item: The scene.
        settings: GDAL settings for reading.
        drivers: Name the driver of each file, so that no other driver opens it, also if the file
            changes. Old versions of GDAL don't support this.

    Raises:
        SceneError: A band can't be opened, or the bands don't fit together.
    """
    with rasterio.Env(**settings):
        by_path = {band.path: describe_raster(band.path) for band in item.bands}
    grid = common_grid(list(by_path.values()), item.uri)
    check_pixels(grid, item.uri)
    bands = [
        VrtBand(band, (_with_options(by_path[band.path], band, grid, drivers),))
        for band in item.bands
    ]
    return vrt_text(grid, bands, scene_tags(item))


def _with_options(raster: Raster, band: Band, grid: Grid, drivers: bool) -> Raster:
    """The raster with its driver and nodata in its path (gdal.org/drivers/raster/vrt.html, vrt://).

    JPEG 2000 files don't say their nodata, so pixels without data would be averaged with others.
    """
    if _GDAL < _HAS_OPTIONS or raster.driver == "VRT" or "?" in raster.path:
        return raster
    options = [f"if={raster.driver}"] if drivers else []
    if is_interpolated(band, raster, grid) and raster.nodata is None and band.nodata is not None:
        options.append(f"a_nodata={band.nodata:g}")
    return replace(raster, path=f"vrt://{raster.path}?{'&'.join(options)}") if options else raster


def mosaic_vrt(item: Item, grid: Grid, parts: Sequence[Raster], index: Mapping[str, int]) -> str:
    """Virtual raster of an item with parts that are files with all bands.

    Args:
        item: The scene.
        grid: Grid of the scene.
        parts: Rasters that together cover the scene.
        index: 1-based number of each band in the parts, by name.
    """
    bands = [VrtBand(replace(band, index=index[band.name]), tuple(parts)) for band in item.bands]
    return vrt_text(grid, bands, scene_tags(item))


def write_vrt(text: str, path: Path) -> None:
    """Write a virtual raster as a scene; OutputError if that can't be done."""
    write_text(path, text)
    remember(text.encode())


def write_geotiff(text: str, path: Path, settings: Mapping[str, Any]) -> None:
    """Copy the pixels of a virtual raster into a Cloud-Optimized GeoTIFF.

    Numbers, nodata, scale and offset stay as they are. The same pixels give the same bytes.

    Args:
        text: XML of the virtual raster.
        path: File to write; an existing file of Polynya is replaced.
        settings: GDAL settings for reading.

    Raises:
        SceneError: A source can't be read completely.
        OutputError: The file can't be written.
    """
    ignore_warnings(NotGeoreferencedWarning)
    with (
        rasterio.Env(**settings, GDAL_PAM_ENABLED=False),
        temporary_file(path.parent, ".vrt") as source,
        whole_file(path, _check_copy) as temporary,
    ):
        source.write_text(text, encoding="utf-8")
        try:
            copy(str(source), temporary, driver="COG", **_COG_OPTIONS)
        except (RasterioError, CPLE_BaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
            raise SceneError(
                f"{path.name} can't be copied ({reason}); is the source there, and space left on"
                " the disk?"
            ) from None


def _check_copy(path: Path) -> None:
    """Read a copied GeoTIFF completely, with its overviews.

    A block that was not written because of a full disk has no offset in the file, and GDAL reads it
    as nodata. DEFLATE has a checksum for each written block.

    Raises:
        UnreadableError: A block is missing or damaged.
    """
    try:
        with rasterio.open(path, driver="GTiff") as source:
            factors = source.overviews(1)
        for level in range(-1, len(factors)):
            options = {} if level < 0 else {"overview_level": level}
            with rasterio.open(path, driver="GTiff", **options) as source:
                for (row, column), window in source.block_windows(1):
                    place = source.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1)
                    if not place:
                        raise UnreadableError(f"its block {row}, {column} was not written")
                    source.read(window=window)
    except (RasterioError, CPLE_BaseError) as error:
        raise UnreadableError(reason_of(error.__cause__ or error)) from None


@dataclass(frozen=True)
class Origin:
    """Origin of a scene file."""

    digest: str
    """Digest of the item."""
    source: str
    """Address of the item."""


def made_from(path: Path) -> Origin | None:
    """Origin of a scene file; None if the file isn't Polynya's, or was cut short or changed."""
    if not is_whole(path):
        return None
    try:
        with rasterio.open(path) as source:
            tags = source.tags()
    except RasterioError:
        return None
    return Origin(tags[DIGEST_TAG], tags.get("source", "")) if DIGEST_TAG in tags else None

"""One item becomes one scene file: a virtual raster in place, or a GeoTIFF of its own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # What rasterio.shutil lets through.
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy

from polynya import __version__
from polynya.errors import SceneError
from polynya.files import whole_file, write_text
from polynya.rasters import opened_raster
from polynya.sources.item import Grid, Item
from polynya.sources.vrt import Raster, VrtBand, common_grid, vrt_text

DIGEST_TAG = "item_digest"
"""Tag of a scene file: digest of the item it was made from."""

_COG_OPTIONS = {
    "BLOCKSIZE": 512,
    "COMPRESS": "DEFLATE",
    "PREDICTOR": 2,
    "OVERVIEW_RESAMPLING": "AVERAGE",
    "BIGTIFF": "IF_SAFER",
}


def scene_tags(item: Item) -> dict[str, str]:
    """Metadata of a scene file, its provenance included."""
    return {**item.tags(), "polynya_version": __version__, DIGEST_TAG: item.digest()}


def describe_raster(path: str) -> Raster:
    """Open a raster to learn its grid and type.

    Raises:
        SceneError: It can't be opened.
    """
    with opened_raster(path) as source:
        crs = source.crs.to_wkt() if source.crs else ""
        a, b, c, d, e, f = tuple(source.transform)[:6]
        return Raster(
            path=path,
            grid=Grid(crs, (a, b, c, d, e, f), source.width, source.height),
            dtype=source.dtypes[0],
            block=source.block_shapes[0],
        )


def scene_vrt(item: Item, settings: Mapping[str, Any]) -> str:
    """Virtual raster of an item whose bands are files; each is opened, so a missing one is found.

    Args:
        item: The scene.
        settings: Of GDAL, for reading.

    Raises:
        SceneError: A band can't be opened, or the bands don't fit together.
    """
    with rasterio.Env(**settings):
        by_path = {band.path: describe_raster(band.path) for band in item.bands}
    bands = [VrtBand(band, (by_path[band.path],)) for band in item.bands]
    grid = common_grid(list(by_path.values()), item.uri)
    return vrt_text(grid, bands, scene_tags(item))


def mosaic_vrt(item: Item, grid: Grid, parts: Sequence[Raster], index: Mapping[str, int]) -> str:
    """Virtual raster of an item whose parts have come as files with all bands.

    Args:
        item: The scene.
        grid: Its pixels.
        parts: Rasters that together cover it.
        index: 1-based band in the parts, by name.
    """
    bands = [VrtBand(replace(band, index=index[band.name]), tuple(parts)) for band in item.bands]
    return vrt_text(grid, bands, scene_tags(item))


def write_vrt(text: str, path: Path) -> None:
    """Write a virtual raster as a scene; OutputError if that can't be done."""
    write_text(path, text)


def write_geotiff(text: str, path: Path, work: Path, settings: Mapping[str, Any]) -> None:
    """Copy the pixels of a virtual raster into a Cloud-Optimized GeoTIFF.

    Numbers, nodata, scale and offset stay as they are. The same pixels give the same bytes.

    Args:
        text: XML of the virtual raster.
        path: File to write; it is replaced as a whole.
        work: Folder on the same disk for what is unfinished.
        settings: Of GDAL, for reading.

    Raises:
        SceneError: A source can't be read to its end.
        OutputError: The file can't be written.
    """
    with (
        warnings.catch_warnings(),
        rasterio.Env(**settings, GDAL_PAM_ENABLED=False),
        whole_file(work / path.name) as temporary,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        source = temporary.with_suffix(".vrt")
        try:
            source.write_text(text, encoding="utf-8")
            copy(str(source), temporary, driver="COG", **_COG_OPTIONS)
        except (RasterioError, CPLE_BaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
            raise SceneError(
                f"{path.name} can't be copied ({reason}); is the source there, and space left on"
                " the disk?"
            ) from None
        finally:
            source.unlink(missing_ok=True)
    (work / path.name).replace(path)


def made_from(path: Path) -> str | None:
    """Digest of the item that a scene file was made from; None if it isn't one of ours."""
    try:
        with opened_raster(str(path)) as source:
            digest = source.tags().get(DIGEST_TAG)
            return None if digest is None else str(digest)
    except SceneError:
        return None

"""Opening raster files, with GDAL's complaints as one sentence."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.stores import gdal_options, gdal_path, is_remote

EXTENSIONS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt")
"""What is taken for a scene in a folder."""


@contextmanager
def opened_raster(uri: str) -> Iterator[Any]:
    """Open a raster for reading, also on a server or in an object store (`polynya.stores`).

    Args:
        uri: Path or URI that GDAL opens.

    Yields:
        The rasterio data set.

    Raises:
        SceneError: The file can't be opened or, within the block, read.
    """
    path = gdal_path(uri)
    options = gdal_options() if is_remote(path) else {}
    try:
        with warnings.catch_warnings(), rasterio.Env(**options):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                yield source
    except RasterioError as error:
        raise SceneError(_why_unreadable(uri, error)) from None


def band_number(source: Any, uri: str, band: int | str, key: str) -> int:
    """1-based number of a band that a recipe gives by number or description.

    Args:
        source: The open raster.
        uri: Its name.
        band: Number or description.
        key: Key of the recipe that names the band.

    Raises:
        SceneError: There is no such band.
    """
    if isinstance(band, int):
        if 1 <= band <= source.count:
            return band
    elif band in source.descriptions:
        return int(source.descriptions.index(band)) + 1
    raise SceneError(
        f"{uri} has no band {band!r} (it has {source.count}: {list(source.descriptions)}); mend"
        f" {key} in the recipe."
    )


def tile_window(tile: Tile | None) -> Window | None:
    """Window of a tile for rasterio; None, the whole raster, for None."""
    return Window(tile.col, tile.row, tile.width, tile.height) if tile else None


def _why_unreadable(uri: str, error: Exception) -> str:
    if "://" not in uri and not uri.startswith("/vsi"):
        if os.path.isdir(uri):
            endings = ", ".join(EXTENSIONS)
            return f"{uri} is a folder without scenes; give one with files of type {endings}."
        if glob.has_magic(uri) and not os.path.exists(uri):
            return f"No file matches {uri}; check the pattern."
        if not os.path.exists(uri):
            return f"{uri} does not exist; check the path."
    # GDAL's reason is behind rasterio's general sentence, and may take several lines.
    reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
    return f"{uri} can't be read and may be truncated or no image ({reason}); fetch it again."

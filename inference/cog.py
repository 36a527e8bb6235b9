"""Cloud-Optimized GeoTIFFs that are written row by row.

GDAL's COG driver only copies whole rasters. So rows go into a plain GeoTIFF beside the final file
and are copied from there, block by block: memory doesn't depend on the size of the raster.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # What rasterio.shutil lets through.
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy
from rasterio.transform import Affine
from rasterio.windows import Window

from polynya.errors import OutputError
from polynya.files import whole_file
from polynya.scenes import Scene

_COG_OPTIONS = {"BLOCKSIZE": 512, "COMPRESS": "DEFLATE", "BIGTIFF": "IF_SAFER"}
_CACHE_BYTES = 64 * 2**20
"""GDAL keeps blocks in memory, by default as much as 5 % of the machine's: the whole raster."""
ROWS = 512
"""Rows that are handled at once where a whole scene is gone through."""


@dataclass(frozen=True)
class RasterLayout:
    """What a raster is, apart from its numbers and its provenance."""

    height: int
    width: int
    bands: tuple[str, ...]
    """Descriptions of the bands."""
    dtype: str
    nodata: float | None
    crs: str | None
    transform: tuple[float, ...] | None
    """Affine coefficients (a, b, c, d, e, f); None without georeference."""
    resampling: str = "NEAREST"
    """How GDAL makes overviews: MODE for codes, AVERAGE for measures."""
    scale: float = 1.0
    """What one step of the stored number is worth; kept in the file, so that GIS show the value."""
    colormap: Mapping[int, tuple[int, int, int, int]] | None = None
    """RGBA by code, for one band of codes."""

    @classmethod
    def of_scene(cls, scene: Scene, bands: Sequence[str], **rest: Any) -> RasterLayout:
        """The layout of a raster with the pixels of a scene; `rest`: the other fields."""
        return cls(
            height=scene.height,
            width=scene.width,
            bands=tuple(bands),
            crs=scene.crs,
            transform=scene.transform,
            **rest,
        )


class RasterRows:
    """Rows of a raster in a plain file: each is written once, in any order, and can be read."""

    def __init__(self, file: Path, target: Any) -> None:
        self._file, self._target = file, target

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Write rows.

        Args:
            row: The first one's number.
            values: (N, W) for one band, or (N, W, bands), of the raster's type.
        """
        planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        with gdal_writes(self._file):
            self._target.write(planes, window=Window(0, row, planes.shape[2], planes.shape[1]))

    def write_all(self, values: NDArray[Any]) -> None:
        """Write an array of all rows, some at a time, so that GDAL needs no copy of it."""
        for row in range(0, len(values), ROWS):
            self.write(row, values[row : row + ROWS])

    def read(self, band: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read one band (1-based): number of the first row and (n, W), from the top."""
        for row in range(0, self._target.height, ROWS):
            rows = min(ROWS, self._target.height - row)
            with gdal_writes(self._file):
                part = self._target.read(band, window=Window(0, row, self._target.width, rows))
            yield row, part

    def finish(self) -> Path:
        """Close the file, so that others can open it; nothing can be written any more."""
        with gdal_writes(self._file):
            self._target.close()
        return self._file

    def copy(self, path: Path, driver: str, **options: Any) -> None:
        """Copy the raster into a file of another format; nothing can be written any more.

        Raises:
            OutputError: The file can't be written.
        """
        with gdal_writes(path), whole_file(path) as temporary:
            copy(self.finish(), temporary, driver=driver, **options)


@contextmanager
def raster_rows(
    path: Path, layout: RasterLayout, tags: Mapping[str, str] | None = None
) -> Iterator[RasterRows]:
    """A raster to be filled row by row; its file is gone when the block ends.

    Args:
        path: A hidden file beside it holds the rows.
        layout: Size, bands, place.
        tags: Metadata of the file.

    Raises:
        OutputError: The file can't be written.
    """
    file = path.with_name(f".{path.stem}.{uuid4().hex}.rows.tif")
    try:
        with gdal_writes(path):
            target = rasterio.open(file, "w+", **_profile(layout))
        with closing(target):
            with gdal_writes(path):
                _describe(target, layout, tags or {})
            yield RasterRows(file, target)
    finally:
        with suppress(OSError):
            file.unlink()


@contextmanager
def cog_rows(path: Path, layout: RasterLayout, tags: Mapping[str, str]) -> Iterator[RasterRows]:
    """Write a Cloud-Optimized GeoTIFF row by row; it is there, whole, when the block ends.

    GDAL copies the transform number by number, rotated ones included. The same numbers and tags
    give the same bytes.

    Args:
        path: File to write; it is replaced as a whole. If the block raises, nothing is left.
        layout: Size, bands, place.
        tags: Provenance, stored as the file's metadata.

    Raises:
        OutputError: The file can't be written.
    """
    with raster_rows(path, layout, tags) as rows:
        yield rows
        # Only compression runs side by side, so the bytes are the same; workers have one core each.
        threads = os.environ.get("GDAL_NUM_THREADS", "ALL_CPUS")
        options = {**_COG_OPTIONS, "NUM_THREADS": threads}
        rows.copy(path, "COG", **options, OVERVIEW_RESAMPLING=layout.resampling)


@contextmanager
def gdal_writes(path: Path) -> Iterator[None]:
    """GDAL without files of its own beside ours, and with its errors as one sentence.

    Only around calls of GDAL: scenes that are read meanwhile may need such files.
    """
    options = {"GDAL_PAM_ENABLED": False, "GDAL_CACHEMAX": _CACHE_BYTES}
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            yield
        except (RasterioError, CPLE_BaseError) as error:
            raise OutputError(
                f"{path} can't be written ({error}); is there space left on the disk?"
            ) from None


def _profile(layout: RasterLayout) -> dict[str, Any]:
    # Strips, as rows come from the top; any row can be written without reading others.
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": layout.dtype,
        "count": len(layout.bands),
        "height": layout.height,
        "width": layout.width,
        "nodata": layout.nodata,
        "interleave": "pixel",
        "blockysize": 1,
        "bigtiff": "if_safer",
        "photometric": "palette" if layout.colormap else "minisblack",
    }
    if layout.crs is not None:
        profile["crs"] = CRS.from_user_input(layout.crs)
    if layout.transform is not None:
        profile["transform"] = Affine(*layout.transform)
    return profile


def _describe(target: Any, layout: RasterLayout, tags: Mapping[str, str]) -> None:
    target.update_tags(**tags)
    target.descriptions = layout.bands
    if layout.colormap is not None:
        target.write_colormap(1, dict(layout.colormap))
    if layout.scale != 1.0:
        target.scales = (layout.scale,) * len(layout.bands)

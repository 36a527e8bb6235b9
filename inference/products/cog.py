"""Cloud-Optimized GeoTIFFs that are written row by row, and read back.

GDAL's COG driver only copies whole rasters. So rows go into a plain GeoTIFF beside the final file
and are copied from there, block by block: memory doesn't depend on the size of the raster.

GDAL loses errors when it closes a file: on a full disk, a copy may be too short or have holes,
without any error. So this module keeps a checksum of each part and band that was written. It
compares the checksums with the finished file before the file gets its name.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # What rasterio.shutil lets through.
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.rpc import RPC
from rasterio.shutil import copy
from rasterio.transform import Affine
from rasterio.windows import Window

from polynya.errors import OutputError
from polynya.progress import step
from polynya.quiet import ignore_warnings
from polynya.scenes.place import ControlPoints
from polynya.scenes.scene import Scene
from polynya.storage.files import UnreadableError, temporary_file, whole_file

_COG_OPTIONS = {"BLOCKSIZE": 512, "COMPRESS": "DEFLATE", "BIGTIFF": "IF_SAFER"}
_CACHE_BYTES = 64 * 2**20
"""Size of GDAL's cache of blocks. The default, 5 % of the machine's memory, may hold the whole
raster."""
ROWS = 512
"""Rows that are processed at once in loops over a whole scene."""


@dataclass(frozen=True)
class RasterLayout:
    """The properties of a raster, without its values and its provenance."""

    height: int
    width: int
    bands: tuple[str, ...]
    """Descriptions of the bands."""
    dtype: str
    nodata: float | None
    crs: str | None
    transform: tuple[float, ...] | None
    """Affine coefficients (a, b, c, d, e, f); None without georeference."""
    control: ControlPoints | None = None
    """Ground control points instead of a transform."""
    resampling: str = "NEAREST"
    """Method for overviews in GDAL: MODE for codes, AVERAGE for measures."""
    scale: float = 1.0
    """Value of one step of the stored number; it is in the file, so that GIS show the value."""
    colormap: Mapping[int, tuple[int, int, int, int]] | None = None
    """RGBA by code, for one band of codes."""

    @classmethod
    def of_scene(cls, scene: Scene, bands: Sequence[str], **rest: Any) -> RasterLayout:
        """Make the layout of a raster with the pixels of a scene; `rest`: the other fields."""
        return cls(
            height=scene.height,
            width=scene.width,
            bands=tuple(bands),
            crs=scene.crs,
            transform=scene.transform,
            control=scene.control,
            **rest,
        )


@dataclass(frozen=True)
class _Part:
    """Rows that were written in one call."""

    row: int
    """Number of the first row."""
    rows: int
    sums: tuple[int, ...]
    """CRC-32 of each band."""

    def window(self, width: int) -> Window:
        return Window(0, self.row, width, self.rows)


class RasterRows:
    """Rows of a raster in a plain file: each is written once, in any order; they can be read."""

    def __init__(self, file: Path, target: Any) -> None:
        self._file, self._target = file, target
        self._written: list[_Part] = []

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Write rows.

        Args:
            row: Number of the first row.
            values: (N, W) for one band, or (N, W, bands), of the raster's type.
        """
        planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        planes = np.ascontiguousarray(planes)
        part = _Part(row, planes.shape[1], tuple(map(zlib.crc32, planes)))
        with gdal_writes(self._file):
            self._target.write(planes, window=part.window(planes.shape[2]))
        self._written.append(part)

    def write_all(self, values: NDArray[Any]) -> None:
        """Write an array of all rows in parts, so that GDAL doesn't copy the whole array."""
        for row in range(0, len(values), ROWS):
            self.write(row, values[row : row + ROWS])

    def read(self, band: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read one band (1-based) from the top: pairs of the first row's number and (n, W).

        Raises:
            OutputError: The file's content differs from what was written.
        """
        for part in self._parts():
            with gdal_writes(self._file):
                values = self._target.read(band, window=part.window(self._target.width))
            if zlib.crc32(values) != part.sums[band - 1]:
                raise OutputError(
                    f"{self._file} differs from what was written; is there space left on the disk?"
                )
            yield part.row, values

    def finish(self) -> Path:
        """Close the file, so that others can open it; after this, no more rows can be written.

        Raises:
            OutputError: The file's content differs from what was written.
        """
        self._close()
        try:
            with gdal_writes(self._file):
                self._check(self._file)
        except UnreadableError as error:
            raise OutputError(
                f"{self._file} can't be written: {error}; is there space left on the disk?"
            ) from None
        return self._file

    def copy(self, path: Path, driver: str, **options: Any) -> None:
        """Copy the raster into a file of another format; after this, no more rows can be written.

        Raises:
            OutputError: The file can't be written, or its content differs from what was written.
        """
        pixels = self._target.height * self._target.width
        self._close()
        with (
            step(f"Writing {path.name}", pixels),
            gdal_writes(path),
            whole_file(path, self._check) as temporary,
        ):
            copy(self._file, temporary, driver=driver, **options)

    def _close(self) -> None:
        with gdal_writes(self._file):
            self._target.close()

    def _parts(self) -> list[_Part]:
        return sorted(self._written, key=lambda part: part.row)

    def _check(self, path: Path) -> None:
        """Compare a file's content with what was written, and check its overviews."""
        try:
            with rasterio.open(path, **_threads()) as source:
                if sum(part.rows for part in self._written) != source.height:
                    raise UnreadableError("it doesn't have all rows")
                for part in self._parts():
                    values = source.read(window=part.window(source.width))
                    if tuple(map(zlib.crc32, values)) != part.sums:
                        raise UnreadableError("it differs from what was written")
                for level in range(len(source.overviews(1))):
                    _check_overview(source, path, level)
        except (RasterioError, CPLE_BaseError, zlib.error) as error:
            raise UnreadableError(str(error.__cause__ or error)) from None


def _check_overview(source: Any, path: Path, level: int) -> None:
    """Unpack all blocks of an overview.

    This doesn't use GDAL: GDAL reads a missing block as nodata, and ignores the blocks' own
    checksums (Adler-32).
    """
    with rasterio.open(path, overview_level=level) as overview:
        sides = zip(overview.shape, overview.block_shapes[0], strict=True)
    rows, columns = (-(-side // of_block) for side, of_block in sides)
    with path.open("rb") as file:
        for row, column in np.ndindex(rows, columns):
            offset, length = (
                source.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1, ovr=level)
                for what in ("OFFSET", "SIZE")
            )
            if offset is None:
                raise UnreadableError("a block of an overview is missing")
            file.seek(int(offset))
            zlib.decompress(file.read(int(length)))


@contextmanager
def raster_rows(
    path: Path, layout: RasterLayout, tags: Mapping[str, str] | None = None
) -> Iterator[RasterRows]:
    """Provide a raster to fill row by row; its file is deleted when the block ends.

    Args:
        path: Final file; a hidden file beside it holds the rows.
        layout: Size, bands, place.
        tags: Metadata of the file.

    Raises:
        OutputError: The file can't be written.
    """
    with ExitStack() as stack:
        with gdal_writes(path):
            file = stack.enter_context(temporary_file(path.parent, ".rows.tif"))
            target = rasterio.open(file, "w+", **_profile(layout))
        stack.enter_context(closing(target))
        with gdal_writes(path):
            _describe(target, layout, tags or {})
        yield RasterRows(file, target)


@contextmanager
def cog_rows(path: Path, layout: RasterLayout, tags: Mapping[str, str]) -> Iterator[RasterRows]:
    """Write a Cloud-Optimized GeoTIFF row by row; it appears, complete, when the block ends.

    GDAL copies the numbers of the transform exactly, even with a rotation. The same values and tags
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
        options = {**_COG_OPTIONS, **_threads(), "OVERVIEW_RESAMPLING": layout.resampling}
        rows.copy(path, "COG", **options)


def _threads() -> dict[str, str]:
    # Only compression uses several threads, so the bytes are the same. Workers have one core each.
    return {"NUM_THREADS": os.environ.get("GDAL_NUM_THREADS", "ALL_CPUS")}


@contextmanager
def gdal_writes(path: Path) -> Iterator[None]:
    """Let GDAL write no extra files beside ours, and turn its errors into one sentence.

    Use it only around calls of GDAL that write: reading scenes may need extra files.
    """
    options = {"GDAL_PAM_ENABLED": False, "GDAL_CACHEMAX": _CACHE_BYTES}
    ignore_warnings(NotGeoreferencedWarning)
    with rasterio.Env(**options):
        try:
            yield
        except (RasterioError, CPLE_BaseError, OSError) as error:
            raise OutputError(
                f"{path} can't be written ({error}); is there space left on the disk?"
            ) from None


def _profile(layout: RasterLayout) -> dict[str, Any]:
    # TIFF strips, because rows come from the top. Any row can be written without reading others.
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
    if layout.control is not None:
        _place(target, layout.control)
    if layout.scale != 1.0:
        target.scales = (layout.scale,) * len(layout.bands)


def _place(target: Any, control: ControlPoints) -> None:
    if control.points:
        points = [
            GroundControlPoint(row=row, col=column, x=x, y=y, z=z, id=str(number))
            for number, (column, row, x, y, z) in enumerate(control.points, 1)
        ]
        target.gcps = points, CRS.from_user_input(control.crs) if control.crs else CRS()
    if control.rpcs:
        target.rpcs = RPC.from_gdal(dict(control.rpcs))

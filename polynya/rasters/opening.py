"""Opening raster files, with GDAL's errors as one sentence."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError  # What rasterio.io and rasterio.vrt let through.
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.names import printable
from polynya.quiet import ignore_warnings
from polynya.rasters.companions import check_companions, check_metadata
from polynya.rasters.gdal_config import BESIDE, READING, servers
from polynya.rasters.references import (
    Decision,
    allowed_drivers,
    check_references,
    ending,
    is_local_file,
    is_network,
)
from polynya.rasters.relay import proxy_settings
from polynya.storage.stores import answers, gdal_options, gdal_path

EXTENSIONS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt")
"""Extensions of files in a folder that count as scenes."""

MOST_PIXELS = 2**34
"""Greatest number of pixels of a scene; a Sentinel-2 tile has 2**27."""
MOST_COLUMNS = 2**18
"""Greatest number of columns of a scene, because strips of whole rows are in memory."""
_SMALL = 2**27
"""Number of pixels up to which the size of the file doesn't matter."""
_LARGEST_BLOCK = 2**28
"""Bytes of a decoded block up to which the size of the file doesn't matter."""
_GREATEST_RATIO = 250
"""Greatest ratio of pixels to bytes of a large file; with more, it would be nearly empty."""

_SILENCE = 60.0
"""Seconds in which this process doesn't request a file again after its server was silent."""
_QUESTION = 5.0
_SHORT_QUESTION = 2.0
"""Seconds that a server has to answer about a file, after it was silent about other files. The
shorter time is for many silent files, so that a batch of a thousand files also ends."""
_MANY = 3
_silent: dict[str, float] = {}
_TIMEOUTS = ("timed out", "timeout", "too slow")

_NO_CONNECTION = (
    r"(?i)(?:CURL error: )?can(?:not|'t) complete SOCKS5 connection to (\S*[^\s.])\.? \(\d+\)"
)
"""GDAL's error message if `polynya.rasters.relay` can't reach a server."""

_looked_at: set[tuple[str, tuple[str, ...]]] = set()

_LONGEST_TRAILER = 65536
"""Bytes that may follow the end of a PNG, because some programs write more bytes."""


@contextmanager
def opened_raster(uri: str, references: Decision = "inside") -> Iterator[Any]:
    """Open a raster for reading, also on a server or in an object store (`polynya.storage.stores`).

    The file's extension decides which drivers may open it. The file may only refer to files that
    the user has allowed (`polynya.rasters.references`).

    Args:
        uri: Path or URI that GDAL opens.
        references: Allowed places of the files that the raster refers to.

    Yields:
        The rasterio data set.

    Raises:
        SceneError: The file can't be opened or, within the block, read.
    """
    # A photograph has no place, and it is for its products to say so.
    ignore_warnings(NotGeoreferencedWarning)
    path = gdal_path(uri)
    _check_answers(path, uri)
    elsewhere = check_references(path, uri, references)
    trusted = references == "anywhere"
    try:
        options = READING | _options_by_place(path, elsewhere)
    except OSError as error:
        raise SceneError(f"{printable(uri)} can't be read ({error}); try again later.") from None
    try:
        with (
            rasterio.Env(**options),
            servers(allowed=trusted or bool(elsewhere) or not is_local_file(path)),
            _name_for_gdal(path) as name,
        ):
            _check_drivers(path, elsewhere, references)
            if is_local_file(path):
                check_companions(name, uri, trusted)
            with _open(name, references) as source:
                if not trusted:
                    check_metadata(source, path, uri)
                yield source
    except (RasterioError, CPLE_BaseError) as error:
        _note_silence(path, error)
        raise SceneError(_why_unreadable(uri, error)) from None


def check_size(source: Any, uri: str) -> None:
    """Refuse a raster that claims more pixels than time and memory allow.

    A few bytes can claim any number of pixels, in virtual, sparse and strongly compressed files.

    Args:
        source: The open raster.
        uri: Name of the raster.

    Raises:
        SceneError: The raster has too many pixels, in total or for its bytes.
    """
    pixels = source.width * source.height
    shape = f"{source.width:,} columns and {source.height:,} rows"
    if pixels > MOST_PIXELS or source.width > MOST_COLUMNS:
        raise SceneError(
            f"{printable(uri)} has {shape}, and a scene may have {MOST_PIXELS:,} pixels and"
            f" {MOST_COLUMNS:,} columns; cut it into parts (gdal_translate -srcwin)."
        )
    rows, columns = source.block_shapes[0]
    block = rows * columns * source.count * np.dtype(source.dtypes[0]).itemsize
    if pixels <= _SMALL and block <= _LARGEST_BLOCK:
        return
    size = _bytes_of(source)
    if size is not None and max(pixels, block) > _GREATEST_RATIO * size:
        raise SceneError(
            f"{printable(uri)} has {shape} in only {size:,} bytes, so it is damaged or nearly"
            " empty; cut out the part that has data (gdal_translate -srcwin)."
        )


def check_whole(uri: str) -> None:
    """Refuse a PNG or JPEG with a missing end, even if all pixels are there.

    Raises:
        SceneError: The file has no end chunk (PNG specification, 5.3 and 11.2.5) or no end of image
            (JPEG, ITU-T T.81, B.2.1). Other bytes may follow, because cameras write them.
    """
    path = gdal_path(uri)
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(ending(path))
    if kind is None or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        if kind == "JPEG":
            has_end = _has_end_of_image(file)
        else:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LONGEST_TRAILER))
            has_end = b"IEND" in file.read()
    if not has_end:
        raise SceneError(
            f"{printable(uri)} is truncated (a {kind} without its end); fetch it again."
        )


def _has_end_of_image(file: Any) -> bool:
    """Whether an end of image follows the begin of pixels; a thumbnail before has its own end."""
    content = file.read()
    position = 2
    while content[position : position + 1] == b"\xff":
        marker = content[position + 1]
        if marker == 0xDA:  # Start of scan: after it, FF D9 can only mean the end.
            return content.find(b"\xff\xd9", position) >= 0
        fill = marker == 0xFF
        position += 1 if fill else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False


def band_number(source: Any, uri: str, band: int | str, key: str) -> int:
    """1-based number of a band that a recipe gives by number or description.

    Args:
        source: The open raster.
        uri: Name of the raster.
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
        f"{printable(uri)} has no band {band!r} (it has {source.count}, {_names_of(source)}); fix"
        f" {key} in the recipe."
    )


def _names_of(source: Any) -> str:
    named = [f"'{name}'" for name in source.descriptions if name]
    return f"called {', '.join(named)}" if named else "without names"


def tile_window(tile: Tile | None) -> Window | None:
    """Window of a tile in rasterio's form; None means the whole raster."""
    return Window(tile.col, tile.row, tile.width, tile.height) if tile else None


def _open(path: str, references: Decision) -> Any:
    """Open with the drivers allowed for the extension; rasterio.open takes only one driver."""
    drivers = allowed_drivers(path, references)
    return DatasetReader(path, driver=None if drivers is None else list(drivers), sharing=False)


def _check_drivers(path: str, elsewhere: tuple[str, ...], references: Decision) -> None:
    """Check remote sources of a virtual raster, once per process: open them with allowed drivers.

    GDAL itself would let any driver open them.
    """
    if not elsewhere or (path, elsewhere) in _looked_at:
        return
    for source in elsewhere:
        _open(source, references).close()
    _looked_at.add((path, elsewhere))


def _options_by_place(path: str, elsewhere: tuple[str, ...]) -> dict[str, Any]:
    """GDAL settings for a file on a local disk or elsewhere.

    Time limits are set for all files, because a trusted file may refer to servers. A local virtual
    raster may have a mask or statistics beside it, and other local sources.
    """
    on_servers = any(is_network(source) for source in (path, *elsewhere))
    options = gdal_options() | (proxy_settings() if on_servers else {})
    if not is_local_file(path):
        return options
    beside = any(os.path.exists(path + suffix) for suffix in (".msk", ".aux.xml"))
    return options if on_servers and not beside else options | BESIDE


@contextmanager
def _name_for_gdal(path: str) -> Iterator[str]:
    """Name of a file in UTF-8, as rasterio needs it; other names get temporary links."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        pass
    else:
        yield path
        return
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    with TemporaryDirectory(prefix="polynya-") as links:
        for entry in os.listdir(folder):
            if entry.startswith(stem):
                link = "scene" + entry.removeprefix(stem)
                if link.isascii():
                    os.symlink(os.path.join(folder, entry), os.path.join(links, link))
        yield os.path.join(links, "scene" + name.removeprefix(stem))


def _bytes_of(source: Any) -> int | None:
    """Size in bytes of a raster and all its files; None if it has files on other machines."""
    total = 0
    for name in source.files:
        if not is_local_file(name):
            return None
        try:
            total += os.stat(name).st_size
        except OSError:
            continue
    return total


def _host(path: str) -> str:
    """The part of a path that names the server."""
    address = re.search(r"https?://[^/?]*", unquote(path))
    return address[0] if address else "/".join(path.split("/")[:3])


def _check_answers(path: str, uri: str) -> None:
    """Raise SceneError for a file if its server was silent about it a short time ago.

    Other files of this server may be available, so a short request for them is sent first.
    """
    if not is_network(path):
        return
    recent = [name for name, when in list(_silent.items()) if time.monotonic() - when < _SILENCE]
    host = _host(path)
    silent = [name for name in recent if _host(name) == host]
    if silent and path not in silent and host not in silent:
        try:
            if answers(path, _QUESTION if len(silent) < _MANY else _SHORT_QUESTION):
                return
            _silent[path] = time.monotonic()
        except ConnectionError:
            _silent[host] = time.monotonic()
    elif not silent:
        return
    raise SceneError(
        f"{printable(uri)} can't be read, as its server doesn't answer; check the address, or try"
        " again later."
    )


def _note_silence(path: str, error: BaseException | None) -> None:
    """Remember a file without answer, which one of a chain of GDAL errors reports."""
    if not is_network(path):
        return
    while error is not None:
        if any(sign in str(error).lower() for sign in _TIMEOUTS):
            _silent[path] = time.monotonic()
            return
        error = error.__cause__ or error.__context__


def _why_unreadable(uri: str, error: Exception) -> str:
    path, shown = gdal_path(uri), printable(uri)
    if is_local_file(path):
        if os.path.isdir(path):
            endings = ", ".join(EXTENSIONS)
            return f"{shown} is a folder without scenes; give one with files of type {endings}."
        if glob.has_magic(uri) and not os.path.exists(path):
            return f"No file matches {shown}; check the pattern."
        if not os.path.exists(path):
            return f"{shown} does not exist; check the path."
        if not os.access(path, os.R_OK):
            return f"{shown} may not be read; check its permissions."
        if os.path.getsize(path) == 0:
            return f"{shown} is empty; fetch it again."
    # GDAL's reason is the cause of rasterio's general error, and may have several lines.
    reason = printable(" ".join(str(error.__cause__ or error).split())).rstrip(".")
    if is_network(path):
        reason = re.sub(_NO_CONNECTION, r"no connection to \1", reason)
        return (
            f"{shown} can't be read ({reason}); check the address and the credentials in the"
            " environment (docs/scenes.md), or try again later."
        )
    return f"{shown} can't be read and may be truncated or no image ({reason}); fetch it again."

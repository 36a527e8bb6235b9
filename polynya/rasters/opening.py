"""Opening raster files, with GDAL's complaints as one sentence."""

from __future__ import annotations

import glob
import os
import re
import time
import warnings
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
"""What is taken for a scene in a folder."""

MOST_PIXELS = 2**34
"""Of a scene; a Sentinel-2 tile has 2**27."""
MOST_COLUMNS = 2**18
"""Of a scene, as strips of whole rows are in memory at once."""
_SMALL = 2**27
"""Pixels that are read whatever the file's size is."""
_LARGEST_BLOCK = 2**28
"""Bytes that GDAL decodes at once, whatever the file's size is."""
_GREATEST_RATIO = 250
"""Of pixels to bytes: of a larger file nearly everything would be empty."""

_SILENCE = 60.0
"""Seconds for which a file that a server didn't give isn't asked for again by this process."""
_QUESTION = 5.0
_SHORT_QUESTION = 2.0
"""Seconds for saying anything about a file, from a server that was silent about others; the second
where these are many, so that a thousand of them end too."""
_MANY = 3
_silent: dict[str, float] = {}
_TIMEOUTS = ("timed out", "timeout", "too slow")

_NO_CONNECTION = (
    r"(?i)(?:CURL error: )?can(?:not|'t) complete SOCKS5 connection to (\S*[^\s.])\.? \(\d+\)"
)
"""What GDAL says where `polynya.rasters.relay` can't reach a server."""

_looked_at: set[tuple[str, tuple[str, ...]]] = set()

_LONGEST_TRAILER = 65536
"""Some programs write further bytes after the end of a PNG."""


@contextmanager
def opened_raster(uri: str, references: Decision = "inside") -> Iterator[Any]:
    """Open a raster for reading, also on a server or in an object store (`polynya.storage.stores`).

    The file's ending says which drivers may open it, and it may refer to nothing that the user
    hasn't named (`polynya.rasters.references`).

    Args:
        uri: Path or URI that GDAL opens.
        references: Where files may lie that it refers to.

    Yields:
        The rasterio data set.

    Raises:
        SceneError: The file can't be opened or, within the block, read.
    """
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
            warnings.catch_warnings(),
            rasterio.Env(**options),
            servers(allowed=trusted or bool(elsewhere) or not is_local_file(path)),
            _name_for_gdal(path) as name,
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
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
    """Refuse a raster that claims more pixels than can be read in good time and memory.

    A few bytes can claim any number of pixels: virtual, sparse and well compressed files.

    Args:
        source: The open raster.
        uri: Its name.

    Raises:
        SceneError: It has too many pixels, in all or for its bytes.
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
    """Refuse a PNG or JPEG whose end is missing, even if no pixel is.

    Raises:
        SceneError: The file has no end chunk (PNG specification, 5.3 and 11.2.5) or no end of image
            (JPEG, ITU-T T.81, B.2.1). Further bytes may follow, as cameras write them.
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
    """Whether an end of image follows where the pixels begin; before, a thumbnail has its own."""
    content = file.read()
    position = 2
    while content[position : position + 1] == b"\xff":
        marker = content[position + 1]
        if marker == 0xDA:  # Start of scan: in what follows FF D9 stands for the end only.
            return content.find(b"\xff\xd9", position) >= 0
        fill = marker == 0xFF
        position += 1 if fill else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False


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
        f"{printable(uri)} has no band {band!r} (it has {source.count}, {_names_of(source)}); fix"
        f" {key} in the recipe."
    )


def _names_of(source: Any) -> str:
    named = [f"'{name}'" for name in source.descriptions if name]
    return f"called {', '.join(named)}" if named else "without names"


def tile_window(tile: Tile | None) -> Window | None:
    """Window of a tile for rasterio; None, the whole raster, for None."""
    return Window(tile.col, tile.row, tile.width, tile.height) if tile else None


def _open(path: str, references: Decision) -> Any:
    """Open by the drivers of a path's ending; rasterio.open takes one driver only."""
    drivers = allowed_drivers(path, references)
    return DatasetReader(path, driver=None if drivers is None else list(drivers), sharing=False)


def _check_drivers(path: str, elsewhere: tuple[str, ...], references: Decision) -> None:
    """Open what a virtual raster refers to elsewhere by the drivers of its ending, once a process.

    GDAL itself would let any driver open it.
    """
    if not elsewhere or (path, elsewhere) in _looked_at:
        return
    for source in elsewhere:
        _open(source, references).close()
    _looked_at.add((path, elsewhere))


def _options_by_place(path: str, elsewhere: tuple[str, ...]) -> dict[str, Any]:
    """Settings for a file on this machine's disks or elsewhere.

    Limits of time are set for all: what is trusted may refer to servers. A virtual raster here may
    have a mask or statistics beside it, and other sources here.
    """
    on_servers = any(is_network(source) for source in (path, *elsewhere))
    options = gdal_options() | (proxy_settings() if on_servers else {})
    if not is_local_file(path):
        return options
    beside = any(os.path.exists(path + suffix) for suffix in (".msk", ".aux.xml"))
    return options if on_servers and not beside else options | BESIDE


@contextmanager
def _name_for_gdal(path: str) -> Iterator[str]:
    """A name of a file that GDAL takes: rasterio has names in UTF-8 only, Linux any bytes."""
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
    """Size of a raster and all files that it consists of; None where some can't be asked."""
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
    """What stands for a server in a path."""
    address = re.search(r"https?://[^/?]*", unquote(path))
    return address[0] if address else "/".join(path.split("/")[:3])


def _check_answers(path: str, uri: str) -> None:
    """Raise SceneError for a file of which its server just said nothing: waiting once is enough.

    Of the same server's other files, which may well be there, a short question is asked first.
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
    """Remember a file for which no answer came, which GDAL says in one of a chain of errors."""
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
    # GDAL's reason is behind rasterio's general sentence, and may take several lines.
    reason = printable(" ".join(str(error.__cause__ or error).split())).rstrip(".")
    if is_network(path):
        reason = re.sub(_NO_CONNECTION, r"no connection to \1", reason)
        return (
            f"{shown} can't be read ({reason}); check the address and the credentials in the"
            " environment (docs/scenes.md), or try again later."
        )
    return f"{shown} can't be read and may be truncated or no image ({reason}); fetch it again."

"""Companion files that GDAL reads with a raster: masks, overviews, XML with statistics or nodata.

GDAL silently ignores companions that it can't read. Then nodata would count as data. GDAL also
takes a few metadata keys as names of other files. So each companion is checked first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from polynya.errors import SceneError
from polynya.names import printable
from polynya.quiet import ignore_warnings
from polynya.rasters.gdal_config import BESIDE, READING, servers

FILE_KEYS = ("overview_file", "x_dataset", "y_dataset")
"""Metadata keys with values that GDAL takes as file names."""

_IMAGES = (".msk", ".ovr")
_XML = ".aux.xml"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MASK_TAG = "INTERNAL_MASK_FLAGS_1"
"""Tag that a mask needs; without it, GDAL ignores the mask (GDAL RFC 15)."""
_LONGEST_XML = 64 * 2**20
"""Greatest size of an XML file in bytes."""
_MOST_LEVELS = 4
"""Greatest number of levels of companions of companions, such as x.tif.msk.ovr.aux.xml."""
_FRESH = 2.0
"""Seconds after a change of a folder in which another change may get the same time."""


def check_companions(path: str, uri: str, trusted: bool) -> None:
    """Make sure that all companion files of a raster can be read.

    Args:
        path: Path of a raster on a local disk.
        uri: The user's name of the scene.
        trusted: Whether the companions may refer to other files.

    Raises:
        SceneError: A mask, overview or XML file is damaged, or refers to other files.
    """
    for companion in _companions(path, _MOST_LEVELS):
        try:
            status = os.stat(companion)
        except OSError as error:
            raise _unreadable(companion, uri, error.strerror or str(error)) from None
        if os.path.isfile(companion):
            _check_one(companion, uri, trusted, status.st_size, status.st_mtime_ns)


def check_metadata(source: Any, path: str, uri: str) -> None:
    """Make sure that no metadata of an open raster names another file for GDAL.

    Raises:
        SceneError: The metadata names another file.
    """
    # GDAL opens overviews only when they are needed, so it has not opened a named file yet.
    for domain in source.tag_namespaces():
        if domain.lower().startswith(("xml:", "json:")):
            continue
        for key in source.tags(ns=domain):
            if key.lower() in FILE_KEYS:
                raise SceneError(
                    f"{printable(path)} refers to another file by its metadata '{printable(key)}'"
                    f"{'' if path == uri else f', and belongs to {printable(uri)}'}; make it again"
                    " without that (gdal_translate), or set scene.references to anywhere in the"
                    " recipe if you trust the file."
                )


def check_image(path: str, uri: str, drivers: tuple[str, ...]) -> None:
    """Open an image that another raster refers to, and check its metadata.

    An image that can't be opened is ignored here; GDAL reports it later.

    Raises:
        SceneError: Its metadata names another file.
    """
    try:
        with _opened(path, drivers) as source:
            check_metadata(source, path, uri)
    except (RasterioError, CPLE_BaseError):
        return


def parse_xml(text: str) -> ElementTree.Element:
    """Parse XML without entities; comments are kept, because GDAL treats them differently.

    Raises:
        ValueError: The text is no XML, or declares entities.
    """
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise ValueError("it declares entities")
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=builder))
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=4096)
def _check_one(companion: str, uri: str, trusted: bool, size: int, changed: int) -> None:
    """Check one companion; a process checks it again only if it has changed."""
    if companion.lower().endswith(_XML):
        _check_xml(companion, uri, trusted)
    else:
        _check_mask(companion, uri, trusted)


def _check_mask(path: str, uri: str, trusted: bool) -> None:
    """Open a mask or overview and read its first and last block."""
    try:
        with open(path, "rb") as file:
            if not file.read(4).startswith(_TIFF):
                raise _unreadable(path, uri, "is no TIFF file")
        with _opened(path, ("GTiff",)) as source:
            if not trusted:
                check_metadata(source, path, uri)
            if path.lower().endswith(".msk") and _MASK_TAG not in source.tags():
                raise _unreadable(path, uri, f"is no mask for GDAL (it lacks {_MASK_TAG})")
            windows = [window for _, window in source.block_windows(1)]
            for window in (windows[0], windows[-1]):
                source.read(window=window)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        raise _unreadable(path, uri, printable(reason)) from None


def _check_xml(path: str, uri: str, trusted: bool) -> None:
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST_XML + 1)
        if len(content) > _LONGEST_XML:
            raise ValueError(f"it has more than {_LONGEST_XML // 2**20} MB")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")  # GDAL accepts any bytes in names and descriptions.
        root = parse_xml(text)
    except OSError as error:
        raise _unreadable(path, uri, error.strerror or str(error)) from None
    except ValueError as error:
        raise _unreadable(path, uri, str(error)) from None
    for element in () if trusted else root.iter():
        values = {name.lower(): value.lower() for name, value in element.attrib.items()}
        if values.get("key") in FILE_KEYS:
            raise SceneError(
                f"{printable(path)} refers to other files; move it away, or make it again"
                " (gdal_edit.py)."
            )


@contextmanager
def _opened(path: str, drivers: tuple[str, ...]) -> Iterator[Any]:
    """Open an image without any request to a server."""
    ignore_warnings(NotGeoreferencedWarning)
    with (
        rasterio.Env(**READING, **BESIDE),
        servers(allowed=False),
        DatasetReader(path, driver=list(drivers), sharing=False) as source,
    ):
        yield source


def _unreadable(companion: str, uri: str, reason: str) -> SceneError:
    reason = reason if reason.startswith("is ") else f"can't be read ({reason})"
    return SceneError(
        f"{printable(companion)} lies beside {printable(uri)} and {reason}; make it again or move"
        " it away."
    )


def _companions(path: str, levels: int) -> Iterator[str]:
    """Paths of companions that GDAL may read with a raster; upper and lower case don't matter."""
    folder, name = os.path.split(path)
    known = _names_in(folder)
    for suffix in (*_IMAGES, _XML):
        for found in known.get((name + suffix).lower(), ()):
            companion = os.path.join(folder, found)
            yield companion
            if levels and suffix != _XML:
                yield from _companions(companion, levels - 1)


def _names_in(folder: str) -> Mapping[str, tuple[str, ...]]:
    """Names of companions in a folder, by lower-case name; {} if the folder can't be listed."""
    try:
        changed = os.stat(folder).st_mtime_ns
        if abs(time.time() - changed / 1e9) < _FRESH:
            return _listed(folder)
        return _listed_once(folder, changed)
    except OSError:
        return {}


@lru_cache(maxsize=16)
def _listed_once(folder: str, changed: int) -> Mapping[str, tuple[str, ...]]:
    return _listed(folder)


def _listed(folder: str) -> Mapping[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for name in os.listdir(folder):
        if name.lower().endswith((*_IMAGES, _XML)):
            names[name.lower()] = (*names.get(name.lower(), ()), name)
    return names

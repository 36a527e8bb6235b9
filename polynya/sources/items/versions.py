"""Versions of a source's files, to detect a new file at the same place.

A scene is fetched again if its source files have changed. The version of a local file is a checksum
of its bytes; of a zip member, the checksum in the archive; of an object in a store, size and date;
of a file on a server, the server's headers.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from polynya.errors import SceneError, reason_of
from polynya.sources.access.web import Web
from polynya.sources.items.item import Item
from polynya.storage.fingerprint import fingerprint
from polynya.storage.stores import file_system, open_object

_ARCHIVE = re.compile(r"/vsizip/\{(.+)\}/(.+)")
_STORES = {"/vsis3/": "s3", "/vsigs/": "gs"}
_MOST_BYTES = 2**20
"""Greatest size of an answer to a request for one byte; small files may come completely."""
_ONE_BYTE = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}


def with_versions(item: Item, web: Callable[[], Web]) -> Item:
    """Add the current versions of the files to the bands of an item.

    Args:
        item: An item with files as bands.
        web: Returns the session for requests, if one is needed.

    Raises:
        SceneError: A file doesn't exist, or its server doesn't answer.
    """
    versions = {path: file_version(path, web) for path in {band.path for band in item.bands}}
    bands = tuple(
        replace(band, version=" ".join(filter(None, (band.version, versions[band.path]))))
        for band in item.bands
    )
    return replace(item, bands=bands)


def file_version(path: str, web: Callable[[], Web]) -> str:
    """Version of a file; "" if unknown.

    Args:
        path: GDAL path of the file.
        web: Returns the session for requests, if one is needed.

    Raises:
        SceneError: The file doesn't exist, or its server doesn't answer correctly.
    """
    try:
        if path.startswith("/vsicurl/"):
            return _of_server(path.removeprefix("/vsicurl/"), web())
        archive = _ARCHIVE.fullmatch(path)
        if archive:
            return _of_member(archive[1], archive[2])
        for prefix, scheme in _STORES.items():
            if path.startswith(prefix):
                return _of_object(scheme, path.removeprefix(prefix))
        if "://" in path or path.startswith("/vsi"):
            return ""
        found = fingerprint(Path(path))
        return f"{found.size}-{found.crc32c:08x}"
    except FileNotFoundError:
        raise SceneError(f"{path} does not exist; check the path.") from None
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
        raise SceneError(f"{path} can't be read ({reason_of(error)}); fetch it again.") from None


def _of_server(url: str, web: Web) -> str:
    """Version of a file from a server's headers; checks that the server can send a part of a file.

    GDAL keeps a complete answer in memory, even if the server ignores the requested range and the
    answer never ends. So a limited request for one byte is sent first.
    """
    answer = web.request("GET", url, _MOST_BYTES, headers=_ONE_BYTE)
    # A server that refuses this may still send the file; otherwise GDAL's error is better.
    if answer.status not in (200, 206):
        return ""
    tag = answer.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag[:200]
    size = answer.headers.get("content-range", answer.headers.get("content-length", ""))
    said = (size.rpartition("/")[2], answer.headers.get("last-modified", ""))
    return " ".join(filter(None, said))[:200]


def _of_member(archive: str, name: str) -> str:
    with open_object(_uri_of(archive)) as file, zipfile.ZipFile(file) as opened:
        member = opened.getinfo(name)
    return f"{member.file_size}-{member.CRC:08x}"


def _of_object(scheme: str, path: str) -> str:
    found = file_system(scheme).get_file_info(path)
    if found.size is None:
        raise FileNotFoundError(path)
    return f"{found.size}-{found.mtime_ns}"


def _uri_of(path: str) -> str:
    """Convert a GDAL path to the URI that `polynya.storage.stores` uses."""
    for prefix, scheme in _STORES.items():
        if path.startswith(prefix):
            return f"{scheme}://{path.removeprefix(prefix)}"
    return path

"""What tells a source's file from another one that was delivered at the same place.

A scene is fetched again if the files that it was made from are others now. Files of this machine
are known by a checksum of their bytes, members of zip files by the archive's checksum, objects by
size and date, files on servers by what the server says of them.
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
"""Of an answer that should have one byte: small files may come as a whole."""
_ONE_BYTE = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}


def with_versions(item: Item, web: Callable[[], Web]) -> Item:
    """The item with the versions of its bands' files, as they are now.

    Args:
        item: Its bands are files.
        web: Gives the session for requests, where one is needed.

    Raises:
        SceneError: A file isn't there, or its server doesn't answer.
    """
    versions = {path: file_version(path, web) for path in {band.path for band in item.bands}}
    bands = tuple(
        replace(band, version=" ".join(filter(None, (band.version, versions[band.path]))))
        for band in item.bands
    )
    return replace(item, bands=bands)


def file_version(path: str, web: Callable[[], Web]) -> str:
    """Version of a file; empty if nobody can say.

    Args:
        path: What GDAL opens.
        web: Gives the session for requests, where one is needed.

    Raises:
        SceneError: It isn't there, or its server doesn't answer as it should.
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
    """What a server says of a file, if it gives parts of files.

    GDAL keeps all of an answer in memory, also one that is no part and never ends. So a server is
    asked for one byte first, by a request that has limits.
    """
    answer = web.request("GET", url, _MOST_BYTES, headers=_ONE_BYTE)
    # One that refuses this still may give the file; then GDAL's error is the better one.
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
    """What `polynya.storage.stores` calls what GDAL opens."""
    for prefix, scheme in _STORES.items():
        if path.startswith(prefix):
            return f"{scheme}://{path.removeprefix(prefix)}"
    return path

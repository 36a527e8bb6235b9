"""Identity of a scene, independent of its name: a digest of all bytes that its pixels come from."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

from polynya.errors import SceneError
from polynya.names import printable
from polynya.rasters.opening import opened_raster
from polynya.rasters.references import Decision, ending, find_references, is_local_file
from polynya.storage.stores import answering_store, gdal_path, server_headers

if TYPE_CHECKING:
    from polynya.scenes.scene import Scene

_CHUNK = 4 * 2**20
_THREADS = 4
_DEEPEST = 8
_OVERVIEWS = ".ovr"
_AND_LABELS = "+"
_ARCHIVE = re.compile(
    r"^/vsi(?:zip|tar)/(?:\{(?P<braced>.+?)\}|(?P<plain>.+?\.(?:zip|tar)))/(?P<member>.+)$",
    re.I,
)
_STORES = {"/vsis3/": "s3", "/vsigs/": "gs"}


def scene_digest(scene: Scene) -> str:
    """Digest of all files that a scene's pixels, nodata and layers come from.

    The digest covers the bytes of the scene's file, of files that GDAL reads with it (masks,
    statistics, world files), of files that a virtual raster refers to, and of the layers' files. It
    doesn't depend on the spelling of the path, the folder or the time of writing. For a file in a
    store or on a server, the digest uses its size, time of change and entity tag, so the file is
    not downloaded.

    Args:
        scene: From `polynya.scenes.reading.open_scene`.

    Returns:
        First 16 hex digits of the SHA-256.

    Raises:
        SceneError: A file can't be read.
    """
    parts = [("scene", scene.uri)]
    if scene.layers is not None and scene.layers.clouds_uri not in (None, scene.uri):
        parts.append(("clouds", str(scene.layers.clouds_uri)))
    if scene.land is not None and scene.land.is_raster:
        parts.append(("land", scene.land.path))
    total = hashlib.sha256()
    for role, uri in parts:
        total.update(f"{role} {raster_digest(uri, scene.references)}\n".encode())
    if scene.land is not None and not scene.land.is_raster:
        for path in _vector_files(scene.land.path):
            total.update(f"land {_file(path)}\n".encode())
    return total.hexdigest()[:16]


def labelled_digest(scene: Scene) -> str:
    """Digest of everything that the shards of a scene come from: the scene and its labels.

    Args:
        scene: The scene, with `labels` if it has a raster of labels.

    Returns:
        `scene_digest`; for a raster of labels, '+' and 16 hex digits follow.

    Raises:
        SceneError: A file can't be read.
    """
    own = scene_digest(scene)
    if scene.labels is None:
        return own
    return f"{own}{_AND_LABELS}{raster_digest(scene.labels.path, scene.references)[:16]}"


def without_labels(digest: str) -> str:
    """The `scene_digest` in a `labelled_digest`."""
    return digest.partition(_AND_LABELS)[0]


def raster_digest(uri: str, references: Decision = "inside") -> str:
    """Digest of a raster and all files that belong to it (see `scene_digest`); 64 hex digits.

    Args:
        uri: Path or URI that GDAL opens.
        references: Allowed places of the files that the raster refers to.
    """
    path = gdal_path(uri)
    try:
        return _raster(path, uri, references, 0)
    except OSError as error:
        raise SceneError(
            f"{printable(uri)} can't be read ({error.strerror or error}); check the path."
        ) from None


def file_digest(path: str) -> str:
    """SHA-256 of the bytes of a local file, 64 hex digits; of a Shapefile, of all its parts.

    Raises:
        SceneError: The file can't be read.
    """
    try:
        digests = [_file(name) for name in _vector_files(path, with_attributes=True)]
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests or [_file(path)]).encode()).hexdigest()
    except OSError as error:
        raise SceneError(
            f"{printable(path)} can't be read ({error.strerror or error}); check the path."
        ) from None


def _raster(path: str, uri: str, references: Decision, depth: int) -> str:
    if not is_local_file(path):
        return _elsewhere(path)
    if ending(path) == ".vrt":
        if depth >= _DEEPEST:
            raise SceneError(f"{printable(uri)} refers to itself; make it again (gdalbuildvrt).")
        main = _virtual(path, uri, references, depth)
    else:
        main = _file(path)
    lines = [main]
    for companion in _companions(path, uri, references):
        # Use only the suffix of a companion's name, because the rest changes with the scene's name.
        suffix = companion.removeprefix(os.path.splitext(path)[0])
        lines.append(f"{suffix if suffix != companion else 'beside'} {_file(companion)}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _virtual(path: str, uri: str, references: Decision, depth: int) -> str:
    """Digest of a virtual raster's text, in which digests of the sources replace their names."""
    found = find_references(path)
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = list(
            pool.map(lambda place: _source(place.path, uri, references, depth + 1), found)
        )
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    for place, digest in sorted(
        zip(found, digests, strict=True), key=lambda pair: -len(pair[0].text)
    ):
        text = re.sub(rf">\s*{re.escape(_escaped(place.text))}\s*<", f">{digest}<", text)
    text = re.sub(r'relativeToVRT="[01]"', "", text, flags=re.IGNORECASE)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(path: str, uri: str, references: Decision, depth: int) -> str:
    if is_local_file(path) and not os.path.isfile(path):
        return "missing"
    return _raster(path, uri, references, depth)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _companions(path: str, uri: str, references: Decision) -> Iterator[str]:
    """Local files that GDAL reads with a raster (masks, statistics, world files), sorted."""
    if ending(path) == ".vrt":
        found = [path + suffix for suffix in (".msk", ".aux.xml")]
    else:
        with opened_raster(path, references) as source:
            found = [os.path.abspath(name) for name in source.files if is_local_file(name)]
    for name in sorted(set(found) - {path}):
        if not name.endswith(_OVERVIEWS) and os.path.isfile(name):
            yield name


def _file(path: str) -> str:
    status = os.stat(path)
    # Not the modification time: programs that copy or unpack files may set it to an old time.
    return _content(path, status.st_size, status.st_ctime_ns, status.st_ino)


@lru_cache(maxsize=4096)
def _content(path: str, size: int, changed: int, number: int) -> str:
    """SHA-256 of a file; a process reads the file again only if it has changed."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(_CHUNK, max(1, size))))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _elsewhere(path: str) -> str:
    """Digest of a file that is not on a local disk, without reading its pixels."""
    archive = _ARCHIVE.match(path)
    if archive:
        name = archive["braced"] or archive["plain"]
        if is_local_file(name):
            return _member(name, archive["member"])
        return hashlib.sha256(f"{_elsewhere(name)} {archive['member']}".encode()).hexdigest()
    said = _said_by_store(path) or _said_by_server(path) or path
    return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()


def _member(archive: str, member: str) -> str:
    """Digest of a file in an archive: its checksum in a zip file, all bytes of a tar file."""
    try:
        with zipfile.ZipFile(archive) as content:
            info = content.getinfo(member)
        said = f"{info.file_size} {info.CRC:08x}"
    except (KeyError, zipfile.BadZipFile):
        said = f"{_file(archive)} {member}"
    return hashlib.sha256(said.encode()).hexdigest()


def _vector_files(path: str, with_attributes: bool = False) -> list[str]:
    """Files of a vector data set; a Shapefile has several."""
    stem, suffix = os.path.splitext(path)
    others = (".shx", ".prj", *([".dbf"] if with_attributes else []))
    others = others if suffix.lower() == ".shp" else ()
    found = [path, *(stem + other for other in others)]
    return [name for name in found if os.path.isfile(name)]


def _said_by_store(path: str) -> str | None:
    for prefix, scheme in _STORES.items():
        if path.startswith(prefix):
            try:
                name = path.removeprefix(prefix)
                info = answering_store(scheme, name).get_file_info(name)
            except (OSError, ValueError):
                return None
            return f"{info.size} {info.mtime_ns}" if info.is_file else None
    return None


def _said_by_server(path: str) -> str | None:
    """Size, time of change and entity tag of a file on a web server (RFC 9110, 8.6 and 8.8)."""
    try:
        headers = server_headers(path)
    except (OSError, ValueError):
        return None
    said = {key.lower(): value for key, value in headers.items()}
    told = [said.get(key) for key in ("etag", "last-modified", "content-length")]
    # A size alone is not enough, because pixels can change without a change of size.
    return " ".join(map(str, told)) if told[0] or told[1] else None

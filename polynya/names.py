"""Names of scenes: ids for files and tables, and printable texts for messages."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from polynya.storage.stores import gdal_path
from polynya.storage.uris import public_uri

_LONGEST_ID = 120
"""Characters of an id; names of products are longer, and file systems allow 255 bytes."""
_DIGITS = 8


def printable(text: str | os.PathLike[str]) -> str:
    """A path, URI or other text in a form that every file, table and terminal accepts.

    File names on Linux are bytes. Bytes that are not UTF-8, and characters that can't be seen,
    become escapes: a backslash with hexadecimal digits.
    """
    decoded = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in decoded)


def scene_id(uri: str) -> str:
    """Id of a scene: its file name without extension, in characters that are safe in paths.

    It begins with a letter or digit, because Spark and PyArrow ignore files with names that begin
    with `_` or `.`. If a name has no safe character or is too long, its id contains a digest of
    the name.
    """
    stem = Path(gdal_path(public_uri(uri).rstrip("/"))).stem
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    if not re.search(r"[A-Za-z0-9]", safe):
        return f"scene-{_digest(stem)}"
    if len(safe) > _LONGEST_ID:
        safe = f"{safe[: _LONGEST_ID - _DIGITS - 1]}-{_digest(stem)}"
    return safe if safe[0].isalnum() else f"scene{safe}"


def place_of(uri: str) -> str:
    """One text for all spellings of a path or URI: absolute, without links and `file://`."""
    path = gdal_path(uri)
    return path if "://" in path or path.startswith("/vsi") else os.path.realpath(path)


def unique_id(uri: str) -> str:
    """Id of a scene that is different for each place: its `scene_id` and a digest of its place."""
    return f"{scene_id(uri)}-{_digest(place_of(uri))}"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:_DIGITS]

"""Files of a source: a folder, or an archive that GDAL reads in place."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from polynya.errors import SceneError
from polynya.names import printable
from polynya.recipe.base import STEM
from polynya.recipe.imports import FOLDER

Key = tuple[str, str]
"""Folders and stem that an image and its mask have in common."""

_WILDCARDS = {
    f"{FOLDER}/": "(?:(?P<folder>.*)/)?",
    STEM: "(?P<stem>[^/]+)",
    "**/": "(?:.*/)?",
    "*": "[^/]*",
}


def list_files(source: str) -> dict[str, str]:
    """List the files in a folder or an archive, hidden ones left out.

    Args:
        source: Folder, .zip or .tar file. Archives are read in place; nothing is unpacked.

    Returns:
        GDAL path of each file by its path in the source, with forward slashes, sorted.

    Raises:
        SceneError: There is no such source, it is no archive, or a member of the archive is outside
            of the archive's folder or is a link.
    """
    path = os.path.abspath(source)
    if os.path.isdir(path):
        found = {name: os.path.join(path, name) for name in _in_folder(path)}
    elif path.lower().endswith((".zip", ".tar")):
        prefix = "/vsizip/" if path.lower().endswith(".zip") else "/vsitar/"
        found = {name: f"{prefix}{path}/{name}" for name in _in_archive(path)}
    else:
        what = "is no folder, .zip or .tar file" if os.path.exists(path) else "does not exist"
        raise SceneError(f"{printable(source)} {what}; give the folder of the data set.")
    return {name: found[name] for name in sorted(found) if not _is_hidden(name)}


def matching(pattern: str, files: Iterable[str]) -> dict[Key, list[str]]:
    """Find the files that match a pattern with {stem}, {folder}, * and **.

    Args:
        pattern: Pattern of paths in a source (`polynya.recipe.imports`).
        files: Paths in the source, with forward slashes.

    Returns:
        Matching paths by what the placeholders stand for.

    Example:
        >>> matching("images/{stem}.*", ["images/a.png", "masks/a.png"])
        {('', 'a'): ['images/a.png']}
    """
    parts = re.split("(" + "|".join(map(re.escape, _WILDCARDS)) + ")", pattern)
    expression = re.compile("".join(_WILDCARDS.get(part, re.escape(part)) for part in parts))
    found: dict[Key, list[str]] = {}
    for name in files:
        match = expression.fullmatch(name)
        if match:
            groups = match.groupdict()
            found.setdefault((groups.get("folder") or "", groups["stem"]), []).append(name)
    return found


def _in_folder(folder: str) -> Iterator[str]:
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        # Data are often linked to; a link to a folder above must not lead around for ever.
        if os.path.realpath(place) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        for name in names:
            yield Path(place, name).relative_to(folder).as_posix()


def _in_archive(path: str) -> Iterator[str]:
    try:
        if path.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                members = [
                    (info.filename, stat.S_ISLNK(info.external_attr >> 16))
                    for info in archive.infolist()
                    if not info.is_dir()
                ]
        else:
            with tarfile.open(path, "r:") as tar:
                members = [(m.name, not m.isfile()) for m in tar.getmembers() if not m.isdir()]
    except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise SceneError(
            f"{printable(path)} can't be read as an archive ({error}); fetch it again, or unpack it"
            " and give its folder."
        ) from None
    for name, is_link in members:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if is_link or name.startswith(("/", "\\")) or ".." in parts or re.match("[A-Za-z]:", name):
            what = "is a link" if is_link else "climbs out of its folder"
            raise SceneError(
                f"{printable(path)} has the member {printable(name)}, which {what}; don't trust it,"
                " and pack the data set again."
            )
        yield name.removeprefix("./")


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))

"""List of virtual rasters that `polynya scenes --in-place` wrote for this user on this machine.

These virtual rasters may refer to files anywhere, because the user asked for them. A ledger beside
them is no proof, because a person who sends a folder can include a ledger. So their digests are
kept outside of all data, in a folder in which only this user writes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from polynya.environment import cache_folder

_FOLDER = "references"


def remember(content: bytes) -> None:
    """Record that this user asked for a virtual raster with this content.

    If the cache folder can't be written, nothing is recorded. Then the file counts as a file of
    other people, and the recipe's key scene.references must allow its references.
    """
    folder = cache_folder(_FOLDER)
    if folder is not None:
        try:
            (folder / digest(content)).touch(mode=0o600)
        except OSError:
            return


def is_own(content_digest: str) -> bool:
    """Whether this user asked for a virtual raster with this digest on this machine."""
    folder = cache_folder(_FOLDER)
    return folder is not None and (folder / content_digest).is_file()


def is_own_file(path: Path) -> bool:
    """Whether a virtual raster is exactly a file that this user asked for."""
    try:
        return is_own(digest(path.read_bytes()))
    except OSError:
        return False


def digest(content: bytes) -> str:
    """SHA-256 of a content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()

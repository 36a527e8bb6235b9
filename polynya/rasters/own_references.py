"""Which virtual rasters `polynya scenes --in-place` wrote for this user, on this machine.

They may refer to files anywhere, because the user asked for just these. A ledger beside them proves
nothing: who sends a folder can put one in. So their digests are kept outside of all data, in a
folder in which only this user writes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from polynya.environment import cache_folder

_FOLDER = "references"


def remember(content: bytes) -> None:
    """Note that this user asked for a virtual raster with this content.

    Where nothing can be kept, nothing is: such a file is then like one from elsewhere, and the
    recipe's key scene.references has to say that it is trusted.
    """
    folder = cache_folder(_FOLDER)
    if folder is not None:
        try:
            (folder / digest(content)).touch(mode=0o600)
        except OSError:
            return


def is_own(content_digest: str) -> bool:
    """Whether this user asked for a virtual raster of this digest, on this machine."""
    folder = cache_folder(_FOLDER)
    return folder is not None and (folder / content_digest).is_file()


def is_own_file(path: Path) -> bool:
    """Whether a virtual raster is one that this user asked for, to the last byte."""
    try:
        return is_own(digest(path.read_bytes()))
    except OSError:
        return False


def digest(content: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()

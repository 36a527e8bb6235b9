"""Whose files are in an output folder: Polynya replaces and deletes only what it wrote itself.

A file that exists and that the folder's ledger (`polynya.storage.ledger`) doesn't list with these
very bytes is not ours: it was there before, or somebody changed it since. A file that was only cut
short is still ours: checksums of its first bytes tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from polynya.errors import OutputError
from polynya.storage.fingerprint import CHUNK, fingerprint, fingerprint_if
from polynya.storage.ledger import (
    LEDGER_FILE,
    append_record,
    file_record,
    inner_folders,
    read_ledger,
    remove_empty,
)
from polynya.storage.locks import LOCK_FILE

_BESIDE = ("", "-journal", "-wal", "-shm", ".aux.xml", ".msk", ".ovr")
"""What SQLite and GDAL may leave beside a file that they couldn't finish."""
_EDITED_BY_HAND = (".csv", ".json", ".yaml", ".md", ".txt", ".vrt")
"""In such a file, fewer bytes with the same beginning may be a user's work."""


def is_ours(path: Path) -> bool:
    """Whether Polynya wrote this file, and nobody has changed it since.

    One that was cut short, as by a full disk or a crash, is ours too; a text that is shorter now is
    not, because somebody may have edited it. A symbolic link is never ours: we make none.
    """
    return is_whole(path) or (is_cut(path) and _was_not_edited(path))


def is_whole(path: Path) -> bool:
    """Whether a file is there as Polynya wrote it, to the last byte."""
    known = read_ledger(path.parent).files.get(path.name, set())
    found = fingerprint_if(path, lambda size: any(size == one.size for one in known))
    return found is not None and found in known


def is_cut(path: Path) -> bool:
    """Whether a file begins as one that we wrote, and ends before it."""
    known = read_ledger(path.parent).files.get(path.name, set())
    found = fingerprint_if(path, lambda size: any(size < one.size for one in known))
    return found is not None and any(one.begins(found) for one in known)


def check_free(paths: Iterable[Path]) -> None:
    """Make sure that files may be written here.

    Raises:
        OutputError: One of them exists and is not ours.
    """
    for path in paths:
        # Whether a shorter text is ours is known when its successor is there to be compared.
        if os.path.lexists(path) and not is_ours(path) and not is_cut(path):
            raise _not_ours(path)


def remove_file(path: Path) -> None:
    """Delete a file of ours; one that is gone doesn't matter.

    Raises:
        OutputError: It is not ours, or can't be deleted.
    """
    if os.path.lexists(path) and not is_ours(path):
        raise _not_ours(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} can't be deleted: {error.strerror or error}; choose another --out folder."
        ) from None


def remove_ours(folder: Path) -> list[Path]:
    """Delete all files of ours in a folder and in its sub-folders, and sub-folders that get empty.

    The folder itself stays: it may be a link or a mount point.

    Returns:
        What is left, because it isn't ours, in order.

    Raises:
        OutputError: A file can't be deleted.
    """
    left: list[Path] = []
    ledger = read_ledger(folder)
    for inner in inner_folders(folder, ledger):
        left += remove_ours(inner)
        remove_empty(inner)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return left
    passed = ledger.temporaries_among(entry.name for entry in entries) | {LEDGER_FILE, LOCK_FILE}
    for entry in entries:
        if entry.name in passed:
            continue
        if is_ours(entry):
            remove_file(entry)
        elif entry.name not in ledger.folders:
            left.append(entry)
    return left


def register_file(temporary: Path, path: Path) -> None:
    """Enter a finished file under the name that it is about to get.

    Args:
        temporary: Where it is now, with all its bytes.
        path: Its final path; in the same folder.

    Raises:
        OutputError: There is a file of that name that is not ours.
        OSError: It can't be read, or the ledger can't be written.
    """
    # In this order: a file of another process of ours is entered before it appears.
    is_foreign = os.path.lexists(path) and not is_ours(path)
    if is_foreign and not (is_cut(path) and _begins(path, temporary)):
        raise _not_ours(path)
    found = fingerprint(temporary)
    append_record(path.parent, *file_record(path.name, found))


@contextmanager
def temporary_file(folder: Path, suffix: str) -> Iterator[Path]:
    """A name for a temporary file; when the block ends the file is gone, if it is still there.

    It is entered in the ledger first. The next run deletes it if this one is killed.

    Args:
        folder: Where; it exists.
        suffix: Ending of the name, because some writers choose the format by it.

    Yields:
        A path that nothing has yet. Files whose names begin with it are temporary too.

    Raises:
        OSError: The ledger can't be written.
    """
    path = folder / f".{uuid4().hex}{suffix}"
    append_record(folder, "temporary", path.name)
    try:
        yield path
    finally:
        # Mostly it has got its own name by now; an error that is on its way says more than ours.
        for beside in _BESIDE:
            with suppress(OSError):
                path.with_name(path.name + beside).unlink()


def _not_ours(path: Path) -> OutputError:
    return OutputError(
        f"{path} is not a file that Polynya wrote, or it was changed since; move it away, or choose"
        " another --out folder."
    )


def _was_not_edited(path: Path) -> bool:
    return path.suffix.lower() not in _EDITED_BY_HAND or path.stat().st_size == 0


def _begins(path: Path, longer: Path) -> bool:
    """Whether a file has the first bytes of another one, and no more."""
    with path.open("rb") as short, longer.open("rb") as long:
        while chunk := short.read(CHUNK):
            if long.read(len(chunk)) != chunk:
                return False
    return True

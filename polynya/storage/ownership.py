"""Ownership of files: Polynya replaces and deletes only files that it wrote itself ("ours").

A file is ours if the folder's ledger (`polynya.storage.ledger`) lists it with exactly its bytes.
Otherwise it existed before, or somebody has changed it. A file that was cut short is still ours;
checksums of its first bytes show this.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
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
"""Endings of side files that SQLite and GDAL may leave beside an unfinished file."""
_EDITED_BY_HAND = (".csv", ".json", ".yaml", ".md", ".txt", ".vrt")
"""Extensions of text files. If a text file is shorter, a user may have deleted its last lines."""


def is_ours(path: Path) -> bool:
    """Whether Polynya wrote this file, and nobody has changed it since.

    A file that was cut short by a full disk or a crash is also ours. A text file that is shorter
    than before is not ours, because somebody may have edited it. A symbolic link is never ours,
    because Polynya makes none.
    """
    return is_whole(path) or (is_cut(path) and _was_not_edited(path))


def is_whole(path: Path) -> bool:
    """Whether a file exists exactly as Polynya wrote it."""
    known = read_ledger(path.parent).files.get(path.name, set())
    found = fingerprint_if(path, lambda size: any(size == one.size for one in known))
    return found is not None and found in known


def is_cut(path: Path) -> bool:
    """Whether a file is the beginning of a longer file that Polynya wrote."""
    known = read_ledger(path.parent).files.get(path.name, set())
    found = fingerprint_if(path, lambda size: any(size < one.size for one in known))
    return found is not None and any(one.begins(found) for one in known)


def check_free(paths: Iterable[Path]) -> None:
    """Make sure that files may be written to these paths.

    Raises:
        OutputError: A file exists and is not ours.
    """
    for path in paths:
        # A shorter text is checked later, when it can be compared with the new file.
        if os.path.lexists(path) and not is_ours(path) and not is_cut(path):
            raise _not_ours(path)


def remove_file(path: Path) -> None:
    """Delete a file of ours; a missing file is ignored.

    Raises:
        OutputError: The file is not ours, or can't be deleted.
    """
    if os.path.lexists(path) and not is_ours(path):
        raise _not_ours(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} can't be deleted: {error.strerror or error}; choose another --out folder."
        ) from None


def remove_ours(folder: Path, kept: Collection[Path] = ()) -> list[Path]:
    """Delete all files of ours in a folder and its sub-folders, and sub-folders that become empty.

    The folder itself stays, because it may be a link or a mount point.

    Args:
        folder: The folder.
        kept: Paths in it that stay.

    Returns:
        Sorted paths that stay because they are not ours.

    Raises:
        OutputError: A file can't be deleted.
    """
    left, kept = list[Path](), frozenset(kept)
    ledger = read_ledger(folder)
    for inner in inner_folders(folder, ledger):
        left += remove_ours(inner, kept)
        remove_empty(inner)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return left
    passed = ledger.temporaries_among(entry.name for entry in entries) | {LEDGER_FILE, LOCK_FILE}
    for entry in entries:
        if entry.name in passed or entry in kept:
            continue
        if is_ours(entry):
            remove_file(entry)
        elif entry.name not in ledger.folders:
            left.append(entry)
    return left


def register_file(temporary: Path, path: Path) -> None:
    """Enter a finished file in the ledger under its final name, before it is renamed.

    Args:
        temporary: Current path of the complete file.
        path: Final path, in the same folder.

    Raises:
        OutputError: A file with the final name exists and is not ours.
        OSError: The file can't be read, or the ledger can't be written.
    """
    # Check existence first: other processes of ours enter a file before it appears.
    is_foreign = os.path.lexists(path) and not is_ours(path)
    if is_foreign and not (is_cut(path) and _begins(path, temporary)):
        raise _not_ours(path)
    found = fingerprint(temporary)
    append_record(path.parent, *file_record(path.name, found))


@contextmanager
def temporary_file(folder: Path, suffix: str) -> Iterator[Path]:
    """Reserve a name for a temporary file, and delete the file at the end of the block.

    The name is entered in the ledger first, so that the next run deletes the file if this run is
    killed.

    Args:
        folder: An existing folder.
        suffix: Extension of the name, because some writers choose the format by it.

    Yields:
        An unused path. Side files with names that begin with this path are also temporary.

    Raises:
        OSError: The ledger can't be written.
    """
    path = folder / f".{uuid4().hex}{suffix}"
    append_record(folder, "temporary", path.name)
    try:
        yield path
    finally:
        # The file has usually been renamed. Errors here are ignored, because an earlier error is
        # more important.
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
    """Whether a file is the beginning of a longer one."""
    with path.open("rb") as short, longer.open("rb") as long:
        while chunk := short.read(CHUNK):
            if long.read(len(chunk)) != chunk:
                return False
    return True

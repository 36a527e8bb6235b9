"""An output folder for one run: created, locked, and without remains of killed runs.

Its ledger (`polynya.storage.ledger`) lists the files in it that belong to Polynya.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from polynya.errors import OutputError, ScenesFailedError
from polynya.storage.ledger import (
    LEDGER_FILE,
    append_record,
    compact,
    folder_kinds,
    read_ledger,
)
from polynya.storage.locks import LOCK_FILE, locked

Kind = Literal[
    "shards",
    "model",
    "maps",
    "scenes",
    "evaluation",
    "pictures",
    "samples",
    "trainings",
    "export",
    "mosaics",
    "series",
]
"""Kind of products in a folder."""
_EXCLUSIVE: tuple[Kind, ...] = ("shards", "model", "export")
"""Kinds that need their own folder; other kinds may be in a folder with a user's files."""
_OF_THE_SYSTEM = ("lost+found", ".snapshot", ".DS_Store")
"""Files that mount points and file managers create in empty folders."""


@contextmanager
def open_output(folder: str | Path, kind: Kind) -> Iterator[Path]:
    """Open an output folder for one run: create it, lock it, remove remains of killed runs.

    Args:
        folder: Folder for the products.
        kind: Kind of the products.

    Yields:
        The folder.

    Raises:
        OutputError: The folder holds other files, another run uses it, or it can't be written.
    """
    folder = Path(folder)
    _check_kind(folder, kind)
    make_folder(folder)
    with locked(folder):
        # Checked again, because another run may have used the folder until now.
        _check_kind(folder, kind)
        try:
            if kind not in folder_kinds(folder):
                append_record(folder, "kind", kind)
            compact(folder)
        except OSError as error:
            raise OutputError(
                f"{folder} can't be written: {error.strerror or error}; choose another --out"
                " folder."
            ) from None
        try:
            yield folder
        except ScenesFailedError:
            # A run with failed scenes is also finished.
            _finish(folder)
            raise
        _finish(folder)


def _finish(folder: Path) -> None:
    """Clean up after a run; errors are ignored, because a ledger need not be compact."""
    with suppress(OSError):
        compact(folder)


def make_folder(folder: Path) -> Path:
    """Make a folder with its parents; OutputError if that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        kind = "a link to something that is not there" if folder.is_symlink() else "a file"
        raise OutputError(f"{folder} is {kind}; choose another --out folder.") from None
    except OSError as error:
        raise OutputError(
            f"The folder {folder} can't be made: {error.strerror or error}; choose another --out"
            " folder."
        ) from None
    return folder


def make_inner(folder: Path, *names: str) -> Path:
    """Make folders within an output folder and enter each in the ledger of the one around it.

    Args:
        folder: From `open_output`.
        names: Names of the folders, from the outer to the inner.

    Raises:
        OutputError: A folder can't be made.
    """
    for name in names:
        inner = make_folder(folder / name)
        if name not in read_ledger(folder).folders:
            append_record(folder, "folder", name)
        folder = inner
    return folder


def _check_kind(folder: Path, kind: Kind) -> None:
    if kind not in _EXCLUSIVE or kind in folder_kinds(folder):
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # The folder doesn't exist yet, or its creation will report the error.
    ours_or_the_systems = (LOCK_FILE, LEDGER_FILE, *_OF_THE_SYSTEM)
    others = [name for name in names if not name.startswith(ours_or_the_systems)]
    if others or folder_kinds(folder):
        raise OutputError(
            f"{folder} holds other files ({_some(others) or LEDGER_FILE}); give an empty or new"
            " folder as --out."
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

"""An output folder for one run: made, locked, and free of what killed runs left.

Which of the files in it are ours says its ledger (`polynya.storage.ledger`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from polynya.errors import OutputError, ScenesFailedError
from polynya.storage.ledger import LEDGER_FILE, append_record, compact, folder_kinds
from polynya.storage.locks import LOCK_FILE, locked

Kind = Literal["shards", "model", "maps", "scenes", "evaluation", "pictures", "samples"]
"""What a folder holds."""
_EXCLUSIVE: tuple[Kind, ...] = ("shards", "model")
"""These need a folder of their own; the files of the others may lie beside a user's."""
_OF_THE_SYSTEM = ("lost+found", ".snapshot", ".DS_Store")
"""What mount points and file managers put into a folder that people call empty."""


@contextmanager
def open_output(folder: str | Path, kind: Kind) -> Iterator[Path]:
    """Take an output folder for one run: make it, lock it, clean up what killed runs left.

    Args:
        folder: Where the products go.
        kind: What they are.

    Yields:
        The folder.

    Raises:
        OutputError: It holds something else, another run uses it, or it can't be written.
    """
    folder = Path(folder)
    _check_kind(folder, kind)
    make_folder(folder)
    with locked(folder):
        # Again, because another run may have been at it until now.
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
            # Such a run is done, too: some of its scenes just couldn't be.
            _finish(folder)
            raise
        _finish(folder)


def _finish(folder: Path) -> None:
    """Clean up after a run; a ledger that can't be made shorter is as good."""
    with suppress(OSError):
        compact(folder)


def make_folder(folder: Path) -> Path:
    """Make a folder, with its parents; OutputError if that can't be done."""
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


def _check_kind(folder: Path, kind: Kind) -> None:
    if kind not in _EXCLUSIVE or kind in folder_kinds(folder):
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # It isn't there yet, or making it will say what is wrong.
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

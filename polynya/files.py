"""Files and folders that are there whole or not at all.

They are written under another name beside the final one and renamed when complete, so a reader
never sees half of one. The other name is random: no two hosts, processes or threads share it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from polynya.errors import OutputError

_ATTEMPTS = 10


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write under a temporary name; the file gets its own name when the block ends without error.

    Args:
        path: Final path.

    Yields:
        Where to write, in the same folder.

    Raises:
        OutputError: The file can't be written.
    """
    # The ending stays, because some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}; choose another --out folder."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) at once; OutputError if that can't be done."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: Path, partial: str) -> Iterator[Path]:
    """Fill a folder under a temporary name; it replaces `path` when the block ends without error.

    A folder in which nothing was written is not kept: then there is no `path` afterwards.

    Args:
        path: Final path.
        partial: Beginning of the temporary name, by which `remove_partial` finds what a killed
            process left behind.

    Yields:
        An empty folder beside the final one.

    Raises:
        OSError: The folder can't be made, filled or renamed.
    """
    temporary = path.with_name(f"{partial}{uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(folder: Path, partial: str) -> None:
    """Remove unfinished folders of `whole_folder`, when nobody writes any more."""
    for path in folder.glob(f"{partial}*"):
        shutil.rmtree(path, ignore_errors=True)


def output_folder(path: Path) -> Path:
    """Make a folder for products, with its parents; OutputError if that can't be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path} can't be made: {error.strerror}; choose another --out folder."
        ) from None
    return path


def _replace_folder(temporary: Path, path: Path) -> None:
    # Another attempt at the same task may put its own folder there after ours was removed.
    for attempt in range(1, _ATTEMPTS + 1):
        if path.exists():
            shutil.rmtree(path, ignore_errors=attempt < _ATTEMPTS)
        if not any(temporary.iterdir()):
            return
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS:
                raise
        else:
            return

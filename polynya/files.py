"""Files that are there whole or not at all.

They are written under another name beside the final one and renamed when complete, so a reader
never sees half of one. The other name is random: no two hosts, processes or threads share it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from polynya.errors import OutputError


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
        with suppress(OSError):  # It is mostly gone; the error above says more.
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) at once; OutputError if that can't be done."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def output_folder(path: Path) -> Path:
    """Make a folder for products, with its parents; OutputError if that can't be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path} can't be made: {error.strerror}; choose another --out folder."
        ) from None
    return path

"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}; choose another --out folder."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def output_folder(path: Path) -> Path:
    """Make a folder for products, with its parents; OutputError if that can't be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path} can't be made: {error.strerror}; choose another --out folder."
        ) from None
    return path

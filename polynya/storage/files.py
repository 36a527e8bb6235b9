"""Writing files completely or not at all, without replacing files of other people.

A file is written under a temporary name in the same folder, read back, entered in the folder's
ledger (`polynya.storage.ledger`) and renamed. So a reader never sees an incomplete file. A file
that can't be read back never gets its final name. This check is needed because libraries lose the
errors of a full disk when they close a file.
"""

from __future__ import annotations

import os
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from polynya.errors import OutputError, reason_of
from polynya.quiet import ignore_warnings
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import register_file, temporary_file

__all__ = ["output_folder", "temporary_file", "whole_file", "write_bytes", "write_text"]

Check = Callable[[Path], None]
"""Function that reads a whole file; raises `UnreadableError` or OSError if it is incomplete."""


class UnreadableError(Exception):
    """A file that was just written can't be read back, or has another content."""


@contextmanager
def whole_file(path: Path, check: Check | None = None) -> Iterator[Path]:
    """Write under a temporary name; the file gets its own name when the block ends without error.

    Args:
        path: Final path. An existing file is replaced if Polynya wrote it.
        check: Function that reads the temporary file back. Default: chosen by the extension of
            `path`; it reads all blocks of a raster, all members of an archive or all pages of a
            database.

    Yields:
        Temporary path to write to, in the same folder, with the same extension.

    Raises:
        OutputError: The file can't be written or read back, or a file of other people has the path.
    """
    try:
        with temporary_file(path.parent, path.suffix) as temporary:
            yield temporary
            _flush_to_disk(temporary)
            (check or _CHECKS.get(path.suffix.lower(), _nothing_more))(temporary)
            register_file(temporary, path)
            os.replace(temporary, path)
    except UnreadableError as error:
        raise OutputError(
            f"{path} can't be written: it can't be read back ({reason_of(error)}); is there space"
            " left on the disk?"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}; make room there, or choose"
            " another --out folder."
        ) from None


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a complete file; OutputError if that can't be done."""
    # Arrow's buffers have signed bytes, which never compare equal to other bytes.
    content = memoryview(content).cast("B")

    def check(written: Path) -> None:
        # Compared in pieces, because the content may be large.
        with written.open("rb") as file:
            for start in range(0, max(len(content), 1), _PIECE):
                if file.read(_PIECE) != content[start : start + _PIECE]:
                    raise UnreadableError("it holds something else than was written")

    with whole_file(path, check) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a complete text file (UTF-8); OutputError if that can't be done."""
    write_bytes(path, text.encode("utf-8"))


def output_folder(path: Path) -> Path:
    """Make a folder for products, with its parents; OutputError if that can't be done."""
    return make_folder(path)


_PIECE = 16 * 2**20
_PNG = b"\x89PNG\r\n\x1a\n"


def _flush_to_disk(path: Path) -> None:
    """Flush a file to the disk; some file systems report a full disk only at this moment."""
    target = os.open(path, os.O_RDONLY)
    try:
        os.fsync(target)
    finally:
        os.close(target)


def _nothing_more(path: Path) -> None:
    """Check nothing, because the checksum for the ledger reads the file anyway."""


def _read_raster(path: Path) -> None:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    ignore_warnings(NotGeoreferencedWarning)
    with rasterio.Env(GDAL_PAM_ENABLED=False):
        try:
            with rasterio.open(path) as source:
                for _, window in source.block_windows(1):
                    source.read(window=window)
        except RasterioError as error:
            raise UnreadableError(reason_of(error.__cause__ or error)) from None


def _read_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnreadableError(str(error)) from None
    if broken is not None:
        raise UnreadableError(f"its member {broken} is damaged")


def _read_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            said: list[tuple[Any, ...]] = database.execute("PRAGMA quick_check").fetchall()
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from None
    if said != [("ok",)]:
        raise UnreadableError(str(said[0][0]))


def _read_png(path: Path) -> None:
    """Check all chunks with their checksums, because decoders accept a PNG that is cut short."""
    with path.open("rb") as file:
        if file.read(len(_PNG)) != _PNG:
            raise UnreadableError("it is no PNG")
        kind = b""
        while kind != b"IEND":
            head = file.read(8)
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            content, crc = file.read(size), file.read(4)
            if int.from_bytes(crc, "big") != zlib.crc32(content, zlib.crc32(kind)) or len(crc) < 4:
                raise UnreadableError("it is cut short or damaged")


def _read_table(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            for number in range(table.num_row_groups):
                table.read_row_group(number)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(str(error)) from None


_CHECKS: dict[str, Check] = {
    ".tif": _read_raster,
    ".png": _read_png,
    ".parquet": _read_table,
    ".gpkg": _read_database,
    ".keras": _read_archive,
    ".npz": _read_archive,
}

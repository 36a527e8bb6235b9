"""The ledger of an output folder, `_polynya.csv`: a list of the files that Polynya wrote there.

A file is entered with its size and checksums just before it gets its final name. Temporary files
are also listed, so that the next run can delete the temporary files of a killed run.

Processes only append to the ledger, one record per write, so several processes can use it. A run
compacts the ledger at its start and end, while it holds the folder's lock
(`polynya.storage.locks`).
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from polynya.errors import OutputError
from polynya.storage.fingerprint import Fingerprint
from polynya.storage.locks import create_whole

LEDGER_FILE = "_polynya.csv"
"""Name of the ledger; the leading underscore hides it from Spark and PyArrow in shards."""
_HEADER = b"polynya,1,files that Polynya wrote in this folder; it replaces and deletes no others\n"
_PARTIAL = re.compile(re.escape(LEDGER_FILE) + r"\.[0-9a-f]{32}")
_STEM = 33
"""Number of first characters by which names of temporary files differ: a dot and 32 digits."""
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
"""Encoding of the ledger; file names may have any bytes."""


@dataclass
class Ledger:
    """Records of one folder that this process has read."""

    kinds: set[str] = field(default_factory=set)
    files: dict[str, set[Fingerprint]] = field(default_factory=dict)
    temporaries: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    """Sub-folders that have their own ledger."""

    def take(self, text: str) -> None:
        """Add records; an incomplete record (after a kill or on a full disk) is ignored."""
        for row in csv.reader(io.StringIO(text, newline="")):
            match row:
                case ["kind", kind]:
                    self.kinds.add(kind)
                case ["file", name, size, crc, prefixes] if size.isdigit():
                    with suppress(ValueError):
                        first = tuple(int(one, 16) for one in prefixes.split())
                        self.files.setdefault(name, set()).add(
                            Fingerprint(int(size), int(crc, 16), first)
                        )
                case ["temporary", name]:
                    self.temporaries.add(name)
                case ["folder", name]:
                    self.folders.add(name)

    def temporaries_among(self, names: Iterable[str]) -> set[str]:
        """Names of temporary files and their side files (x.gpkg-journal) among `names`."""
        stems = {name[:_STEM] for name in self.temporaries}
        return {name for name in names if name[:_STEM] in stems}

    def text(self) -> str:
        """All records in sorted order, so that the same files give the same ledger."""
        rows: list[tuple[object, ...]] = [("kind", kind) for kind in sorted(self.kinds)]
        rows += [("folder", name) for name in sorted(self.folders)]
        rows += [
            file_record(name, one)
            for name in sorted(self.files)
            for one in sorted(self.files[name], key=lambda f: (f.size, f.crc32c))
        ]
        rows += [("temporary", name) for name in sorted(self.temporaries)]
        return _HEADER.decode() + "".join(_record(*row) for row in rows)


_lock = threading.Lock()
_known: dict[Path, tuple[int, int, Ledger]] = {}
"""Ledgers that this process has read: inode, number of bytes read, content."""


def read_ledger(folder: Path) -> Ledger:
    """Ledger of a folder, empty if there is none; reads only records added since the last call."""
    place = folder.absolute() / LEDGER_FILE
    with _lock:
        try:
            with place.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                before, position, ledger = _known.get(place, (inode, 0, Ledger()))
                if before != inode or os.fstat(file.fileno()).st_size < position:
                    position, ledger = 0, Ledger()
                if file.read(len(_HEADER)) != _HEADER:
                    return Ledger()
                file.seek(max(position, len(_HEADER)))
                content = file.read()
        except OSError:
            _known.pop(place, None)
            return Ledger()
        # An unfinished record has no line end yet; the next call reads it.
        whole = content[: content.rfind(b"\n") + 1]
        ledger.take(whole.decode(**_TEXT))
        _known[place] = (inode, max(position, len(_HEADER)) + len(whole), ledger)
        return ledger


def folder_kinds(folder: Path) -> set[str]:
    """Kinds of products that Polynya has written into a folder; empty for an unused folder."""
    return set(read_ledger(folder).kinds)


def append_record(folder: Path, *record: object) -> None:
    """Append one record to the ledger of a folder; create the ledger if it is missing.

    Args:
        folder: An existing folder.
        record: Kind of the record ("kind", "file", "temporary", "folder") and its cells.

    Raises:
        OutputError: Another file has the name of the ledger.
        OSError: The ledger can't be written.
    """
    place = folder / LEDGER_FILE
    if not os.path.lexists(place):
        create_whole(place, _HEADER)
        # Resolved, because "." has no name, and the target of a link is not in the link's folder.
        real = folder.resolve()
        if real.name and (real.parent / LEDGER_FILE).is_file():
            append_record(real.parent, "folder", real.name)
    # One write in append mode, so that records of several processes don't mix. It begins with a
    # line end, so that a record after an incomplete one can be read.
    content = ("\n" + _record(*record)).encode(**_TEXT)
    target = os.open(place, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    try:
        if os.pread(target, len(_HEADER), 0) != _HEADER:
            raise OutputError(
                f"{place} must be Polynya's list of its own files, and is something else; move it"
                " away, or choose another --out folder."
            )
        if os.write(target, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(target)


def file_record(name: str, found: Fingerprint) -> tuple[object, ...]:
    """Record of a file: its name in the folder and its fingerprint."""
    prefixes = " ".join(f"{crc:08x}" for crc in found.prefixes)
    return "file", name, found.size, f"{found.crc32c:08x}", prefixes


def _record(*cells: object) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _forget(folder: Path) -> None:
    with _lock:
        _known.pop(folder.absolute() / LEDGER_FILE, None)


def compact(folder: Path) -> None:
    """Delete temporary files of killed runs, and remove records of missing files.

    It also compacts sub-folders with a ledger. No other process may write here at the same time.

    Raises:
        OSError: The ledger can't be written.
    """
    ledger = read_ledger(folder)
    try:
        names = set(os.listdir(folder))
        content = (folder / LEDGER_FILE).read_bytes()
    except FileNotFoundError:
        return
    if not content.startswith(_HEADER):
        return
    partial_ledgers = {name for name in names if _is_partial_ledger(folder / name)}
    for name in ledger.temporaries_among(names) | partial_ledgers:
        with suppress(OSError):
            (folder / name).unlink()
    for inner in inner_folders(folder, ledger):
        compact(inner)
        remove_empty(inner)
    kept = Ledger(kinds=ledger.kinds)
    kept.folders = {name for name in ledger.folders if (folder / name).is_dir()}
    for name in ledger.files.keys() & names:
        kept.files[name] = ledger.files[name]
        with suppress(OSError):
            size = os.lstat(folder / name).st_size
            # Records of replaced versions are removed; a file that was cut short keeps all records.
            kept.files[name] = {o for o in ledger.files[name] if o.size == size} or kept.files[name]
    shorter = kept.text().encode(**_TEXT)
    if shorter != content:
        partial = folder / f"{LEDGER_FILE}.{uuid4().hex}"
        try:
            partial.write_bytes(shorter)
            if partial.read_bytes() != shorter:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(partial, folder / LEDGER_FILE)
        finally:
            partial.unlink(missing_ok=True)
        _forget(folder)


def inner_folders(folder: Path, ledger: Ledger) -> list[Path]:
    """Sub-folders of the same product, without sub-folders that are output folders themselves."""
    inner = (folder / name for name in sorted(ledger.folders))
    return [p for p in inner if p.is_dir() and not p.is_symlink() and not read_ledger(p).kinds]


def remove_empty(folder: Path) -> None:
    """Delete a folder that contains nothing except a ledger."""
    with suppress(OSError):
        if set(os.listdir(folder)) <= {LEDGER_FILE}:
            (folder / LEDGER_FILE).unlink(missing_ok=True)
            _forget(folder)
            folder.rmdir()


def _is_partial_ledger(path: Path) -> bool:
    """Whether a file is the unfinished ledger of a killed process."""
    if not _PARTIAL.fullmatch(path.name):
        return False
    try:
        return path.read_bytes().startswith(_HEADER)
    except OSError:
        return False

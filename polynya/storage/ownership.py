"""Whose files are in an output folder: Polynya replaces and deletes only what it wrote itself.

Each folder that Polynya writes into has a ledger, `_polynya.csv`. A file is entered there with its
size and checksum just before it gets its name. A file that exists and that the ledger doesn't list
with these very bytes is not ours: it was there before, or somebody changed it since. A file that
was only cut short is still ours: checksums of its first bytes tell. Temporary files are listed too,
so the next run can delete what a killed one left.

The ledger is only appended to, one record a write, so that several processes can use it. A run
compacts it when it starts and when it ends, while it holds the folder's lock
(`polynya.storage.locks`).
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import google_crc32c

from polynya.errors import OutputError, ScenesFailedError
from polynya.storage.locks import LOCK_FILE, create_whole, locked

LEDGER_FILE = "_polynya.csv"
"""The leading underscore hides it from Spark and PyArrow in a data set of shards."""

Kind = Literal["shards", "model", "maps", "scenes", "evaluation", "pictures", "samples"]
"""What a folder holds."""

_EXCLUSIVE: tuple[Kind, ...] = ("shards", "model")
"""These need a folder of their own; the files of the others may lie beside a user's."""

_HEADER = b"polynya,1,files that Polynya wrote in this folder; it replaces and deletes no others\n"
_PARTIAL = re.compile(re.escape(LEDGER_FILE) + r"\.[0-9a-f]{32}")
_STEM = 33
"""Names of temporary files differ in their first characters: a dot and 32 digits."""
_BESIDE = ("", "-journal", "-wal", "-shm", ".aux.xml", ".msk", ".ovr")
"""What SQLite and GDAL may leave beside a file that they couldn't finish."""
_OF_THE_SYSTEM = ("lost+found", ".snapshot", ".DS_Store")
"""What mount points and file managers put into a folder that people call empty."""
_EDITED_BY_HAND = (".csv", ".json", ".yaml", ".md", ".txt", ".vrt")
"""In such a file, fewer bytes with the same beginning may be a user's work."""
_PREFIX_BASE = 4
_CHUNK = _PREFIX_BASE**12
"""Bytes read at once; a power, so that the prefixes end where a chunk does."""
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
"""Names of files may be any bytes."""


@dataclass(frozen=True)
class Fingerprint:
    """What tells the bytes of one file from those of another."""

    size: int
    """Bytes."""
    crc32c: int
    """CRC-32C of all bytes (RFC 3720, appendix B.4)."""
    prefixes: tuple[int, ...] = ()
    """CRC-32C of the first 1, 4, 16, 64, ... bytes, as far as the file goes."""

    def begins(self, shorter: Fingerprint) -> bool:
        """Whether a shorter file has this one's first bytes."""
        count = len(shorter.prefixes)
        return shorter.size < self.size and self.prefixes[:count] == shorter.prefixes


@dataclass
class _Ledger:
    """The records of one folder, as far as they have been read."""

    kinds: set[str] = field(default_factory=set)
    files: dict[str, set[Fingerprint]] = field(default_factory=dict)
    temporaries: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    """Sub-folders that have a ledger of their own."""

    def take(self, text: str) -> None:
        """Add records; a torn one, of a process that was killed or a full disk, is left out."""
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

    def text(self) -> str:
        """All records in order, so that the same files give the same ledger."""
        rows: list[tuple[object, ...]] = [("kind", kind) for kind in sorted(self.kinds)]
        rows += [("folder", name) for name in sorted(self.folders)]
        rows += [
            _file_record(name, one)
            for name in sorted(self.files)
            for one in sorted(self.files[name], key=lambda f: (f.size, f.crc32c))
        ]
        rows += [("temporary", name) for name in sorted(self.temporaries)]
        return _HEADER.decode() + "".join(_record(*row) for row in rows)


def fingerprint(path: Path) -> Fingerprint:
    """Size and checksum of a file, read from the disk; OSError if it can't be read."""
    crc, size = 0, 0
    prefixes: list[int] = []
    with path.open("rb") as file:
        while chunk := file.read(min(_PREFIX_BASE ** len(prefixes) - size, _CHUNK)):
            crc = google_crc32c.extend(crc, chunk)
            size += len(chunk)
            if size == _PREFIX_BASE ** len(prefixes):
                prefixes.append(crc)
    return Fingerprint(size, crc, tuple(prefixes))


def is_ours(path: Path) -> bool:
    """Whether Polynya wrote this file, and nobody has changed it since.

    One that was cut short, as by a full disk or a crash, is ours too; a text that is shorter now is
    not, because somebody may have edited it. A symbolic link is never ours: we make none.
    """
    return is_whole(path) or (is_cut(path) and _was_not_edited(path))


def is_whole(path: Path) -> bool:
    """Whether a file is there as Polynya wrote it, to the last byte."""
    known = _read(path.parent).files.get(path.name, set())
    found = _fingerprint_if(path, lambda size: any(size == one.size for one in known))
    return found is not None and found in known


def is_cut(path: Path) -> bool:
    """Whether a file begins as one that we wrote, and ends before it."""
    known = _read(path.parent).files.get(path.name, set())
    found = _fingerprint_if(path, lambda size: any(size < one.size for one in known))
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
    ledger = _read(folder)
    for inner in _inner_folders(folder, ledger):
        left += remove_ours(inner)
        remove_empty(inner)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return left
    stems = _stems(ledger)
    for entry in entries:
        if entry.name in (LEDGER_FILE, LOCK_FILE) or entry.name[:_STEM] in stems:
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
    _append(path.parent, *_file_record(path.name, found))


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
    _append(folder, "temporary", path.name)
    try:
        yield path
    finally:
        # Mostly it has got its own name by now; an error that is on its way says more than ours.
        for beside in _BESIDE:
            with suppress(OSError):
                path.with_name(path.name + beside).unlink()


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
            if kind not in _read(folder).kinds:
                _append(folder, "kind", kind)
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


def folder_kinds(folder: Path) -> set[str]:
    """What Polynya has written into a folder; empty for a folder that it hasn't used."""
    return set(_read(folder).kinds)


def compact(folder: Path) -> None:
    """Delete temporary files of runs that were killed, and drop records of files that are gone.

    Only while no other process writes here. Sub-folders with a ledger too.

    Raises:
        OSError: The ledger can't be written.
    """
    ledger = _read(folder)
    try:
        names = set(os.listdir(folder))
        content = (folder / LEDGER_FILE).read_bytes()
    except FileNotFoundError:
        return
    if not content.startswith(_HEADER):
        return
    stems = _stems(ledger)
    for name in names:
        if name[:_STEM] in stems or _is_partial_ledger(folder / name):
            with suppress(OSError):
                (folder / name).unlink()
    for inner in _inner_folders(folder, ledger):
        compact(inner)
        remove_empty(inner)
    kept = _Ledger(kinds=ledger.kinds)
    kept.folders = {name for name in ledger.folders if (folder / name).is_dir()}
    for name in ledger.files.keys() & names:
        kept.files[name] = ledger.files[name]
        with suppress(OSError):
            size = os.lstat(folder / name).st_size
            # What it was before it was replaced needs no record; a file that was cut keeps all.
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


def _fingerprint_if(path: Path, may_be: Callable[[int], bool]) -> Fingerprint | None:
    """The fingerprint of a regular file whose size says that it may be ours; else None."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not may_be(status.st_size):
            return None
        return fingerprint(path)
    except OSError:
        return None


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
        while chunk := short.read(_CHUNK):
            if long.read(len(chunk)) != chunk:
                return False
    return True


_lock = threading.Lock()
_known: dict[Path, tuple[int, int, _Ledger]] = {}
"""Ledgers that this process has read: inode, bytes read, content."""


def _read(folder: Path) -> _Ledger:
    """The ledger of a folder, empty if it has none; only what is new in it is read."""
    place = folder.absolute() / LEDGER_FILE
    with _lock:
        try:
            with place.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                before, position, ledger = _known.get(place, (inode, 0, _Ledger()))
                if before != inode or os.fstat(file.fileno()).st_size < position:
                    position, ledger = 0, _Ledger()
                if file.read(len(_HEADER)) != _HEADER:
                    return _Ledger()
                file.seek(max(position, len(_HEADER)))
                content = file.read()
        except OSError:
            _known.pop(place, None)
            return _Ledger()
        # A record that is being written has no line end yet; it is read the next time.
        whole = content[: content.rfind(b"\n") + 1]
        ledger.take(whole.decode(**_TEXT))
        _known[place] = (inode, max(position, len(_HEADER)) + len(whole), ledger)
        return ledger


def _forget(folder: Path) -> None:
    with _lock:
        _known.pop(folder.absolute() / LEDGER_FILE, None)


def _append(folder: Path, *record: object) -> None:
    place = folder / LEDGER_FILE
    if not os.path.lexists(place):
        create_whole(place, _HEADER)
        # Where it is, as "." has no name, and what a link leads to isn't in the folder of the link.
        real = folder.resolve()
        if real.name and (real.parent / LEDGER_FILE).is_file():
            _append(real.parent, "folder", real.name)
    # One write, at the end of the file wherever that is by then: records of processes don't mix.
    # It begins with a line end, so that what follows a torn record can be read.
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


def _file_record(name: str, found: Fingerprint) -> tuple[object, ...]:
    prefixes = " ".join(f"{crc:08x}" for crc in found.prefixes)
    return "file", name, found.size, f"{found.crc32c:08x}", prefixes


def _record(*cells: object) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _check_kind(folder: Path, kind: Kind) -> None:
    if kind not in _EXCLUSIVE or kind in _read(folder).kinds:
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # It isn't there yet, or making it will say what is wrong.
    ours_or_the_systems = (LOCK_FILE, LEDGER_FILE, *_OF_THE_SYSTEM)
    others = [name for name in names if not name.startswith(ours_or_the_systems)]
    if others or _read(folder).kinds:
        raise OutputError(
            f"{folder} holds other files ({_some(others) or LEDGER_FILE}); give an empty or new"
            " folder as --out."
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _inner_folders(folder: Path, ledger: _Ledger) -> list[Path]:
    """Sub-folders of the same product; one that is an output folder itself has its own runs."""
    inner = (folder / name for name in sorted(ledger.folders))
    return [p for p in inner if p.is_dir() and not p.is_symlink() and not _read(p).kinds]


def _stems(ledger: _Ledger) -> set[str]:
    """How names of temporary files begin: those of files beside them (x.gpkg-journal) do too."""
    return {name[:_STEM] for name in ledger.temporaries}


def _is_partial_ledger(path: Path) -> bool:
    """Whether a process was killed while it made a ledger."""
    if not _PARTIAL.fullmatch(path.name):
        return False
    try:
        return path.read_bytes().startswith(_HEADER)
    except OSError:
        return False


def remove_empty(folder: Path) -> None:
    """Delete a folder in which nothing is left but a ledger."""
    with suppress(OSError):
        if set(os.listdir(folder)) <= {LEDGER_FILE}:
            (folder / LEDGER_FILE).unlink(missing_ok=True)
            _forget(folder)
            folder.rmdir()

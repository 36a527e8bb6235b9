"""Folders of products on a disk or in an object store (s3://, gs://), with the same methods.

A file appears completely or not at all. On a disk, a complete file is renamed to its final name. In
an object store, an object appears only after its last byte. On a disk, only files of Polynya are
replaced or deleted (`polynya.storage.ownership`). An object store has no ledger, so the calling
code must know which files there belong to Polynya.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from polynya.errors import OutputError, reason_of
from polynya.storage.files import write_bytes
from polynya.storage.fingerprint import Fingerprint, fingerprint
from polynya.storage.ledger import LEDGER_FILE, remove_empty
from polynya.storage.locks import LOCK_FILE
from polynya.storage.output_folder import make_folder
from polynya.storage.ownership import is_ours, remove_file
from polynya.storage.stores import file_system

_REQUESTS_AT_ONCE = 16


def absolute(place: str) -> str:
    """Absolute path, so that workers in any working directory find it; URIs are not changed."""
    return place if "://" in place or place.startswith("/vsi") else os.path.abspath(place)


@dataclass(frozen=True)
class Folder:
    """A folder; small and picklable. It need not exist: writing a file creates it."""

    place: str
    """Absolute path or URI."""

    @classmethod
    def at(cls, place: str | Path | Folder) -> Folder:
        """Folder of an absolute or relative path, or of a URI."""
        return place if isinstance(place, Folder) else cls(absolute(str(place)).rstrip("/"))

    def __str__(self) -> str:
        return self.place

    @property
    def is_local(self) -> bool:
        return "://" not in self.place

    def names(self) -> list[str]:
        """Sorted paths of all files in the folder and below, relative to it; see `versions`."""
        return sorted(self.versions())

    def versions(self) -> dict[str, tuple[int, int]]:
        """Size in bytes and time of change in nanoseconds of all files in the folder and below.

        The keys are paths relative to the folder. Ledgers and locks are left out. The result is {}
        if the folder doesn't exist.

        Raises:
            OutputError: It is no folder, or can't be listed.
        """
        try:
            files = self._local_files() if self.is_local else self._objects()
        except OSError as error:
            raise OutputError(
                f"{self.place} can't be used as a folder: {reason_of(error)}; choose another --out."
            ) from None
        return {
            name: version
            for name, version in files.items()
            if name.rpartition("/")[2] not in (LEDGER_FILE, LOCK_FILE)
        }

    def _local_files(self) -> dict[str, tuple[int, int]]:
        """List files without PyArrow, because PyArrow fails at names that are not UTF-8."""
        if not os.path.lexists(self.place):
            return {}
        os.listdir(self.place)  # Raises errors of the folder itself, which os.walk would hide.
        files = {}
        for parent, _, names in os.walk(self.place):
            for name in names:
                path = os.path.join(parent, name)
                with suppress(FileNotFoundError):  # Other processes delete their temporary files.
                    status = os.lstat(path)
                    version = (status.st_size, status.st_mtime_ns)
                    files[os.path.relpath(path, self.place)] = version
        return files

    def _objects(self) -> dict[str, tuple[int, int]]:
        system, root = self._system
        selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
        return {
            info.path[len(root) :].lstrip("/"): (int(info.size), int(info.mtime_ns or 0))
            for info in system.get_file_info(selector)
            if info.is_file
        }

    def has(self, name: str) -> bool:
        """Whether a file with this name exists."""
        system, root = self._system
        return bool(system.get_file_info(f"{root}/{name}").is_file)

    def read(self, name: str) -> bytes:
        """Content of a file; OSError if it can't be read."""
        system, root = self._system
        with system.open_input_stream(f"{root}/{name}") as stream:
            return bytes(stream.read())

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for reading at any position; OSError if that can't be done.

        A file of gs:// is read completely. pyarrow's random access to gs:// hangs with the server
        of the tests, so it could not be tested.
        """
        system, root = self._system
        if self.place.startswith("gs://"):
            return pa.BufferReader(self.read(name))
        return system.open_input_file(f"{root}/{name}")

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a complete file.

        Raises:
            OutputError: The file can't be written.
        """
        if self.is_local:
            path = Path(self.place) / name
            make_folder(path.parent)
            write_bytes(path, content)
            return
        system, root = self._system
        try:
            with system.open_output_stream(f"{root}/{name}") as stream:
                stream.write(content)
            there = system.get_file_info(f"{root}/{name}").size
        except OSError as error:
            raise OutputError(
                f"{self.place}/{name} can't be written: {reason_of(error)}; choose another --out."
            ) from None
        if there != len(content):
            raise OutputError(
                f"{self.place}/{name} has {there} bytes after {len(content)} were written; check"
                " the store and run it again."
            )

    def fingerprint(self, name: str) -> Fingerprint:
        """Size and checksum of a file on a disk; OSError if it can't be read."""
        return fingerprint(Path(self.place, name))

    def is_ours(self, name: str) -> bool:
        """Whether a file on a disk is as Polynya wrote it; always True in an object store."""
        return not self.is_local or is_ours(Path(self.place, name))

    def remove(self, names: Iterable[str]) -> None:
        """Delete files and, on a disk, folders that become empty.

        Missing files are ignored. On a disk, files of other people stay.

        Raises:
            OutputError: A file can't be deleted.
        """
        system, root = self._system
        names = [name for name in names if self.is_ours(name)]

        def delete(name: str) -> None:
            if self.is_local:
                remove_file(Path(self.place, name))
                return
            with suppress(FileNotFoundError):
                system.delete_file(f"{root}/{name}")

        # Requests to an object store are mostly waiting.
        try:
            with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
                for _ in pool.map(delete, names):
                    pass
        except OSError as error:
            raise OutputError(
                f"Files in {self.place} can't be replaced: {reason_of(error)}; fix that or choose"
                " another --out."
            ) from None
        if self.is_local:
            for folder in {Path(self.place, name).parent for name in names if "/" in name}:
                remove_empty(folder)

    @cached_property
    def _system(self) -> tuple[fs.FileSystem, str]:
        if self.is_local:
            return fs.LocalFileSystem(), self.place
        scheme, _, path = self.place.partition("://")
        try:
            return file_system(scheme), path
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.place} can't be used as a folder: {reason_of(error)}; give a path or an"
                " s3:// or gs:// URI."
            ) from None

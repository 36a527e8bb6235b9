"""Fingerprints of files: size and checksums, to compare the bytes of files.

A fingerprint also has checksums of the first bytes, so that a file that was cut short can be
recognised.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

_PREFIX_BASE = 4
CHUNK = _PREFIX_BASE**12
"""Bytes read at once; a power of the base, so that prefixes end at the end of a chunk."""


@dataclass(frozen=True)
class Fingerprint:
    """Size and checksums of a file."""

    size: int
    """Size in bytes."""
    crc32c: int
    """CRC-32C of all bytes (RFC 3720, appendix B.4)."""
    prefixes: tuple[int, ...] = ()
    """CRC-32C of the first 1, 4, 16, 64, ... bytes, up to the size of the file."""

    def begins(self, shorter: Fingerprint) -> bool:
        """Whether this file begins with the bytes of a shorter file."""
        count = len(shorter.prefixes)
        return shorter.size < self.size and self.prefixes[:count] == shorter.prefixes


def fingerprint(path: Path) -> Fingerprint:
    """Compute the fingerprint of a file; OSError if it can't be read."""
    crc, size = 0, 0
    prefixes: list[int] = []
    with path.open("rb") as file:
        while chunk := file.read(min(_PREFIX_BASE ** len(prefixes) - size, CHUNK)):
            crc = google_crc32c.extend(crc, chunk)
            size += len(chunk)
            if size == _PREFIX_BASE ** len(prefixes):
                prefixes.append(crc)
    return Fingerprint(size, crc, tuple(prefixes))


def fingerprint_if(path: Path, may_be: Callable[[int], bool]) -> Fingerprint | None:
    """Fingerprint of a regular file, if `may_be` accepts its size; otherwise None."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not may_be(status.st_size):
            return None
        return fingerprint(path)
    except OSError:
        return None

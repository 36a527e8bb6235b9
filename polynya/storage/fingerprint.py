"""What tells the bytes of one file from those of another: its size and checksums.

Checksums of its first bytes too, so that a file that was only cut short is known.
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
"""Bytes read at once; a power, so that the prefixes end where a chunk does."""


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


def fingerprint(path: Path) -> Fingerprint:
    """Size and checksum of a file, read from the disk; OSError if it can't be read."""
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
    """The fingerprint of a regular file whose size says that it may be ours; else None."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not may_be(status.st_size):
            return None
        return fingerprint(path)
    except OSError:
        return None

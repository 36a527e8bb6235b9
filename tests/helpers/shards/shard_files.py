"""What tests compare of data sets of shards."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from polynya.storage.folder import Folder


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a data set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(folder: Folder) -> dict[str, bytes]:
    """Bytes of every file of tiles of a data set."""
    return {name: folder.read(name) for name in folder.names() if name.endswith(".parquet")}


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "_manifest.csv", newline="") as file:
        return {row["scene_id"]: row for row in csv.DictReader(file)}

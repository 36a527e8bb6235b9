"""What tests compare of data sets of shards."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a data set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "_manifest.csv", newline="") as file:
        return {row["scene_id"]: row for row in csv.DictReader(file)}

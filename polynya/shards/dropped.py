"""Tiles that a data set has but that its readers leave out.

Shards are never rewritten to remove a tile. Instead, the file `_dropped.json` in the data set lists
the tiles and why each was dropped. Without that file all tiles are back.

    {"format": 1, "polynya_version": "...", "date": "2026-01-31T12:00:00+00:00",
     "manifest": SHA-256 of _manifest.csv,
     "tiles": [{"file": "a-000.parquet", "index": 3, "scene_id": "a", "row": 0, "col": 768,
                "reason": "empty: no pixel has data"}]}
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from polynya import __version__
from polynya.errors import OutputError, ShardError, reason_of
from polynya.shards.manifest import MANIFEST_FILE, SceneResult
from polynya.storage.folder import Folder
from polynya.storage.locks import locked
from polynya.storage.ownership import remove_file
from polynya.storage.store_lock import store_locked

DROPPED_FILE = "_dropped.json"
FORMAT = 1
"""Format version of the file."""


@dataclass(frozen=True)
class DroppedTile:
    """One tile that is left out, or a whole file that can't be read."""

    file: str
    """Name of the Parquet file."""
    index: int | None
    """0-based row of the tile in the file; None for all tiles of the file."""
    scene_id: str
    row: int | None
    """Row of the tile's upper left corner in the scene; None if it can't be read."""
    col: int | None
    """Column of the tile's upper left corner in the scene; None if it can't be read."""
    reason: str
    """The finding and its reason, such as "empty: no pixel has data"."""


@dataclass(frozen=True)
class Dropped:
    """All tiles of a data set that are left out."""

    tiles: tuple[DroppedTile, ...] = ()
    manifest: str = ""
    """SHA-256 of the manifest for which the tiles were chosen, as hex digits."""

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def whole_files(self) -> frozenset[str]:
        """Names of files of which every tile is left out."""
        return frozenset(tile.file for tile in self.tiles if tile.index is None)

    def indices(self) -> dict[str, frozenset[int]]:
        """0-based rows that are left out, by file."""
        found: dict[str, set[int]] = {}
        for tile in self.tiles:
            if tile.index is not None:
                found.setdefault(tile.file, set()).add(tile.index)
        return {name: frozenset(rows) for name, rows in found.items()}

    def remaining(self, scenes: Iterable[SceneResult]) -> list[SceneResult]:
        """Those rows of the manifest whose scenes keep a tile."""
        single = Counter(tile.scene_id for tile in self.tiles if tile.index is not None)
        unread = self.whole_files
        return [
            scene
            for scene in scenes
            if not single[scene.scene_id] >= scene.labelled > 0
            and not unread.issuperset(scene.file_names)
        ]

    @property
    def digest(self) -> str:
        """Digest of the places of the tiles; "" if no tile is left out."""
        if not self.tiles:
            return ""
        places = sorted(
            (tile.file, -1 if tile.index is None else tile.index) for tile in self.tiles
        )
        return hashlib.sha256(json.dumps(places).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Counts in words, such as "3 tiles (empty 2, striped 1)"."""
        reasons = Counter(tile.reason.partition(":")[0] for tile in self.tiles)
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        single = sum(tile.index is not None for tile in self.tiles)
        parts = [(single, "tile"), (len(self) - single, "unreadable file")]
        counts = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in parts if count]
        return f"{' and '.join(counts)} ({told})"


NOTHING_DROPPED = Dropped()


def manifest_digest(folder: Folder) -> str:
    """SHA-256 of the manifest, as hex digits; OSError if it can't be read."""
    return hashlib.sha256(folder.read(MANIFEST_FILE)).hexdigest()


def read_dropped(folder: Folder) -> Dropped:
    """Read which tiles are left out; no tile if there is no such file.

    Raises:
        ShardError: The file is damaged, of another version, or was made before the data set got
            other scenes.
    """
    if not folder.has(DROPPED_FILE):
        return NOTHING_DROPPED
    name = f"{folder}/{DROPPED_FILE}"
    remedy = f"choose the tiles again with: polynya inspect {folder} --restore --drop ..."
    try:
        content = json.loads(folder.read(DROPPED_FILE))
        if content["format"] != FORMAT:
            raise ShardError(
                f"{name} has the format {content['format']}, this version of Polynya reads"
                f" {FORMAT}; {remedy}"
            )
        found = Dropped(
            tuple(DroppedTile(**tile) for tile in content["tiles"]), content["manifest"]
        )
        is_current = found.manifest == manifest_digest(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{name} can't be read ({reason_of(error)}); {remedy}") from None
    if not is_current:
        raise ShardError(
            f"{name} was made before {MANIFEST_FILE} changed, so its tiles may be others now;"
            f" {remedy}"
        )
    return found


def write_dropped(folder: Folder, tiles: Sequence[DroppedTile]) -> None:
    """Record the tiles to leave out, in place of an earlier record.

    Args:
        folder: Folder of a finished data set.
        tiles: All tiles to leave out.

    Raises:
        OutputError: The file can't be written, or another run uses the data set.
    """
    with _locked(folder):
        content = {
            "format": FORMAT,
            "polynya_version": __version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "manifest": manifest_digest(folder),
            "tiles": [asdict(tile) for tile in tiles],
        }
        folder.write(DROPPED_FILE, (json.dumps(content, indent=1) + "\n").encode())


def restore_dropped(folder: Folder) -> bool:
    """Bring all tiles back; returns whether any were left out.

    Raises:
        OutputError: The file was edited by hand, can't be deleted, or another run uses the data
            set.
    """
    if not folder.has(DROPPED_FILE):
        return False
    with _locked(folder):
        if folder.is_local:
            remove_file(Path(folder.place, DROPPED_FILE))
        else:
            folder.remove([DROPPED_FILE])
    return True


@contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    try:
        with locked(Path(folder.place)) if folder.is_local else store_locked(folder):
            yield
    except OSError as error:
        raise OutputError(
            f"{folder}/{DROPPED_FILE} can't be written: {reason_of(error)}; make the folder"
            " writable, or copy the data set."
        ) from None

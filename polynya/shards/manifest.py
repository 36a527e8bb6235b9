"""The manifest of a data set of shards: one row a scene, with counts that add up."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from typing import Any

from polynya.errors import ShardError
from polynya.storage.folder import Folder

MANIFEST_FILE = "_manifest.csv"


@dataclass(frozen=True)
class SceneResult:
    """A row of the manifest: what became of one scene."""

    scene_id: str
    uri: str
    status: str
    """'done', 'nodata' (not one of its pixels is valid) or 'failed'."""
    reason: str = ""
    """Why it failed, one sentence."""
    height: int = 0
    width: int = 0
    tiles: int = 0
    """Tiles of the grid: labelled + nodata + failed."""
    labelled: int = 0
    """Tiles written."""
    nodata: int = 0
    """Tiles left out because too little of them is valid."""
    failed: int = 0
    """Tiles of a scene that failed after its size was known; none of a failed scene counts as
    labelled."""
    files: str = ""
    """Names of the files that hold its tiles, separated by blanks."""
    file_sums: str = ""
    """Of each of these files 'bytes:checksum', the CRC-32C as 8 hex digits, separated by blanks."""
    valid_pixels: int = 0
    veiled_pixels: int | None = None
    """Valid pixels under cloud or shadow; None where the method can't tell."""
    thick_cloud_pixels: int | None = None
    """Valid pixels where cloud hides the ground; nodata if the recipe says so."""
    uncertain_pixels: int | None = None
    """Valid pixels made nodata because their label is unsure."""
    class_pixels: str = ""
    """Pixels of each class in the written tiles, as 'name=count' separated by blanks."""
    digest: str = ""
    """Digest of the scene's content, all files that it depends on included; empty if it could not
    be read."""

    @property
    def file_names(self) -> tuple[str, ...]:
        """Files that hold its tiles, in row order."""
        return tuple(self.files.split())

    @property
    def sums(self) -> dict[str, str]:
        """What `file_sums` says of each file; a file that it says nothing of has ''."""
        return dict(zip_longest(self.file_names, self.file_sums.split(), fillvalue=""))

    @property
    def n_class_pixels(self) -> int:
        """Pixels that have a class, in all of its tiles."""
        return sum(int(pair.rpartition("=")[2]) for pair in self.class_pixels.split())


def manifest_text(results: Iterable[SceneResult]) -> str:
    """The manifest as CSV, ordered by scene."""
    table = io.StringIO(newline="")
    names = [field.name for field in fields(SceneResult)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(result) for result in sorted(results, key=lambda r: r.scene_id))
    # Nothing that a text may hold keeps a manifest from being written.
    return table.getvalue().encode("utf-8", errors="backslashreplace").decode()


def read_manifest(folder: Folder) -> list[SceneResult]:
    """Rows of a data set's manifest; none if it has none.

    Raises:
        ShardError: It has other columns, or a count is no number.
    """
    if not folder.has(MANIFEST_FILE):
        return []
    text = folder.read(MANIFEST_FILE).decode("utf-8", errors="replace")
    return _parse_manifest(text, f"{folder}/{MANIFEST_FILE}")


def _parse_manifest(text: str, source: str) -> list[SceneResult]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = set(rows.fieldnames or ())
    known = [field for field in fields(SceneResult) if field.name in names]
    missing = {field.name for field in fields(SceneResult)} - names
    # Manifests of format 2 lack these.
    if len(known) != len(rows.fieldnames or ()) or not missing <= {"digest", "file_sums"}:
        raise ShardError(
            f"{source} has other columns than a manifest of this version; label"
            " again with --overwrite."
        )
    try:
        return [
            SceneResult(**{f.name: _parse(row, f.name, str(f.type)) for f in known}) for row in rows
        ]
    except (ValueError, TypeError):
        raise ShardError(f"{source} is damaged; label again with --overwrite.") from None


def _parse(row: dict[str, str], name: str, kind: str) -> Any:
    cell = row[name]
    if kind == "str":
        return cell
    if kind == "int | None" and cell == "":
        return None
    return int(cell)

"""The manifest of a data set of shards: one row per scene, with consistent counts."""

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
    """A row of the manifest: the result of one scene."""

    scene_id: str
    uri: str
    status: str
    """'done', 'nodata' (no pixel is valid) or 'failed'."""
    reason: str = ""
    """Reason of a failure, one sentence."""
    height: int = 0
    width: int = 0
    tiles: int = 0
    """Number of tiles in the grid: labelled + nodata + failed."""
    labelled: int = 0
    """Number of written tiles."""
    nodata: int = 0
    """Number of tiles left out because they have too few valid pixels."""
    failed: int = 0
    """Number of tiles of a scene that failed after its size was known. In a failed scene, no tile
    counts as labelled."""
    files: str = ""
    """Names of the files with its tiles, separated by blanks."""
    file_sums: str = ""
    """'bytes:checksum' for each of these files, separated by blanks; the checksum is the CRC-32C as
    8 hex digits."""
    valid_pixels: int = 0
    veiled_pixels: int | None = None
    """Number of valid pixels under cloud or shadow; None if the method doesn't know it."""
    thick_cloud_pixels: int | None = None
    """Number of valid pixels under thick cloud; they are nodata if the recipe says so."""
    uncertain_pixels: int | None = None
    """Number of valid pixels that became nodata because their label is uncertain."""
    class_pixels: str = ""
    """Number of pixels of each class in the written tiles, as 'name=count' separated by blanks."""
    digest: str = ""
    """Digest of the scene's content with all files that it depends on; "" if the scene could not be
    read."""

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of the files with its tiles, in row order."""
        return tuple(self.files.split())

    @property
    def sums(self) -> dict[str, str]:
        """Entry of `file_sums` for each file; '' for a file without entry."""
        return dict(zip_longest(self.file_names, self.file_sums.split(), fillvalue=""))

    @property
    def n_class_pixels(self) -> int:
        """Sum of the pixels of all classes, in all of its tiles."""
        return sum(int(pair.rpartition("=")[2]) for pair in self.class_pixels.split())


def manifest_text(results: Iterable[SceneResult]) -> str:
    """The manifest as CSV text, sorted by scene."""
    table = io.StringIO(newline="")
    names = [field.name for field in fields(SceneResult)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(result) for result in sorted(results, key=lambda r: r.scene_id))
    # Escapes, so that no character can prevent the writing of a manifest.
    return table.getvalue().encode("utf-8", errors="backslashreplace").decode()


def read_manifest(folder: Folder) -> list[SceneResult]:
    """Read the rows of a data set's manifest; [] if there is no manifest.

    Raises:
        ShardError: The manifest has other columns, or a count is no number.
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
    # Manifests of format 2 lack the columns digest and file_sums.
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

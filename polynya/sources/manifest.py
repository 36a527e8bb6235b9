"""What became of each item: one row in a table beside the scenes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from polynya.names import printable
from polynya.sources.items.item import Item, number_of
from polynya.storage.files import write_text

MANIFEST_FILE = "_scenes.csv"
"""The leading underscore hides it from Spark and PyArrow."""


@dataclass(frozen=True)
class ItemResult:
    """A row of the manifest."""

    scene: str
    """Id of the scene, as labelling will call it."""
    status: str
    """'done' or 'failed'."""
    reason: str
    """Why it failed, one sentence."""
    file: str
    """Name of the scene file; empty if it failed."""
    item: str
    """The source's name of it."""
    source: str
    """Where it came from."""
    time: str
    """When it was taken, UTC."""
    cloud_cover: float | None
    """Percent."""
    product: str
    """Id of the agency's product."""
    processing_baseline: str
    scale: str
    """Reflectance per digital number, of each band."""
    offset: str
    """Reflectance at digital number 0, of each band."""
    bands: str


_COLUMNS = [field.name for field in fields(ItemResult)]


def item_result(item: Item, scene: str, file: str, reason: str = "") -> ItemResult:
    """Row of an item; `reason` says why it failed, if it did."""
    return ItemResult(
        scene=scene,
        status="failed" if reason else "done",
        reason=reason,
        file="" if reason else file,
        item=item.id,
        source=item.uri,
        time=item.time_text,
        cloud_cover=item.cloud_cover,
        product=item.product or "",
        processing_baseline=item.baseline or "",
        scale=" ".join(f"{band.scale:g}" for band in item.bands),
        offset=" ".join(f"{band.offset:g}" for band in item.bands),
        bands=" ".join(band.name for band in item.bands),
    )


def write_manifest(folder: Path, results: Sequence[ItemResult]) -> None:
    """Write the table at once, in order of the scenes; OutputError if that can't be done."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in sorted(results, key=lambda row: (row.scene, row.source)):
        row = asdict(result).items()
        writer.writerow({key: printable(v) if isinstance(v, str) else v for key, v in row})
    write_text(folder / MANIFEST_FILE, text.getvalue())


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Rows of a manifest."""
    with (folder / MANIFEST_FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_results(folder: Path) -> list[ItemResult]:
    """Rows of a manifest of ours, as they were written."""
    return [
        ItemResult(**{**row, "cloud_cover": number_of(row["cloud_cover"])})  # type: ignore[arg-type]
        for row in read_manifest(folder)
        if set(row) == set(_COLUMNS)
    ]

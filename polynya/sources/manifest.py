"""The manifest of fetched scenes: a table with one row per item, beside the scenes."""

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
"""Name of the manifest; the leading underscore hides it from Spark and PyArrow."""


@dataclass(frozen=True)
class ItemResult:
    """A row of the manifest."""

    scene: str
    """Id of the scene, the same as in labelling."""
    status: str
    """'done' or 'failed'."""
    reason: str
    """Reason of a failure, one sentence."""
    file: str
    """Name of the scene file; "" after a failure."""
    item: str
    """The source's name of the item."""
    source: str
    """Address of the item."""
    time: str
    """Time of the image, UTC."""
    cloud_cover: float | None
    """Cloud cover in percent."""
    product: str
    """Id of the agency's product."""
    processing_baseline: str
    scale: str
    """Reflectance per digital number, for each band."""
    offset: str
    """Reflectance at digital number 0, for each band."""
    bands: str


_COLUMNS = [field.name for field in fields(ItemResult)]


def item_result(item: Item, scene: str, file: str, reason: str = "") -> ItemResult:
    """Make the row of an item; `reason` is the reason of a failure, otherwise ""."""
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
    """Write the table, sorted by scene; OutputError if that can't be done."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in sorted(results, key=lambda row: (row.scene, row.source)):
        row = asdict(result).items()
        writer.writerow({key: printable(v) if isinstance(v, str) else v for key, v in row})
    write_text(folder / MANIFEST_FILE, text.getvalue())


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Read the rows of a manifest as texts."""
    with (folder / MANIFEST_FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_results(folder: Path) -> list[ItemResult]:
    """Read the rows of a manifest that Polynya wrote."""
    return [
        ItemResult(**{**row, "cloud_cover": number_of(row["cloud_cover"])})  # type: ignore[arg-type]
        for row in read_manifest(folder)
        if set(row) == set(_COLUMNS)
    ]

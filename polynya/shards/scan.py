"""Reading every tile of a data set one by one, also where some of them are damaged.

`ShardSet` stops at the first damaged tile, because nothing must learn from it. Whoever wants to
know what is wrong with a data set needs the others too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.errors import reason_of
from polynya.rasters.scaling import physical_values
from polynya.shards.cells import checked_array, checked_valid
from polynya.shards.dataset import ShardSet
from polynya.shards.manifest import read_manifest

_TILES_AT_ONCE = 8
_COLUMNS = [
    "scene_id", "row", "col", "height", "width", "dtype", "image", "label", "image_crc32c",
    "label_crc32c", "valid", "valid_crc32c", "scales", "offsets",
]  # fmt: skip
_LARGE = ("image", "label", "valid")


@dataclass(frozen=True)
class TilePlace:
    """Where a tile is in the data set and in its scene."""

    file: str
    index: int | None
    """0-based row in the file; None for a file that can't be opened."""
    scene_id: str
    row: int | None = None
    """Row of its upper left corner in the scene; None if it can't be read."""
    col: int | None = None
    """Column of its upper left corner in the scene; None if it can't be read."""

    def __str__(self) -> str:
        if self.index is None:
            return f"file {self.file}"
        if self.row is None:
            return f"{self.scene_id}, tile {self.index} of {self.file}"
        return f"{self.scene_id}, row {self.row}, col {self.col}"


@dataclass(frozen=True)
class TilePixels:
    """Content of a tile."""

    values: NDArray[np.float32]
    """(B, H, W), values of the bands in the units of the recipe; NaN where missing."""
    label: NDArray[np.uint8]
    """(H, W), labels of the class scheme."""
    ceilings: NDArray[np.float32]
    """(B,), greatest value that each band can store; infinite for floating-point numbers."""


@dataclass(frozen=True)
class ScannedTile:
    """A tile as it was found."""

    place: TilePlace
    pixels: TilePixels | None
    """None if the tile can't be read."""
    damage: str = ""
    """Why it can't be read."""


def count_tiles(shards: ShardSet) -> int:
    """Count the tiles from the manifest: an estimate if files were changed since."""
    return sum(row.labelled for row in read_manifest(shards.folder)) - len(shards.dropped)


def scan_tiles(
    shards: ShardSet, wanted: Mapping[str, Set[int]] | None = None
) -> Iterator[ScannedTile]:
    """Read tiles one after another, a few of them in memory at a time.

    Args:
        shards: The data set; its dropped tiles are passed over.
        wanted: 0-based rows of the wanted tiles, by file; None for all tiles.

    Yields:
        Tiles in the order of files. A tile that can't be read has no pixels; of a file that can't
        be opened, there is one for the whole file.
    """
    dropped = shards.dropped.indices()
    scenes: dict[str, str] = {}
    for scene, names in shards.files.items():
        for name in names:
            scenes.setdefault(name, scene)
    for name, scene in scenes.items():
        if name in shards.dropped.whole_files or (wanted is not None and name not in wanted):
            continue
        chosen = None if wanted is None else wanted[name]
        try:
            with pq.ParquetFile(shards.folder.open(name)) as file:
                yield from _scan_file(shards, file, name, scene, dropped.get(name, set()), chosen)
        except (OSError, pa.ArrowException) as error:
            damage = f"{name} can't be opened ({reason_of(error)})"
            yield ScannedTile(TilePlace(name, None, scene), None, damage)


def _scan_file(
    shards: ShardSet,
    file: pq.ParquetFile,
    name: str,
    scene: str,
    dropped: Set[int],
    wanted: Set[int] | None,
) -> Iterator[ScannedTile]:
    first = 0
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        rows = range(first, first + group.num_rows)
        first = rows.stop
        if not any(row not in dropped and (wanted is None or row in wanted) for row in rows):
            continue
        index = rows.start
        try:
            batches = file.iter_batches(
                _TILES_AT_ONCE, row_groups=[number], columns=_COLUMNS, use_threads=False
            )
            for batch in batches:
                for tile in _tiles_of(shards, batch, name, index):
                    if index not in dropped and (wanted is None or index in wanted):
                        yield tile
                    index += 1
        except (OSError, pa.ArrowException) as error:
            # A page holds many tiles, so all that follow in this group are lost.
            known = group.column(0).statistics
            for row in range(index, rows.stop):
                if row not in dropped:
                    place = TilePlace(name, row, known.min if known else scene)
                    yield ScannedTile(place, None, f"its bytes can't be read ({reason_of(error)})")


def _tiles_of(
    shards: ShardSet, batch: pa.RecordBatch, name: str, index: int
) -> Iterator[ScannedTile]:
    small = batch.drop_columns(list(_LARGE)).to_pylist()
    for number, row in enumerate(small):
        place = TilePlace(name, index + number, row["scene_id"], row["row"], row["col"])
        cells = {column: batch[column][number] for column in _LARGE}
        try:
            yield ScannedTile(place, _pixels(shards, row, cells))
        except ValueError as error:
            yield ScannedTile(place, None, str(error))


def _pixels(shards: ShardSet, row: dict[str, Any], cells: dict[str, Any]) -> TilePixels:
    """Decode a tile; ValueError with the reason if it is damaged."""
    height, width, bands = row["height"], row["width"], len(shards.bands)
    shape = (height, width, bands)
    numbers = checked_array(cells["image"], row, "image", row["dtype"], shape)
    label = checked_array(cells["label"], row, "label", "uint8", (height, width))
    if shards.recipe.scene.sees_colors:
        # Nodata is black in colours.
        valid = np.broadcast_to(numbers.any(axis=-1, keepdims=True), shape)
        scales, offsets = [1.0] * bands, [0.0] * bands
    else:
        scales, offsets = row["scales"], row["offsets"]
        valid = checked_valid(cells["valid"], row, shape)
    values = physical_values(numbers, valid, scales, offsets)
    ceilings = np.full(bands, np.inf, np.float32)
    if np.issubdtype(numbers.dtype, np.integer):
        ceilings = physical_values(
            np.full(bands, np.iinfo(numbers.dtype).max), np.ones(bands, np.bool_), scales, offsets
        )
    return TilePixels(np.ascontiguousarray(np.moveaxis(values, -1, 0)), label, ceilings)

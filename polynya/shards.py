"""Shards: labelled tiles on disk or in an object store, as a Parquet data set.

    OUT/_dataset.json            recipe, classes, version
    OUT/_manifest.csv            one row a scene: done or failed, its files, counts that add up
    OUT/NAME-000.parquet         tiles of some rows of a large scene, or of several small scenes

Names and bytes depend on scenes and recipe only, never on who wrote them: a task that is repeated
replaces its file by the same bytes. Files that the manifest doesn't name don't count. See
docs/architecture.md, "Shards".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.classes import ClassScheme
from polynya.errors import ShardError, reason_of
from polynya.manifest import MANIFEST_FILE, read_manifest
from polynya.recipe import Recipe, parse_recipe
from polynya.scenes import BANDS
from polynya.storage import Folder

DATASET_FILE = "_dataset.json"
FORMAT = 2
"""Of the data set; another one can't be read."""

FILE_BYTES = 128 * 2**20
"""Pixels and labels of one file before compression: large enough for object stores, small enough
for a worker to hold."""

ROWS_PER_GROUP = 64

SCHEMA = pa.schema(
    [
        ("scene_id", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("bands", pa.list_(pa.string())),
        ("dtype", pa.string()),
        ("image", pa.binary()),
        ("label", pa.binary()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("valid_share", pa.float64()),
        ("class_counts", pa.list_(pa.int64())),
        ("veiled_share", pa.float64()),
        ("label_source", pa.string()),
        ("recipe_digest", pa.string()),
        ("image_crc32c", pa.uint32()),
        ("label_crc32c", pa.uint32()),
    ]
)
"""One row a tile. `image` is uint8 (height, width, bands) and `label` uint8 (height, width), both
in C order; `transform` the affine coefficients of the tile; `veiled_share` the share of valid
pixels under cloud or shadow, null where the label source can't tell."""

_READ_COLUMNS = ["row", "col", "height", "width", "bands", "image", "label"]
_CRC_COLUMNS = ["image_crc32c", "label_crc32c"]
_SCENE_COLUMN = SCHEMA.names.index("scene_id")


@dataclass(frozen=True)
class ShardSet:
    """A finished data set of labelled tiles."""

    folder: Folder
    recipe: Recipe
    """The recipe that made the labels."""
    files: dict[str, tuple[str, ...]]
    """Names of the Parquet files that hold tiles of each scene, scenes in order."""

    @property
    def classes(self) -> ClassScheme:
        return self.recipe.classes

    @property
    def scene_ids(self) -> tuple[str, ...]:
        return tuple(self.files)

    def check_scheme(self, classes: ClassScheme) -> None:
        """Raise ShardError unless the labels are of these classes."""
        if self.classes != classes:
            raise ShardError(
                f"The shards in {self.folder} have the classes of '{self.classes.name}'"
                f" ({', '.join(self.classes.names)}), the recipe those of '{classes.name}'"
                f" ({', '.join(classes.names)}); label again with this recipe or mend its key"
                " 'classes'."
            )

    def load(
        self, scene_ids: Sequence[str], size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Tiles of some scenes as arrays; edge tiles are filled up with nodata.

        Args:
            scene_ids: Which scenes, in this order.
            size: Edge of a tile in pixels, at least that of the shards.

        Returns:
            uint8 (N, size, size, bands) images, 0 where nodata; uint8 (N, size, size) labels, the
            scheme's nodata code where nodata.

        Raises:
            ShardError: A file is missing or damaged, or a tile is larger than `size`.
        """
        images: list[NDArray[np.uint8]] = []
        labels: list[NDArray[np.uint8]] = []
        # Small scenes share files, one after another.
        open_file = lru_cache(maxsize=1)(self._open_file)
        for scene in scene_ids:
            for name in self.files[scene]:
                for row in self._read_rows(open_file(name), name, scene):
                    image, label = self._decode(row, name, size)
                    images.append(image)
                    labels.append(label)
        if not images:
            empty = np.empty((0, size, size), np.uint8)
            return np.empty((0, size, size, len(BANDS)), np.uint8), empty
        return np.stack(images), np.stack(labels)

    def _decode(
        self, row: dict[str, Any], file: str, size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        height, width, bands = row["height"], row["width"], len(row["bands"])
        if max(height, width) > size:
            raise ShardError(
                f"{self.folder}/{file} has tiles of {height} x {width} pixels, the recipe asks for"
                f" {size}; label again or mend its key 'tiles.size'."
            )
        image = np.zeros((size, size, bands), np.uint8)
        image[:height, :width] = np.frombuffer(row["image"], np.uint8).reshape(height, width, bands)
        label = np.full((size, size), self.classes.nodata, np.uint8)
        label[:height, :width] = np.frombuffer(row["label"], np.uint8).reshape(height, width)
        return image, label

    def _open_file(self, name: str) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.folder.open(name))
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def _read_rows(self, file: pq.ParquetFile, name: str, scene: str) -> Iterator[dict[str, Any]]:
        for group in range(file.num_row_groups):
            column = file.metadata.row_group(group).column(_SCENE_COLUMN)
            if column.statistics is not None and column.statistics.min != scene:
                continue  # A group has tiles of one scene.
            try:
                table = file.read_row_group(group, columns=_READ_COLUMNS + _CRC_COLUMNS)
            except (OSError, pa.ArrowException) as error:
                raise self._unreadable(name, error) from None
            for row in table.to_pylist():
                for part in ("image", "label"):
                    if google_crc32c.value(row[part]) != row[f"{part}_crc32c"]:
                        raise ShardError(
                            f"{self.folder}/{name} is damaged (checksum of {part}); label again."
                        )
                yield row

    def _unreadable(self, name: str, error: Exception) -> ShardError:
        return ShardError(f"{self.folder}/{name} can't be read ({reason_of(error)}); label again.")


def open_shards(place: str | Path | Folder) -> ShardSet:
    """Open a finished data set.

    Args:
        place: Path or URI.

    Raises:
        ShardError: No such folder, no finished data set in it, or no tiles.
    """
    folder = Folder.at(place)
    if not folder.has(DATASET_FILE) or not folder.has(MANIFEST_FILE):
        raise ShardError(
            f"{folder} holds no finished shards; make them with: polynya label --scenes ... --out"
            f" {folder}"
        )
    description = f"{folder}/{DATASET_FILE}"
    try:
        content = json.loads(folder.read(DATASET_FILE))
        if content["format"] != FORMAT:
            raise ShardError(f"{folder} was made by another version of Polynya; label again.")
        recipe = parse_recipe(content["recipe"], source=description)
    except (ValueError, KeyError):
        raise ShardError(f"{description} is damaged; label again.") from None
    files = {r.scene_id: r.file_names for r in read_manifest(folder) if r.file_names}
    if not files:
        raise ShardError(
            f"{folder} holds no labelled tile (see {MANIFEST_FILE}); label other scenes."
        )
    return ShardSet(folder, recipe, files)

"""Shards: labelled tiles on disk or in an object store, as a Parquet data set.

    OUT/_dataset.json            recipe, classes, version
    OUT/_manifest.csv            one row a scene: its content, status, files and counts that add up
    OUT/NAME-000.parquet         tiles of some rows of a large scene, or of several small scenes

Names and bytes depend on the content of scenes and the recipe only, never on who wrote them: a task
that is repeated replaces its file by the same bytes. Files that the manifest doesn't name don't
count. See docs/architecture.md, "Shards".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.errors import ShardError, reason_of
from polynya.rasters.scaling import physical_values
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.manifest import MANIFEST_FILE, read_manifest
from polynya.shards.schema import READABLE_FORMATS, SCHEMA
from polynya.storage.folder import Folder

DATASET_FILE = "_dataset.json"
_PIXEL_COLUMNS = ["image", "label"]
_SMALL_COLUMNS = ["height", "width", "image_crc32c", "label_crc32c"]
_SOFT_COLUMNS = ["soft_label", "soft_label_crc32c"]
_BAND_COLUMNS = ["dtype", "scales", "offsets", "valid", "valid_crc32c"]
_COUNT_COLUMNS = ["class_counts", "valid_share", "height", "width"]
_PLACE_COLUMNS = ["row", "col", "veiled_share"]
_SCENE_COLUMN = SCHEMA.names.index("scene_id")
_FILES_AT_ONCE = 16
"""Looking at the ends of many files is mostly waiting, at least in an object store."""


@dataclass(frozen=True)
class RowGroup:
    """Consecutive tiles of one scene: the least that is read of a file."""

    file: str
    number: int
    """From 0, in the file."""
    scene_id: str
    tiles: int


@dataclass(frozen=True)
class StoredTile:
    """One tile as it is in a shard."""

    scene_id: str
    row: int
    """Of its upper left corner, in the scene."""
    col: int
    image: NDArray[Any]
    """(H, W, bands): uint8 colours, 0 where nodata; or float32 values of bands, NaN where
    missing."""
    label: NDArray[np.uint8]
    """(H, W), class codes."""
    veiled_share: float | None
    """Share of the valid pixels under cloud or shadow; None where the label source can't tell."""


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

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands of its images."""
        return self.recipe.scene.seen_bands

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """uint8 for colours; float32, values with NaN where missing, for other bands."""
        return np.dtype(np.uint8 if self.recipe.scene.sees_colors else np.float32)

    @property
    def label_channels(self) -> tuple[int, ...]:
        """Last axes of labels for training: () of hard labels, (C,) of soft ones."""
        return (self.classes.n_classes,) if self.recipe.label.soft else ()

    def check_scheme(self, classes: ClassScheme) -> None:
        """Raise ShardError unless the labels are of these classes."""
        if self.classes != classes:
            raise ShardError(
                f"The shards in {self.folder} have the classes of '{self.classes.name}'"
                f" ({', '.join(self.classes.names)}), the recipe those of '{classes.name}'"
                f" ({', '.join(classes.names)}); label again with this recipe or correct its"
                " key 'classes'."
            )

    def row_groups(self, scene_ids: Sequence[str]) -> list[RowGroup]:
        """Where the tiles of some scenes are: scenes in this order, then files, then groups.

        Only the ends of the files are read, where Parquet keeps what it knows of its groups.

        Raises:
            ShardError: A file is missing or damaged.
        """
        names = list(dict.fromkeys(name for scene in scene_ids for name in self.files[scene]))
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._groups_of, names), strict=True))
        return [
            group
            for scene in scene_ids
            for name in self.files[scene]
            for group in found[name]
            if group.scene_id == scene
        ]

    def read_groups(
        self, groups: Sequence[RowGroup], images: NDArray[Any], labels: NDArray[np.uint8]
    ) -> None:
        """Decode tiles into arrays and check their sums; edge tiles are filled up with nodata.

        Args:
            groups: From `row_groups`; those of one file one after another open it once.
            images: (N, size, size, bands) of `image_dtype`, N the tiles of all groups; gets 0 where
                nodata, or NaN where a value is missing.
            labels: uint8 (N, size, size), or (N, size, size, C) for soft labels; gets the scheme's
                nodata code where nodata.

        Raises:
            ShardError: A file is missing or damaged, or a tile is larger than `size`.
        """
        first = 0
        for name, of_file in groupby(groups, key=lambda group: group.file):
            with self._open_file(name) as file:
                for group in of_file:
                    soft = _SOFT_COLUMNS if labels.ndim == 4 else []
                    table = self._read(file, group, [*self._pixel_columns, *soft])
                    past = first + group.tiles
                    self._decode(table, name, images[first:past], labels[first:past])
                    first = past

    def tiles(self, groups: Sequence[RowGroup]) -> Iterator[StoredTile]:
        """Tiles one by one, each in its own size and with its place in the scene.

        Args:
            groups: From `row_groups`.

        Raises:
            ShardError: A file is missing or damaged.
        """
        size = self.recipe.tiles.size
        for name, of_file in groupby(groups, key=lambda group: group.file):
            with self._open_file(name) as file:
                for group in of_file:
                    table = self._read(file, group, _PLACE_COLUMNS + self._pixel_columns)
                    shape = (group.tiles, size, size, len(self.bands))
                    images = np.zeros(shape, self.image_dtype)
                    labels = np.zeros((group.tiles, size, size), np.uint8)
                    self._decode(table, name, images, labels)
                    rows = table.select(["height", "width", *_PLACE_COLUMNS]).to_pylist()
                    for row, image, label in zip(rows, images, labels, strict=True):
                        there = np.s_[: row["height"], : row["width"]]
                        yield StoredTile(
                            group.scene_id,
                            row["row"],
                            row["col"],
                            image[there],
                            label[there],
                            row["veiled_share"],
                        )

    def load(self, scene_ids: Sequence[str], size: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Tiles of some scenes as new arrays; see `read_groups`.

        Args:
            scene_ids: Which scenes, in this order.
            size: Edge of a tile in pixels, at least that of the shards.

        Returns:
            Images (N, size, size, bands) of `image_dtype`, and uint8 (N, size, size) labels; soft
            ones (N, size, size, C), see `polynya.shards.soft_labels`.
        """
        groups = self.row_groups(scene_ids)
        tiles = sum(group.tiles for group in groups)
        images = np.empty((tiles, size, size, len(self.bands)), self.image_dtype)
        labels = np.empty((tiles, size, size, *self.label_channels), np.uint8)
        self.read_groups(groups, images, labels)
        return images, labels

    def class_counts(self, scene_ids: Sequence[str]) -> tuple[NDArray[np.int64], int]:
        """Count the labels in the tiles of some scenes, without reading a pixel.

        Returns:
            int64 (C,), pixels of each class; and the number of pixels that have a label, of which
            masks that overlap have more than once and others not at all.
        """
        groups = self.row_groups(scene_ids)
        by_file = [list(of_file) for _, of_file in groupby(groups, key=lambda group: group.file)]

        def count(of_file: list[RowGroup]) -> NDArray[np.int64]:
            with self._open_file(of_file[0].file) as file:
                rows = [
                    [*row["class_counts"], round(row["valid_share"] * row["height"] * row["width"])]
                    for group in of_file
                    for row in self._read(file, group, _COUNT_COLUMNS).to_pylist()
                ]
            return np.sum(rows, axis=0, dtype=np.int64)

        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            zero = np.zeros(self.classes.n_classes + 1, np.int64)
            counts = sum(pool.map(count, by_file), start=zero)
        return counts[:-1], int(counts[-1])

    @property
    def _pixel_columns(self) -> list[str]:
        of_bands = [] if self.recipe.scene.sees_colors else _BAND_COLUMNS
        return [*_SMALL_COLUMNS, *_PIXEL_COLUMNS, *of_bands]

    def _decode(
        self, table: pa.Table, file: str, images: NDArray[Any], labels: NDArray[np.uint8]
    ) -> None:
        size = labels.shape[1]
        is_colors = self.recipe.scene.sees_colors
        is_soft = labels.ndim == 4
        large = {*_PIXEL_COLUMNS, "valid", "soft_label"} & set(table.column_names)
        rows = table.drop_columns(sorted(large)).to_pylist()
        # Buffers are looked at where they are; as Python bytes they would be copied once more.
        for index, row in enumerate(rows):
            height, width = row["height"], row["width"]
            if max(height, width) > size:
                raise ShardError(
                    f"{self.folder}/{file} has tiles of {height} x {width} pixels, the recipe asks"
                    f" for {size}; label again or correct its key 'tiles.size'."
                )
            if (height, width) != (size, size):
                images[index] = 0 if is_colors else np.nan
                labels[index] = self.classes.nodata

            def cell(
                column: str, dtype: Any, shape: tuple[int, ...], row: Any = row, index: int = index
            ) -> NDArray[Any]:
                return self._checked(table[column][index], row, column, file, dtype, shape)

            there = np.s_[index, :height, :width]
            if is_soft:
                labels[there] = cell("soft_label", np.uint8, (height, width, labels.shape[3]))
            else:
                labels[there] = cell("label", np.uint8, (height, width))
            shape = (height, width, len(self.bands))
            if is_colors:
                images[there] = cell("image", np.uint8, shape)
                continue
            numbers = cell("image", row["dtype"], shape)
            valid = np.ones(shape, np.bool_)
            if table["valid"][index].is_valid:
                bits = cell("valid", np.uint8, (-(-valid.size // 8),))
                valid = np.unpackbits(bits, count=valid.size).view(np.bool_).reshape(shape)
            images[there] = physical_values(numbers, valid, row["scales"], row["offsets"])

    def _checked(
        self,
        cell: pa.BinaryScalar,
        row: dict[str, Any],
        column: str,
        file: str,
        dtype: Any,
        shape: tuple[int, ...],
    ) -> NDArray[Any]:
        """Content of a cell as an array; ShardError unless its checksum is right."""
        content = cell.as_buffer()
        right_size = (
            content is not None and len(content) == np.prod(shape) * np.dtype(dtype).itemsize
        )
        if not right_size or google_crc32c.value(content) != row[f"{column}_crc32c"]:
            raise ShardError(
                f"{self.folder}/{file} is damaged (checksum of {column}); label again."
            )
        return np.frombuffer(content, dtype).reshape(shape)

    def _groups_of(self, name: str) -> list[RowGroup]:
        with self._open_file(name) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        # A group has tiles of one scene, so either end of its range of ids is its id.
        ids = [group.column(_SCENE_COLUMN).statistics for group in groups]
        if any(known is None or known.min != known.max for known in ids):
            raise ShardError(
                f"{self.folder}/{name} doesn't say which scene its tiles are of; label again."
            )
        return [
            RowGroup(name, number, known.min, group.num_rows)
            for number, (group, known) in enumerate(zip(groups, ids, strict=True))
        ]

    def _open_file(self, name: str) -> pq.ParquetFile:
        try:
            # Columns that lie together come with one request.
            return pq.ParquetFile(self.folder.open(name), pre_buffer=True)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def _read(self, file: pq.ParquetFile, group: RowGroup, columns: list[str]) -> pa.Table:
        try:
            table = file.read_row_group(group.number, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(group.file, error) from None
        return table

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
        if content["format"] not in READABLE_FORMATS:
            raise ShardError(
                f"{folder} was made by another version of Polynya (format {content['format']}, this"
                f" version reads {', '.join(map(str, READABLE_FORMATS))}); label its scenes again"
                " into another folder."
            )
        recipe = parse_recipe(content["recipe"], source=description)
    except (ValueError, KeyError):
        raise ShardError(f"{description} is damaged; label again.") from None
    files = {r.scene_id: r.file_names for r in read_manifest(folder) if r.file_names}
    if not files:
        raise ShardError(
            f"{folder} holds no labelled tile (see {MANIFEST_FILE}); label other scenes."
        )
    return ShardSet(folder, recipe, files)

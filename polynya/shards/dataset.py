"""Shards: labelled tiles on disk or in an object store, as a Parquet data set.

    OUT/_dataset.json            recipe, classes, version
    OUT/_manifest.csv            one row per scene: its content, status, files and counts
    OUT/_dropped.json            tiles that readers leave out, if there are any
    OUT/NAME-000.parquet         tiles of some rows of a large scene, or of several small scenes

File names and bytes depend only on the recipe and the content of scenes, not on the worker: a
repeated task replaces its file by the same bytes. Files that the manifest doesn't name don't count.
See docs/architecture.md, "Shards".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.errors import ShardError, reason_of
from polynya.rasters.scaling import physical_values
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.shards.cells import checked_array, checked_valid
from polynya.shards.dropped import DROPPED_FILE, NOTHING_DROPPED, Dropped, read_dropped
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
"""Files opened at the same time; reading their ends is mostly waiting in an object store."""


@dataclass(frozen=True)
class RowGroup:
    """Consecutive tiles of one scene: the smallest part of a file that can be read."""

    file: str
    number: int
    """0-based number of the group in the file."""
    scene_id: str
    tiles: int
    """Number of tiles, without those that are left out."""
    kept: tuple[int, ...] | None = None
    """0-based rows of these tiles in the group; None for all rows."""


@dataclass(frozen=True)
class StoredTile:
    """One tile as stored in a shard."""

    scene_id: str
    row: int
    """Row of its upper left corner in the scene."""
    col: int
    """Column of its upper left corner in the scene."""
    image: NDArray[Any]
    """(H, W, bands): uint8 colours, 0 for nodata; or float32 values of bands, NaN for missing
    values."""
    label: NDArray[np.uint8]
    """(H, W), class codes."""
    veiled_share: float | None
    """Share of the valid pixels under cloud or shadow; None if the label source doesn't know it."""


@dataclass(frozen=True)
class ShardSet:
    """A finished data set of labelled tiles."""

    folder: Folder
    recipe: Recipe
    """The recipe that made the labels."""
    files: dict[str, tuple[str, ...]]
    """Names of the Parquet files with tiles of each scene, by scene id in order."""
    dropped: Dropped = NOTHING_DROPPED
    """Tiles that are left out: no method of this class reads or counts them."""

    @property
    def classes(self) -> ClassScheme:
        return self.recipe.classes

    @property
    def scene_ids(self) -> tuple[str, ...]:
        return tuple(self.files)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands in the images."""
        return self.recipe.scene.seen_bands

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """uint8 for colours; float32 for other bands, with NaN for missing values."""
        return np.dtype(np.uint8 if self.recipe.scene.sees_colors else np.float32)

    @property
    def label_channels(self) -> tuple[int, ...]:
        """Last axes of labels for training: () for hard labels, (C,) for soft labels."""
        return (self.classes.n_classes,) if self.recipe.label.soft else ()

    def check_scheme(self, classes: ClassScheme) -> None:
        """Raise ShardError unless the labels have these classes."""
        if self.classes != classes:
            raise ShardError(
                f"The shards in {self.folder} have the classes of '{self.classes.name}'"
                f" ({', '.join(self.classes.names)}), the recipe has those of '{classes.name}'"
                f" ({', '.join(classes.names)}); label again with this recipe or correct its"
                " key 'classes'."
            )

    def row_groups(self, scene_ids: Sequence[str]) -> list[RowGroup]:
        """Find the row groups of some scenes, in the order of scenes, then files, then groups.

        Only the end of each file is read, where Parquet stores the metadata of groups. Groups of
        which every tile is dropped are left out.

        Raises:
            ShardError: A file is missing or damaged.
        """
        unread = self.dropped.whole_files
        files = {scene: [n for n in self.files[scene] if n not in unread] for scene in scene_ids}
        names = list(dict.fromkeys(name for of_scene in files.values() for name in of_scene))
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._groups_of, names), strict=True))
        return [
            group
            for scene in scene_ids
            for name in files[scene]
            for group in found[name]
            if group.scene_id == scene
        ]

    def read_groups(
        self, groups: Sequence[RowGroup], images: NDArray[Any], labels: NDArray[np.uint8]
    ) -> None:
        """Decode tiles into arrays and check their checksums; edge tiles are padded with nodata.

        Args:
            groups: From `row_groups`; a file is opened once for consecutive groups.
            images: Array to fill, (N, size, size, bands) of `image_dtype`; N is the number of tiles
                in all groups. Nodata becomes 0, and missing values of bands become NaN.
            labels: Array to fill, uint8 (N, size, size), or (N, size, size, C) for soft labels.
                Nodata becomes the scheme's nodata code.

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
        """Yield single tiles, each with its own size and its place in the scene.

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
        """Read the tiles of some scenes into new arrays; see `read_groups`.

        Args:
            scene_ids: Ids of the scenes, in the wanted order.
            size: Edge of a tile in pixels, at least the edge of tiles in the shards.

        Returns:
            Images (N, size, size, bands) of `image_dtype`. Labels, uint8 (N, size, size); soft
            labels (N, size, size, C), see `polynya.shards.soft_labels`.
        """
        groups = self.row_groups(scene_ids)
        tiles = sum(group.tiles for group in groups)
        images = np.empty((tiles, size, size, len(self.bands)), self.image_dtype)
        labels = np.empty((tiles, size, size, *self.label_channels), np.uint8)
        self.read_groups(groups, images, labels)
        return images, labels

    def columns(self, groups: Sequence[RowGroup], names: Sequence[str]) -> pa.Table:
        """Read columns of tiles without reading their pixels.

        Args:
            groups: From `row_groups`; the rows have the same order.
            names: Names of columns of `polynya.shards.schema.SCHEMA`.

        Raises:
            ShardError: A file is missing or damaged.
        """
        by_file = [list(of_file) for _, of_file in groupby(groups, key=lambda group: group.file)]

        def read(of_file: list[RowGroup]) -> pa.Table:
            with self._open_file(of_file[0].file) as file:
                return pa.concat_tables([self._read(file, group, list(names)) for group in of_file])

        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            return pa.concat_tables(
                [SCHEMA.empty_table().select(list(names)), *pool.map(read, by_file)]
            )

    def class_counts(
        self, scene_ids: Sequence[str], tiles: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int64], int]:
        """Count the labels in the tiles of some scenes without reading pixels.

        Args:
            scene_ids: Ids of the scenes.
            tiles: Numbers of the tiles to count, among the tiles of these scenes; None: all.

        Returns:
            int64 (C,), pixels of each class; and the number of pixels with a label. With masks, a
            pixel may count for several classes or for none.
        """
        table = self.columns(self.row_groups(scene_ids), _COUNT_COLUMNS)
        if tiles is not None:
            table = table.take(pa.array(tiles, pa.int64()))
        counts = np.zeros(self.classes.n_classes + 1, np.int64)
        for row in table.to_pylist():
            counts[:-1] += row["class_counts"]
            counts[-1] += round(row["valid_share"] * row["height"] * row["width"])
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
        # Arrow's buffers are used directly, because Python bytes would need a copy.
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

            there = np.s_[index, :height, :width]
            cells = {column: table[column][index] for column in large}
            try:
                if is_soft:
                    shape = (height, width, labels.shape[3])
                    labels[there] = checked_array(
                        cells["soft_label"], row, "soft_label", np.uint8, shape
                    )
                else:
                    labels[there] = checked_array(
                        cells["label"], row, "label", np.uint8, (height, width)
                    )
                shape = (height, width, len(self.bands))
                if is_colors:
                    images[there] = checked_array(cells["image"], row, "image", np.uint8, shape)
                    continue
                numbers = checked_array(cells["image"], row, "image", row["dtype"], shape)
                valid = checked_valid(cells["valid"], row, shape)
            except ValueError as error:
                raise ShardError(
                    f"{self.folder}/{file} is damaged ({error}); label again."
                ) from None
            images[there] = physical_values(numbers, valid, row["scales"], row["offsets"])

    def _groups_of(self, name: str) -> list[RowGroup]:
        with self._open_file(name) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        # All tiles of a group have one scene id, so it is the minimum and the maximum of the ids.
        ids = [group.column(_SCENE_COLUMN).statistics for group in groups]
        if any(known is None or known.min != known.max for known in ids):
            raise ShardError(
                f"{self.folder}/{name} doesn't say which scene its tiles belong to; label again."
            )
        left_out = self.dropped.indices().get(name, frozenset())
        found = []
        first = 0
        for number, (group, known) in enumerate(zip(groups, ids, strict=True)):
            kept = tuple(row for row in range(group.num_rows) if first + row not in left_out)
            is_whole = len(kept) == group.num_rows
            if kept:
                found.append(
                    RowGroup(name, number, known.min, len(kept), None if is_whole else kept)
                )
            first += group.num_rows
        return found

    def _open_file(self, name: str) -> pq.ParquetFile:
        try:
            # Adjacent columns are read with one request.
            return pq.ParquetFile(self.folder.open(name), pre_buffer=True)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def _read(self, file: pq.ParquetFile, group: RowGroup, columns: list[str]) -> pa.Table:
        try:
            table = file.read_row_group(group.number, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(group.file, error) from None
        if group.kept is None:
            return table
        # Slices share the memory of the table.
        return pa.concat_tables([table.slice(row, 1) for row in group.kept])

    def _unreadable(self, name: str, error: Exception) -> ShardError:
        return ShardError(f"{self.folder}/{name} can't be read ({reason_of(error)}); label again.")


def open_shards(place: str | Path | Folder, *, with_dropped: bool = False) -> ShardSet:
    """Open a finished data set, without the tiles that `polynya inspect --drop` left out.

    Args:
        place: Path or URI of the folder.
        with_dropped: Read the dropped tiles too.

    Raises:
        ShardError: There is no such folder, it has no finished data set or no tiles, or the list of
            dropped tiles doesn't fit it.
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
    rows = [row for row in read_manifest(folder) if row.file_names]
    if not rows:
        raise ShardError(
            f"{folder} holds no labelled tile (see {MANIFEST_FILE}); label other scenes."
        )
    dropped = NOTHING_DROPPED if with_dropped else read_dropped(folder)
    files = {row.scene_id: row.file_names for row in dropped.remaining(rows)}
    if not files:
        raise ShardError(
            f"Every tile of {folder} is dropped (see {DROPPED_FILE}); bring them back with:"
            f" polynya inspect {folder} --restore"
        )
    return ShardSet(folder, recipe, files, dropped)

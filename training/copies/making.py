"""Shards with copies: tiles as they are, and changed ones of those that train, scene by scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.attempt import Failure, attempt
from polynya.grid import Tile
from polynya.progress import track
from polynya.scenes.band_set import BandPixels
from polynya.scenes.scene import BandSet, InputBand, Scene
from polynya.shards.dataset import RowGroup, ShardSet, StoredTile
from polynya.shards.lineage import copy_id, copy_source
from polynya.shards.manifest import SceneResult, read_manifest
from polynya.shards.schema import SCHEMA
from polynya.shards.writer import LabelledTile, ShardWriter, tile_row
from polynya.splits.folds import TRAINS_ONLY
from polynya.splits.split_file import Key, TileFold, TileSplit
from polynya.storage.folder import Folder
from training.copies.changes import TileChanges

_COLUMNS = ["scene_id", "row", "col", "bands", "dtype", "scales", "offsets", "label_source"]


@dataclass(frozen=True)
class Copied:
    """What was written."""

    scenes: list[SceneResult]
    """Rows of the manifest, originals and copies."""
    samples: dict[tuple[Key, int], StoredTile]
    """Tiles for a picture, by the original's key and the number of the copy; 0: the original."""
    failures: list[str]
    """Why scenes are missing, with all of their copies."""


def write_copies(
    shards: ShardSet,
    split: TileSplit,
    changes: TileChanges,
    copies: int,
    folder: Folder,
    sampled: set[Key],
) -> Copied:
    """Write all tiles, and copies of those that train for fold 0.

    Args:
        shards: The originals.
        split: Says which of them train.
        changes: What a copy differs by.
        copies: Number of copies of a tile.
        folder: Open folder of the new data set.
        sampled: Keys of tiles to keep for a picture.

    Returns:
        The rows of the manifest, and samples. A scene that can't be read has no row.
    """
    rows = {row.scene_id: row for row in read_manifest(shards.folder)}
    made = Copied([], {}, [])
    failed: set[str] = set()
    for number in range(copies + 1):
        writer = ShardWriter(folder, f"copy{number}" if number else "original")
        results: list[SceneResult] = []
        about = f"Making copy {number} of {copies}" if number else "Taking over tiles"
        for name in track(shards.scene_ids, about):
            if name in failed:
                continue
            one = _Scene(shards, split, changes, rows[name], number, sampled)
            done = attempt(partial(one.write, writer, made.samples), rows[name].uri, "copied")
            if isinstance(done, Failure):
                made.failures.append(done.reason)
                failed.add(name)
            elif done.labelled:
                results.append(done)
        writer.close()
        made.scenes.extend(
            replace(row, file_sums=" ".join(writer.sums[file] for file in row.file_names))
            for row in results
        )
    kept = {row.scene_id for row in made.scenes} - {
        name for one in failed for name in (one, *(copy_id(one, n) for n in range(1, copies + 1)))
    }
    return replace(made, scenes=[row for row in made.scenes if row.scene_id in kept])


def split_with_copies(split: TileSplit, scenes: list[SceneResult], copies: int) -> TileSplit:
    """Add the copies to a split: they only train, in the group of their original.

    Args:
        split: Split of the originals with one fold.
        scenes: Scenes that were written.
        copies: Number of copies of a tile.
    """
    there = {scene.scene_id for scene in scenes}
    tiles = {key: tile for key, tile in split.tiles.items() if key[0] in there}
    for number in range(1, copies + 1):
        for (scene, row, col), tile in split.tiles.items():
            name = copy_id(scene, number)
            if name in there and split.trains((scene, row, col), 0):
                tiles[name, row, col] = TileFold(tile.group, TRAINS_ONLY)
    return replace(split, tiles=tiles)


@dataclass(frozen=True)
class _Scene:
    """The work on one scene for one number of a copy; 0: the original itself."""

    shards: ShardSet
    split: TileSplit
    changes: TileChanges
    row: SceneResult
    number: int
    sampled: set[Key]

    def write(self, writer: ShardWriter, samples: dict[tuple[Key, int], StoredTile]) -> SceneResult:
        """Add its tiles to a file; the result has no checksums of files yet."""
        files: dict[str, None] = {}
        counts, tiles, pixels = np.zeros(self.shards.classes.n_classes, np.int64), 0, 0
        for group in self.shards.row_groups([self.row.scene_id]):
            parts = self._copies(group, samples) if self.number else self._originals(group, samples)
            for part in parts:
                files[writer.add(part)] = None
                counts += part["class_counts"]
                tiles += 1
                pixels += round(part["valid_share"] * part["height"] * part["width"])
        if not self.number:
            # Tiles that `polynya inspect` left out aren't taken over.
            missing = self.row.labelled - tiles
            return replace(
                self.row, files=" ".join(files), labelled=tiles, nodata=self.row.nodata + missing
            )
        shares = zip(self.shards.classes.names, counts.tolist(), strict=True)
        return SceneResult(
            copy_id(self.row.scene_id, self.number), self.row.uri, "done",
            height=self.row.height, width=self.row.width, tiles=tiles, labelled=tiles,
            files=" ".join(files), valid_pixels=pixels,
            class_pixels=" ".join(f"{name}={count}" for name, count in shares),
            digest=self.row.digest,
        )  # fmt: skip

    def _originals(
        self, group: RowGroup, samples: dict[tuple[Key, int], StoredTile]
    ) -> Iterator[dict[str, Any]]:
        for tile in self.shards.tiles([group]):  # Also checks the checksums.
            key = (tile.scene_id, tile.row, tile.col)
            if key in self.sampled:
                samples[key, 0] = tile
        yield from self.shards.columns([group], SCHEMA.names).to_pylist()

    def _copies(
        self, group: RowGroup, samples: dict[tuple[Key, int], StoredTile]
    ) -> Iterator[dict[str, Any]]:
        rows = self.shards.columns([group], _COLUMNS).to_pylist()
        keys: list[Key] = [(row["scene_id"], row["row"], row["col"]) for row in rows]
        if not any(self.split.trains(key, 0) for key in keys):
            return
        images, labels = self._padded(group)
        for row, key, image, label in zip(rows, keys, images, labels, strict=True):
            if not self.split.trains(key, 0):
                continue
            image, codes, soft = self.changes.change(image, label, key, self.number)
            name = copy_id(key[0], self.number)
            if key in self.sampled:
                samples[key, self.number] = StoredTile(name, *key[1:], image, codes, None)
            yield self._row(row, Tile(*key[1:], *codes.shape), image, codes, soft)

    def _padded(self, group: RowGroup) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Images (N, S, S, bands) and labels of a group, as training sees them."""
        size = self.shards.recipe.tiles.size
        shape = (group.tiles, size, size)
        images = np.zeros((*shape, len(self.shards.bands)), self.shards.image_dtype)
        labels = np.zeros((*shape, *self.shards.label_channels), np.uint8)
        self.shards.read_groups([group], images, labels)
        return images, labels

    def _row(
        self,
        row: dict[str, Any],
        tile: Tile,
        image: NDArray[Any],
        codes: NDArray[np.uint8],
        soft: NDArray[np.uint8] | None,
    ) -> dict[str, Any]:
        """Row of the schema for a copy; it has no place on the ground any more."""
        recipe, inputs, band_set = self.shards.recipe, None, None
        if not recipe.scene.sees_colors:
            band_set = _band_set(row)
            inputs = _numbers(image, band_set)
        scene = Scene(
            id=copy_id(row["scene_id"], self.number), uri=self.row.uri, height=self.row.height,
            width=self.row.width, crs=None, transform=None, dtype=row["dtype"],
            band_indexes=(1, 2, 3), scale=1.0, offset=0.0, stretch=recipe.scene.stretch,
            zero_is_nodata=False, inputs=band_set,
        )  # fmt: skip
        made = LabelledTile(tile, image, codes, soft=soft, inputs=inputs)
        return tile_row(scene, made, recipe, copy_source(row["label_source"]))


def _band_set(row: dict[str, Any]) -> BandSet:
    """Bands of a stored tile."""
    names, scales, offsets = row["bands"], row["scales"], row["offsets"]
    bands = [
        InputBand(name, number, scale, offset)
        for number, (name, scale, offset) in enumerate(zip(names, scales, offsets, strict=True), 1)
    ]
    return BandSet(tuple(bands), row["dtype"])


def _numbers(values: NDArray[np.float32], band_set: BandSet) -> BandPixels:
    """Numbers as they are stored, from values of bands (H, W, bands) with NaN where missing."""
    valid = np.isfinite(values)
    scales, offsets = (
        np.array([getattr(band, key) for band in band_set.bands]) for key in ("scale", "offset")
    )
    numbers = np.where(valid, (values.astype(np.float64) - offsets) / scales, 0)
    dtype = np.dtype(band_set.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        numbers = np.clip(np.rint(numbers), limits.min, limits.max)
    return BandPixels(numbers.astype(dtype), valid)

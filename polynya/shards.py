"""Shards: labelled tiles on disk, as a Parquet data set partitioned by scene.

    OUT/_dataset.json            recipe, classes, version
    OUT/_manifest.csv            one row a scene: done or failed, with counts that add up
    OUT/scene=ID/part-00000.parquet

One file holds up to `FILE_BYTES` of tiles of one scene, in row-major order. Names and bytes depend
on scene and recipe only, never on who wrote them: a task that is repeated replaces its file by the
same bytes. See docs/architecture.md, "Shards".
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya import __version__
from polynya.classes import ClassScheme
from polynya.errors import OutputError, ShardError
from polynya.files import remove_partial, whole_folder, write_text
from polynya.grid import Tile
from polynya.recipe import Recipe, parse_recipe
from polynya.scenes import BANDS, Scene

DATASET_FILE = "_dataset.json"
MANIFEST_FILE = "_manifest.csv"

FILE_BYTES = 128 * 2**20
"""Pixels and labels of one file before compression: large enough for object stores, small enough
for a worker to hold."""

_ROWS_PER_GROUP = 64
_PARTIAL = "_partial-"

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


@dataclass(frozen=True)
class SceneResult:
    """A row of the manifest: what became of one scene."""

    scene_id: str
    uri: str
    status: str
    """'done' or 'failed'."""
    reason: str = ""
    """Why it failed, one sentence."""
    height: int = 0
    width: int = 0
    tiles: int = 0
    """Tiles of the grid: labelled + nodata."""
    labelled: int = 0
    """Tiles written."""
    nodata: int = 0
    """Tiles left out because too little of them is valid."""
    files: int = 0
    valid_pixels: int = 0
    veiled_pixels: int | None = None
    """Valid pixels under cloud or shadow; None where the method can't tell."""
    thick_cloud_pixels: int | None = None
    """Valid pixels where cloud hides the ground; nodata if the recipe says so."""
    uncertain_pixels: int | None = None
    """Valid pixels made nodata because their label is unsure."""
    class_pixels: str = ""
    """Pixels of each class in the written tiles, as 'name=count' separated by blanks."""


@dataclass(frozen=True)
class LabelledTile:
    """One tile with its label, ready to be written."""

    tile: Tile
    image: NDArray[np.uint8]
    """(H, W, 3), 0 where nodata."""
    label: NDArray[np.uint8]
    """(H, W), class codes."""
    veiled_share: float | None = None
    """Share of the valid pixels under cloud or shadow; None where the label source can't tell."""


def tile_row(scene: Scene, labelled: LabelledTile, recipe: Recipe, source: str) -> dict[str, Any]:
    """Row of `SCHEMA` for one tile; `source` says how the label was made."""
    tile, classes = labelled.tile, recipe.classes
    image, label = labelled.image.tobytes(), labelled.label.tobytes()
    transform = scene.tile_transform(tile)
    return {
        "scene_id": scene.id,
        "row": tile.row,
        "col": tile.col,
        "height": tile.height,
        "width": tile.width,
        "bands": list(BANDS),
        "dtype": "uint8",
        "image": image,
        "label": label,
        "crs": scene.crs,
        "transform": None if transform is None else list(transform),
        "valid_share": float(np.mean(labelled.label != classes.nodata)),
        "class_counts": classes.count(labelled.label),
        "veiled_share": labelled.veiled_share,
        "label_source": source,
        "recipe_digest": recipe.labels_digest(),
        "image_crc32c": google_crc32c.value(image),
        "label_crc32c": google_crc32c.value(label),
    }


def write_scene_shards(folder: Path, scene: Scene, rows: Iterable[dict[str, Any]]) -> int:
    """Write the tiles of one scene and return the number of files.

    All files of the scene appear at once: they are written to a folder beside the final one, which
    is renamed when complete. A reader never sees half a scene.

    Args:
        folder: The data set.
        scene: Whose tiles they are.
        rows: From `tile_row`, in row-major order.
    """
    files = 0
    with whole_folder(folder / f"scene={scene.id}", f"{_PARTIAL}{scene.id}-") as partial:
        for batch in _batches_of_bytes(rows, FILE_BYTES):
            table = pa.Table.from_pylist(batch, schema=SCHEMA)
            pq.write_table(
                table,
                partial / f"part-{files:05d}.parquet",
                compression="zstd",
                row_group_size=_ROWS_PER_GROUP,
                use_dictionary=False,
            )
            files += 1
    return files


def _batches_of_bytes(rows: Iterable[dict[str, Any]], limit: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row["image"]) + len(row["label"])
        if size >= limit:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def start_dataset(folder: str | Path, recipe: Recipe, overwrite: bool = False) -> Path:
    """Make the folder of a new data set, with its recipe.

    Raises:
        OutputError: It holds a finished data set and `overwrite` is False, or something else, or
            can't be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / DATASET_FILE).is_file():
                raise OutputError(
                    f"{folder} holds other files; give an empty or new folder as --out."
                )
            if (folder / MANIFEST_FILE).is_file() and not overwrite:
                raise OutputError(
                    f"{folder} holds finished shards; add --overwrite to replace them."
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": 1,
            "polynya_version": __version__,
            "recipe_digest": recipe.labels_digest(),
            "recipe": recipe.model_dump(mode="json"),
        }
        write_text(folder / DATASET_FILE, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise OutputError(
            f"Can't write to {folder}: {error.strerror}; choose another --out."
        ) from None
    return folder


def finish_dataset(folder: Path, results: Sequence[SceneResult]) -> None:
    """Write the manifest, ordered by scene; it says that the data set is finished.

    What killed tasks left unfinished goes: all results are here, so nobody needs it any more.

    Raises:
        OutputError: The manifest can't be written.
    """
    remove_partial(folder, _PARTIAL)
    names = [field.name for field in fields(SceneResult)]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(result) for result in sorted(results, key=lambda r: r.scene_id))
    write_text(folder / MANIFEST_FILE, table.getvalue())


@dataclass(frozen=True)
class ShardSet:
    """A finished data set of labelled tiles."""

    folder: Path
    recipe: Recipe
    """The recipe that made the labels."""
    files: dict[str, tuple[Path, ...]]
    """Parquet files of each scene, scenes in order."""

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
        for scene in scene_ids:
            for file in self.files[scene]:
                for row in _read_rows(file):
                    image, label = self._decode(row, file, size)
                    images.append(image)
                    labels.append(label)
        if not images:
            empty = np.empty((0, size, size), np.uint8)
            return np.empty((0, size, size, len(BANDS)), np.uint8), empty
        return np.stack(images), np.stack(labels)

    def _decode(
        self, row: dict[str, Any], file: Path, size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        height, width, bands = row["height"], row["width"], len(row["bands"])
        if max(height, width) > size:
            raise ShardError(
                f"{file} has tiles of {height} x {width} pixels, the recipe asks for {size}; label"
                " again or mend its key 'tiles.size'."
            )
        image = np.zeros((size, size, bands), np.uint8)
        image[:height, :width] = np.frombuffer(row["image"], np.uint8).reshape(height, width, bands)
        label = np.full((size, size), self.classes.nodata, np.uint8)
        label[:height, :width] = np.frombuffer(row["label"], np.uint8).reshape(height, width)
        return image, label


def _read_rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(
                _ROWS_PER_GROUP, columns=_READ_COLUMNS + _CRC_COLUMNS
            ):
                for row in batch.to_pylist():
                    for name in ("image", "label"):
                        if google_crc32c.value(row[name]) != row[f"{name}_crc32c"]:
                            raise ShardError(
                                f"{file} is damaged (checksum of {name}); label again."
                            )
                    yield row
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{file} can't be read ({error}); label again.") from None


def open_shards(folder: str | Path) -> ShardSet:
    """Open a finished data set.

    Raises:
        ShardError: No such folder, no finished data set in it, or no tiles.
    """
    folder = Path(folder)
    description = folder / DATASET_FILE
    if not description.is_file() or not (folder / MANIFEST_FILE).is_file():
        raise ShardError(
            f"{folder} holds no finished shards; make them with: polynya label --scenes ... --out"
            f" {folder}"
        )
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        recipe = parse_recipe(content["recipe"], source=str(description))
    except (ValueError, KeyError):
        raise ShardError(f"{description} is damaged; label again.") from None
    files = {
        path.name.removeprefix("scene="): tuple(sorted(path.glob("part-*.parquet")))
        for path in sorted(folder.glob("scene=*"))
    }
    if not files:
        raise ShardError(
            f"{folder} holds no labelled tile (see {MANIFEST_FILE}); label other scenes."
        )
    return ShardSet(folder, recipe, files)

"""Writing shards: rows of labelled tiles into Parquet files, and the data set around them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya import __version__
from polynya.errors import OutputError
from polynya.grid import Tile
from polynya.manifest import MANIFEST_FILE, SceneResult, manifest_text
from polynya.recipe import Recipe
from polynya.scenes import BANDS, Scene
from polynya.shards import DATASET_FILE, FILE_BYTES, FORMAT, ROWS_PER_GROUP, SCHEMA
from polynya.storage import Folder

WORK_FOLDER = "_work"
"""What tasks leave for each other, in the data set; gone when it is finished."""
_SHARD = re.compile(r"[^/]+-\d{3}(\.[0-9a-f]{32})?\.parquet")
"""Names of shards, whole ones and, with a random part, those that a killed task began."""


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
        "valid_share": np.count_nonzero(labelled.label != classes.nodata) / labelled.label.size,
        "class_counts": classes.count(labelled.label),
        "veiled_share": labelled.veiled_share,
        "label_source": source,
        "recipe_digest": recipe.labels_digest(),
        "image_crc32c": google_crc32c.value(image),
        "label_crc32c": google_crc32c.value(label),
    }


class ShardWriter:
    """Writes the tiles of one or more scenes into one file, or more where they are many."""

    def __init__(self, folder: Folder, name: str) -> None:
        """`name` is that of the files, without the number and ending that are added."""
        self._folder = folder
        self._name = name
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._sink: pa.BufferOutputStream | None = None
        self._writer: pq.ParquetWriter | None = None
        self.files: list[str] = []
        """Files written so far, the one in work included."""

    def add(self, row: dict[str, Any]) -> str:
        """Add a row from `tile_row`, in row-major order; returns the file that it goes to."""
        if self._rows and row["scene_id"] != self._rows[-1]["scene_id"]:
            self._end_group()  # A group has tiles of one scene, so that a reader skips others.
        if self._bytes >= FILE_BYTES:
            self._end_file()
        if self._writer is None:
            self._sink = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(
                self._sink, SCHEMA, compression="zstd", use_dictionary=False
            )
            self.files.append(f"{self._name}-{len(self.files):03d}.parquet")
        self._rows.append(row)
        self._bytes += len(row["image"]) + len(row["label"])
        if len(self._rows) >= ROWS_PER_GROUP:
            self._end_group()
        return self.files[-1]

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._end_file()

    def _end_group(self) -> None:
        if self._rows and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def _end_file(self) -> None:
        assert self._writer is not None
        assert self._sink is not None
        self._end_group()
        self._writer.close()
        self._folder.write(self.files[-1], self._sink.getvalue())
        self._writer, self._sink, self._bytes = None, None, 0


def start_dataset(place: str | Path | Folder, recipe: Recipe, overwrite: bool = False) -> Folder:
    """Make the folder of a data set, with its recipe, or take up one that is there.

    A data set of the same recipe, unfinished or finished, is left as it is: what is missing can be
    added.

    Args:
        place: Path or URI.
        recipe: What the labels depend on.
        overwrite: Remove what is there.

    Raises:
        OutputError: It holds shards of another recipe and `overwrite` is False, or something else,
            or can't be written.
    """
    folder = Folder.at(place)
    try:
        if folder.is_local and Path(folder.place).exists() and not Path(folder.place).is_dir():
            raise OutputError(f"{folder} is a file; choose another --out.")
        names = folder.names()
        if names and DATASET_FILE not in names:
            raise OutputError(f"{folder} holds other files; give an empty or new folder as --out.")
        if names and not overwrite:
            _check_same_labels(folder, recipe)
            return folder
        # The recipe goes last, or a folder that is killed here holds "other files".
        folder.remove(name for name in names if _is_ours(name) and name != DATASET_FILE)
        content = {
            "format": FORMAT,
            "polynya_version": __version__,
            "recipe_digest": recipe.labels_digest(),
            "recipe": recipe.model_dump(mode="json"),
        }
        folder.write(DATASET_FILE, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(
            f"Can't write to {folder}: {error.strerror or error}; choose another --out."
        ) from None
    return folder


def _check_same_labels(folder: Folder, recipe: Recipe) -> None:
    try:
        content = json.loads(folder.read(DATASET_FILE))
        same = content["format"] == FORMAT and content["recipe_digest"] == recipe.labels_digest()
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise OutputError(
            f"{folder} holds shards of another recipe or version; add --overwrite to replace them,"
            " or choose another --out."
        )


def finish_dataset(folder: Folder, results: Sequence[SceneResult]) -> None:
    """Write the manifest, which says what counts, and remove what doesn't.

    Args:
        folder: From `start_dataset`.
        results: All scenes of the data set.

    Raises:
        OutputError: The manifest can't be written.
    """
    folder.write(MANIFEST_FILE, manifest_text(results).encode())
    kept = {DATASET_FILE, MANIFEST_FILE}
    kept.update(name for result in results for name in result.file_names)
    folder.remove(name for name in folder.names() if _is_ours(name) and name not in kept)


def _is_ours(name: str) -> bool:
    """Whether a file is of the data set; what else somebody keeps in the folder is left alone."""
    in_work = name.startswith(f"{WORK_FOLDER}/")
    return in_work or name in (DATASET_FILE, MANIFEST_FILE) or bool(_SHARD.fullmatch(name))

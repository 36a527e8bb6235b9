"""Writing shards: rows of labelled tiles into Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import COLORS
from polynya.scenes.band_set import BandPixels
from polynya.scenes.scene import BandSet, Scene
from polynya.shards.schema import FILE_BYTES, ROWS_PER_GROUP, SCHEMA
from polynya.storage.folder import Folder


@dataclass(frozen=True)
class LabelledTile:
    """One tile with its label, ready for writing."""

    tile: Tile
    image: NDArray[np.uint8]
    """(H, W, 3), 0 for nodata."""
    label: NDArray[np.uint8]
    """(H, W), class codes."""
    veiled_share: float | None = None
    """Share of the valid pixels under cloud or shadow; None if the label source doesn't know it."""
    soft: NDArray[np.uint8] | None = None
    """(H, W, C), soft labels (`polynya.shards.soft_labels`); `label` is the most probable label."""
    inputs: BandPixels | None = None
    """Bands that are written instead of the colours, if the recipe names bands."""


def tile_row(scene: Scene, labelled: LabelledTile, recipe: Recipe, source: str) -> dict[str, Any]:
    """Make the row of `SCHEMA` for one tile; `source` says how the label was made."""
    tile, classes = labelled.tile, recipe.classes
    label = labelled.label.tobytes()
    pixels = _color_cells(labelled.image)
    if labelled.inputs is not None and scene.inputs is not None:
        pixels = _band_cells(labelled.inputs, scene.inputs)
    transform = scene.tile_transform(tile)
    return {
        "scene_id": scene.id,
        "row": tile.row,
        "col": tile.col,
        "height": tile.height,
        "width": tile.width,
        "label": label,
        "crs": scene.crs,
        "transform": None if transform is None else list(transform),
        "valid_share": np.count_nonzero(labelled.label != classes.nodata) / labelled.label.size,
        "class_counts": classes.count(labelled.label),
        "veiled_share": labelled.veiled_share,
        "label_source": source,
        "recipe_digest": recipe.labels_digest(),
        "label_crc32c": google_crc32c.value(label),
        **pixels,
        **_soft_cells(labelled.soft),
    }


def _soft_cells(soft: NDArray[np.uint8] | None) -> dict[str, Any]:
    if soft is None:
        return {}
    content = soft.tobytes()
    return {"soft_label": content, "soft_label_crc32c": google_crc32c.value(content)}


def _color_cells(image: NDArray[np.uint8]) -> dict[str, Any]:
    content = image.tobytes()
    return {
        "bands": list(COLORS),
        "dtype": "uint8",
        "image": content,
        "image_crc32c": google_crc32c.value(content),
    }


def _band_cells(inputs: BandPixels, band_set: BandSet) -> dict[str, Any]:
    content = inputs.numbers.tobytes()
    bits = None if inputs.valid.all() else np.packbits(inputs.valid).tobytes()
    there = inputs.valid.sum(axis=(0, 1))
    values = band_set.values(inputs.numbers, inputs.valid).astype(np.float64)
    found = {"minima": np.fmin.reduce, "maxima": np.fmax.reduce}
    extremes = {name: reduce(values, axis=(0, 1)) for name, reduce in found.items()}
    means = np.nansum(values, axis=(0, 1)) / np.maximum(there, 1)
    deviations = np.sqrt(np.nansum((values - means) ** 2, axis=(0, 1)) / np.maximum(there, 1))
    return {
        "bands": list(band_set.names),
        "dtype": band_set.dtype,
        "image": content,
        "image_crc32c": google_crc32c.value(content),
        "valid": bits,
        "valid_crc32c": None if bits is None else google_crc32c.value(bits),
        "scales": [band.scale for band in band_set.bands],
        "offsets": [band.offset for band in band_set.bands],
        "band_pixels": there.tolist(),
        "band_minima": _where(there, extremes["minima"]),
        "band_maxima": _where(there, extremes["maxima"]),
        "band_means": _where(there, means),
        "band_deviations": _where(there, deviations),
    }


def _where(there: NDArray[np.int64], numbers: NDArray[np.float64]) -> list[float | None]:
    """Numbers of the bands, with None for a band without valid pixels."""
    return [float(n) if count else None for count, n in zip(there, numbers, strict=True)]


class ShardWriter:
    """Writes the tiles of one or more scenes into one file, or into several if there are many."""

    def __init__(
        self,
        folder: Folder,
        name: str,
        file_bytes: int = FILE_BYTES,
        rows_per_group: int = ROWS_PER_GROUP,
    ) -> None:
        """Prepare a writer; it writes nothing before the first tile.

        Args:
            folder: Folder of the data set.
            name: Beginning of the file names; a number and the extension are added.
            file_bytes: Bytes of images and labels after which a new file begins.
            rows_per_group: Number of tiles after which a new row group begins.
        """
        self._folder = folder
        self._name = name
        self._file_bytes = file_bytes
        self._rows_per_group = rows_per_group
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._sink: pa.BufferOutputStream | None = None
        self._writer: pq.ParquetWriter | None = None
        self.files: list[str] = []
        """Names of the files so far, including the unfinished one."""
        self.sums: dict[str, str] = {}
        """Bytes and checksum of each finished file, in the form of the manifest."""

    def add(self, row: dict[str, Any]) -> str:
        """Add a row from `tile_row`, in row-major order; returns the name of the row's file."""
        if self._rows and row["scene_id"] != self._rows[-1]["scene_id"]:
            self.end_group()
        if self._bytes >= self._file_bytes:
            self._end_file()
        if self._writer is None:
            self._sink = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(
                self._sink, SCHEMA, compression="zstd", use_dictionary=False
            )
            self.files.append(f"{self._name}-{len(self.files):03d}.parquet")
        self._rows.append(row)
        self._bytes += len(row["image"]) + len(row["label"])
        if len(self._rows) >= self._rows_per_group:
            self.end_group()
        return self.files[-1]

    def close(self) -> None:
        """Write the rest and finish the last file."""
        if self._writer is not None:
            self._end_file()

    def end_group(self) -> None:
        """Encode the rows so far as a group: its tiles have one scene, so readers can skip it."""
        if self._rows and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def _end_file(self) -> None:
        assert self._writer is not None
        assert self._sink is not None
        self.end_group()
        self._writer.close()
        content = self._sink.getvalue()
        self._folder.write(self.files[-1], content)
        self.sums[self.files[-1]] = f"{content.size}:{google_crc32c.value(content):08x}"
        self._writer, self._sink, self._bytes = None, None, 0

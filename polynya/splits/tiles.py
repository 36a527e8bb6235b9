"""What splits need to know of the tiles of shards, without their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polynya.shards.dataset import ShardSet

_COLUMNS = ("scene_id", "row", "col", "height", "width", "crs", "transform", "class_counts")


@dataclass(frozen=True)
class TileTable:
    """N tiles, in the order of the shards: scenes by id, then files, then rows."""

    scenes: tuple[str, ...]
    """Scene id of each tile."""
    boxes: NDArray[np.int64]
    """(N, 4): row and column of the upper left corner in the scene, height and width, in pixels."""
    crs: tuple[str | None, ...]
    """Coordinate system of each tile as text; None if the scene has none."""
    transforms: NDArray[np.float64]
    """(N, 6): affine coefficients a, b, c, d, e, f of each tile; NaN if the scene has none."""
    class_counts: NDArray[np.int64]
    """(N, C): pixels of each class."""

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def keys(self) -> list[tuple[str, int, int]]:
        """Scene id, row and column of each tile, which tell it from all others."""
        places = self.boxes[:, :2].tolist()
        return [(scene, row, col) for scene, (row, col) in zip(self.scenes, places, strict=True)]


def read_tiles(shards: ShardSet) -> TileTable:
    """Read the table of all tiles of a data set.

    Raises:
        ShardError: A file is missing or damaged.
    """
    rows = shards.columns(shards.row_groups(shards.scene_ids), _COLUMNS).to_pylist()
    return TileTable(
        tuple(row["scene_id"] for row in rows),
        np.array([[row[name] for name in _COLUMNS[1:5]] for row in rows], np.int64).reshape(-1, 4),
        tuple(row["crs"] for row in rows),
        np.array([row["transform"] or [np.nan] * 6 for row in rows], np.float64).reshape(-1, 6),
        np.array([row["class_counts"] for row in rows], np.int64),
    )

"""The interface of an exporter, and the labels of whole images, put together from their tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.errors import ShardError
from polynya.grid import Tile
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.shards.cells import checked_array
from polynya.shards.dataset import ShardSet
from polynya.shards.manifest import SceneResult

_COLUMNS = ["row", "col", "height", "width", "label", "label_crc32c", "crs", "transform"]


@dataclass(frozen=True)
class Source:
    """What is exported."""

    shards: ShardSet
    recipe: Recipe
    """Recipe whose split says which tiles validate."""
    scenes: tuple[SceneResult, ...]
    """Rows of the manifest of the scenes with tiles."""

    @property
    def classes(self) -> ClassScheme:
        return self.shards.classes


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image."""

    scene: SceneResult
    labels: NDArray[np.uint8]
    """(H, W), labels of the class scheme; nodata where there is no tile."""
    crs: str | None
    """Coordinate system; None without a place on the ground."""
    transform: tuple[float, ...] | None
    """Affine coefficients (a, b, c, d, e, f) of the image; None without a place on the ground."""


@dataclass(frozen=True)
class Exporter:
    """A kind of data set that is written."""

    name: str
    """Name of the kind and of the module."""
    about: str
    """What is written, for help: lower case, no full stop."""
    load: Callable[[Source], Callable[[SceneResult], Iterator[Any]]]
    """Looks at the whole source, and raises ShardError if the kind can't hold it; returns a
    function that reads a scene in parts, which raises ShardError if that scene can't be held."""
    write: Callable[[Path, Iterator[Any], Source], list[Path]]
    """Writes the parts of all scenes into a folder as they come; returns the files."""
    keeps_nodata: bool = True
    """Whether pixels without a label can be told from those under no mask."""


def read_labels(shards: ShardSet, scene: SceneResult) -> ImageLabels:
    """Read the labels of a whole image.

    Raises:
        ShardError: A tile is damaged.
    """
    labels = np.full((scene.height, scene.width), shards.classes.nodata, np.uint8)
    table = shards.columns(shards.row_groups([scene.scene_id]), _COLUMNS)
    rows = table.drop_columns(["label"]).to_pylist()
    for cell, row in zip(table["label"], rows, strict=True):
        tile = Tile(row["row"], row["col"], row["height"], row["width"])
        try:
            own = checked_array(cell, row, "label", np.uint8, (tile.height, tile.width))
        except ValueError as error:
            raise ShardError(
                f"{shards.folder} has a damaged tile of {scene.scene_id} ({error}); make the shards"
                " again."
            ) from None
        labels[tile.slices] = own
    first = rows[0]
    return ImageLabels(scene, labels, first["crs"], _of_image(first))


def each_image(source: Source) -> Callable[[SceneResult], Iterator[ImageLabels]]:
    """Make a function that reads a scene as one part: the labels of its image."""

    def read(scene: SceneResult) -> Iterator[ImageLabels]:
        yield read_labels(source.shards, scene)

    return read


def _of_image(tile: dict[str, Any]) -> tuple[float, ...] | None:
    """Transform of the image of a tile, which begins above and to the left of the tile."""
    if tile["transform"] is None:
        return None
    a, b, c, d, e, f = tile["transform"][:6]
    row, col = tile["row"], tile["col"]
    return a, b, c - a * col - b * row, d, e, f - d * col - e * row

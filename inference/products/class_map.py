"""Class maps on disk: Cloud-Optimized GeoTIFFs with their provenance.

Classes that exclude each other are one band of codes; masks that may overlap have one band each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from inference.products.cog import ROWS, RasterLayout, cog_rows
from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.quiet import ignore_warnings
from polynya.rasters.opening import tile_window
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene


def write_map(
    path: Path,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
) -> None:
    """Write labels as a Cloud-Optimized GeoTIFF with the scheme's colours.

    Each mask is a band: 1 under the mask, 0 elsewhere. Several masks have no colours, because a
    colour table is only for one band.

    Args:
        path: File to write; it is replaced as a whole.
        codes: uint8 (H, W), labels.
        scene: Scene with size, CRS and transform; without georeference, the map has none either.
        classes: Scheme with nodata and the colour table.
        tags: Provenance, stored as the file's metadata.

    Raises:
        OutputError: The file can't be written.
    """
    if codes.shape != (scene.height, scene.width):
        raise ValueError(
            f"`codes` must have the scene's shape {(scene.height, scene.width)}. Received:"
            f" {codes.shape}"
        )
    layout = RasterLayout.of_scene(
        scene,
        classes.names if classes.has_masks else [f"class ({classes.name})"],
        dtype="uint8",
        nodata=classes.nodata,
        # Overviews take the most frequent class of four pixels. A mean of codes would be another
        # class.
        resampling="MODE",
        colormap=classes.label_colors() if is_one_band(classes) else None,
    )
    with cog_rows(path, layout, tags) as rows:
        if is_one_band(classes):
            rows.write_all(codes)
            return
        for row in range(0, len(codes), ROWS):
            planes = classes.planes(codes[row : row + ROWS])
            rows.write(row, np.moveaxis(planes, 0, -1))


def is_one_band(classes: ClassScheme) -> bool:
    """Whether a map is one band of labels; a map of one mask also is."""
    return not classes.has_masks or classes.n_classes == 1


def read_map(path: Path, window: Tile | None = None) -> NDArray[np.uint8]:
    """Read the labels of a map, uint8 (H, W); SceneError if it can't be read.

    Several bands are masks, and each becomes one bit.

    Args:
        path: The map.
        window: Rectangle to read; what lies beyond the map is left out. Default: all.
    """
    ignore_warnings(NotGeoreferencedWarning)
    try:
        with rasterio.open(path) as source:
            return read_labels(source, tile_window(window))
    except RasterioError as error:
        raise SceneError(f"The map {path} can't be read ({error}); predict it again.") from None


def read_labels(source: Any, window: Window | None = None) -> NDArray[np.uint8]:
    """Read the labels of an open map or of a part of it, uint8 (H, W); see `read_map`."""
    labels = np.asarray(source.read(1, window=window), np.uint8)
    known = labels != source.nodata
    for band in source.indexes[1:]:
        labels[known] |= source.read(band, window=window)[known] << np.uint8(band - 1)
    return labels


def map_tags(path: Path) -> dict[str, str]:
    """Read the metadata of a map; empty if there is no readable map."""
    ignore_warnings(NotGeoreferencedWarning)
    try:
        with rasterio.open(path) as source:
            return dict(source.tags())
    except RasterioError:
        return {}

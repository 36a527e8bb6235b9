"""Class maps on disk: Cloud-Optimized GeoTIFFs that say where they came from."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from inference.products.cog import RasterLayout, cog_rows
from polynya.errors import SceneError
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene


def write_map(
    path: Path,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
) -> None:
    """Write class codes as a Cloud-Optimized GeoTIFF with the scheme's colours.

    Args:
        path: File to write; it is replaced as a whole.
        codes: uint8 (H, W), class codes.
        scene: Gives size, CRS and transform; a map of a scene without georeference has none.
        classes: Gives nodata and the colour table.
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
        [f"class ({classes.name})"],
        dtype="uint8",
        nodata=classes.nodata,
        # Of four classes the most frequent, never a mean of codes, which would be another class.
        resampling="MODE",
        colormap=classes.colormap(),
    )
    with cog_rows(path, layout, tags) as rows:
        rows.write_all(codes)


def read_map(path: Path) -> NDArray[np.uint8]:
    """Read the class codes of a map, uint8 (H, W); SceneError if it can't be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                return np.asarray(source.read(1), np.uint8)
    except RasterioError as error:
        raise SceneError(f"The map {path} can't be read ({error}); predict it again.") from None


def map_tags(path: Path) -> dict[str, str]:
    """Metadata of a map; empty if there is no readable one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                return dict(source.tags())
    except RasterioError:
        return {}

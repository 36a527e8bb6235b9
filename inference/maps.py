"""Class maps on disk: Cloud-Optimized GeoTIFFs that say where they came from."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # What rasterio.shutil lets through.
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import Affine

from polynya.classes import ClassScheme
from polynya.errors import OutputError, SceneError
from polynya.files import whole_file
from polynya.provenance import file_digest
from polynya.scenes import Scene

_COG_OPTIONS = {
    "BLOCKSIZE": 512,
    "COMPRESS": "DEFLATE",
    # Of four classes the most frequent, never a mean of codes, which would be another class.
    "OVERVIEW_RESAMPLING": "MODE",
    "BIGTIFF": "IF_SAFER",
}


def write_map(
    path: Path,
    codes: NDArray[np.uint8],
    scene: Scene,
    classes: ClassScheme,
    tags: dict[str, str],
) -> None:
    """Write class codes as a Cloud-Optimized GeoTIFF.

    GDAL's own COG driver copies the transform number by number, rotated ones included. The same
    codes and tags give the same bytes.

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
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 1,
        "height": scene.height,
        "width": scene.width,
        "nodata": classes.nodata,
        "photometric": "palette",
        "tiled": True,
        "compress": "deflate",
        "zlevel": 1,
    }
    if scene.crs is not None:
        profile["crs"] = CRS.from_user_input(scene.crs)
    if scene.transform is not None:
        profile["transform"] = Affine(*scene.transform)
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_PAM_ENABLED=False),
        whole_file(path) as temporary,
        MemoryFile() as memory,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with memory.open(**profile) as target:
                target.write(codes, 1)
                target.write_colormap(1, classes.colormap())
                target.set_band_description(1, f"class ({classes.name})")
                target.update_tags(**tags)
            copy(memory.name, temporary, driver="COG", **_COG_OPTIONS)
        except (RasterioError, CPLE_BaseError) as error:
            raise OutputError(
                f"{path} can't be written ({error}); is there space left on the disk?"
            ) from None


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


def source_digest(uri: str) -> str:
    """Digest of a scene's file, or of its URI where reading the content would mean fetching it."""
    if os.path.isfile(uri):
        return file_digest(uri)
    return hashlib.sha256(uri.encode()).hexdigest()[:16]

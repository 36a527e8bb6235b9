"""Scene files that every stage can read; made once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from data_samples import GENERATOR_VERSION, make_scene
from data_samples.write import CRS
from polynya.quiet import ignore_warnings
from polynya.scenes.scene import Scene
from polynya.storage.files import output_folder, whole_file

SEED = 9701
"""Seed of the scenes to label and of the large scene; no other benchmark uses it."""
LARGE_SIZE = 10980
"""Rows and columns of a Sentinel-2 tile at 10 m."""
SOURCE_SIZE = 2048
"""Rows and columns of the generated scene that is mirrored to make a large one."""
_BLOCK = 256


def write_image(path: Path, image: NDArray[np.uint8], **profile: Any) -> None:
    """Write uint8 RGB (H, W, 3), 0 where there is no data, as a deflated GeoTIFF.

    Args:
        path: File; its folder is created if missing.
        image: The pixels.
        **profile: More options for rasterio; by default the scene has no place on the ground.
    """
    height, width, bands = image.shape
    output_folder(path.parent)
    ignore_warnings(NotGeoreferencedWarning)
    with whole_file(path) as temporary, rasterio.open(
        temporary, "w", driver="GTiff", dtype="uint8", count=bands, height=height, width=width,
        nodata=0, photometric="rgb", compress="deflate", **profile,
    ) as target:  # fmt: skip
        target.write(image.transpose(2, 0, 1))


def write_placed(path: Path, image: NDArray[np.uint8], transform: Affine) -> None:
    """Write uint8 RGB (H, W, 3) in blocks, at a place on the ground."""
    blocks = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "predictor": 2}
    write_image(path, image, crs=CRS, transform=transform, **blocks)


def described_scene(uri: str, size: int) -> Scene:
    """Make the description of a square uint8 scene; the file need not exist."""
    return Scene(
        id=Path(uri).stem, uri=uri, height=size, width=size, crs=CRS,
        transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0), dtype="uint8", band_indexes=(1, 2, 3),
        scale=1.0, offset=0.0, stretch=(0.0, 1.0), zero_is_nodata=True,
    )  # fmt: skip


def make_large_scene(data: Path, size: int = LARGE_SIZE, source: int = SOURCE_SIZE) -> Path:
    """Make one scene as large as a satellite's: a generated scene, mirrored again and again.

    It is kept in `data`, as a GeoTIFF in deflated blocks. `source` is the largest size of the
    generated scene.
    """
    source = min(size, source)
    path = data / f"generator{GENERATOR_VERSION}-seed{SEED}-{size}px-of-{source}px.tif"
    if not path.is_file():
        scene = make_scene(SEED, 0, (source, source), "both", wedge=0.0)
        rest = size - source
        pixels = np.pad(scene.observed, ((0, rest), (0, rest), (0, 0)), mode="symmetric")
        write_placed(path, pixels, Affine(*scene.transform))
    return path

"""Scenes to label, as GeoTIFFs and as the same pixels in tiles; made once and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from benchmarks.common.workers import for_each_scene
from data_samples import GENERATOR_VERSION, make_scene
from data_samples.write import CRS
from polynya.grid import tile_grid
from polynya.storage.files import output_folder, whole_file

SEED = 9701
"""Of all scenes; no other benchmark has it."""
DISTINCT = 64
"""Scenes that are generated; more are the same ones, turned by right angles. Up to four times."""
LARGE_SIZE = 10980
"""Rows and columns of a Sentinel-2 tile at 10 m."""
SOURCE_SIZE = 2048
"""Of the generated scene that is mirrored to a large one."""
_BLOCK = 256


@dataclass(frozen=True)
class SceneFiles:
    """One scene of the benchmark and where its files are."""

    folder: Path
    """Of the set."""
    index: int
    size: int
    """Height and width in pixels."""
    tile: int
    """Height and width of the tile files in pixels."""

    @property
    def name(self) -> str:
        return f"scene{self.index:04d}"

    @property
    def image(self) -> Path:
        """GeoTIFF of the scene; what Polynya reads."""
        return self.folder / "scenes" / f"{self.name}.tif"

    @property
    def tiles(self) -> Path:
        """Folder of its tiles as PNG files; what the published pipeline reads."""
        return self.folder / "tiles" / self.name

    @property
    def n_tiles(self) -> int:
        return len(tile_grid(self.size, self.size, self.tile))


def make_files(data: Path, count: int, size: int, tile: int, jobs: int | None) -> list[SceneFiles]:
    """Make the scenes of the benchmark, but for those that are there.

    Args:
        data: Folder of all sets.
        count: Scenes.
        size: Their height and width in pixels.
        tile: Height and width of a tile in pixels.
        jobs: Worker processes; None for one a core.

    Returns:
        Scenes without nodata, so that every tile counts, in turn under shadow, cloud and both.
    """
    folder = data / f"generator{GENERATOR_VERSION}-seed{SEED}-{size}px-tiles{tile}px"
    files = [SceneFiles(folder, index, size, tile) for index in range(count)]
    for made in (files[:DISTINCT], files[DISTINCT:]):
        missing = [scene for scene in made if not scene.image.is_file()]
        for_each_scene(_make_scene_files, missing, "Making scenes", jobs)
    return files


def make_large_scene(data: Path, size: int = LARGE_SIZE, source: int = SOURCE_SIZE) -> Path:
    """One scene of a satellite's size: a generated one, mirrored again and again.

    Args:
        data: Folder of all sets.
        size: Height and width in pixels.
        source: Height and width of the generated scene.

    Returns:
        A GeoTIFF in deflated blocks.
    """
    path = data / f"generator{GENERATOR_VERSION}-seed{SEED}-{size}px-of-{source}px.tif"
    if not path.is_file():
        scene = make_scene(SEED, 0, (source, source), "both", wedge=0.0)
        rest = max(size - source, 0)
        pixels = np.pad(scene.observed, ((0, rest), (0, rest), (0, 0)), mode="symmetric")
        _write_image(pixels[:size, :size], Affine(*scene.transform), path)
    return path


def _make_scene_files(files: SceneFiles) -> None:
    shape = (files.size, files.size)
    turn, index = divmod(files.index, DISTINCT)
    if turn:
        with rasterio.open(replace(files, index=index).image) as source:
            pixels, transform = np.rot90(source.read().transpose(1, 2, 0), turn), source.transform
    else:
        scene = make_scene(SEED, index, shape, "mixed", wedge=0.0)
        pixels, transform = scene.observed, Affine(*scene.transform)
    output_folder(files.tiles)
    for tile in tile_grid(*shape, files.tile):
        with whole_file(files.tiles / f"{tile.row:05d}_{tile.col:05d}.png") as temporary:
            cv2.imwrite(str(temporary), pixels[tile.slices][..., ::-1])
    # Last, because it says that the tiles are there too.
    _write_image(pixels, transform, files.image)


def _write_image(pixels: NDArray[np.uint8], transform: Affine, path: Path) -> None:
    """Write uint8 RGB (H, W, 3)."""
    output_folder(path.parent)
    with (
        whole_file(path) as temporary,
        rasterio.open(
            temporary, "w", driver="GTiff", dtype="uint8", count=3, height=pixels.shape[0],
            width=pixels.shape[1], crs=CRS, transform=transform, nodata=0,
            tiled=True, blockxsize=_BLOCK, blockysize=_BLOCK, compress="deflate", predictor=2,
            photometric="rgb",
        ) as target,
    ):  # fmt: skip
        target.write(pixels.transpose(2, 0, 1))

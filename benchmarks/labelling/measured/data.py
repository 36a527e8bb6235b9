"""Scenes to label, as GeoTIFFs and as tiles with the same pixels; made once and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import rasterio
from affine import Affine

from benchmarks.common.scenes import SEED, write_placed
from benchmarks.common.workers import for_each_scene
from data_samples import GENERATOR_VERSION, make_scene
from polynya.grid import tile_grid
from polynya.storage.files import output_folder, whole_file

DISTINCT = 64
"""Number of generated scenes. Further scenes are the same ones, turned by right angles, so there
are at most four times as many."""


@dataclass(frozen=True)
class SceneFiles:
    """One scene of the benchmark and the paths of its files."""

    folder: Path
    """Folder of the set."""
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
        """GeoTIFF of the scene, for Polynya."""
        return self.folder / "scenes" / f"{self.name}.tif"

    @property
    def tiles(self) -> Path:
        """Folder of the scene's tiles as PNG files, for the published pipeline."""
        return self.folder / "tiles" / self.name

    @property
    def n_tiles(self) -> int:
        return len(tile_grid(self.size, self.size, self.tile))


def make_files(data: Path, count: int, size: int, tile: int, jobs: int | None) -> list[SceneFiles]:
    """Make the missing scenes of the benchmark.

    Scenes have no nodata, so that every tile counts. They are under shadow, cloud and both in turn.
    """
    folder = data / f"generator{GENERATOR_VERSION}-seed{SEED}-{size}px-tiles{tile}px"
    files = [SceneFiles(folder, index, size, tile) for index in range(count)]
    for made in (files[:DISTINCT], files[DISTINCT:]):
        missing = [scene for scene in made if not scene.image.is_file()]
        for_each_scene(_make_scene_files, missing, "Making scenes", jobs)
    return files


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
    # Last, because this file shows that the tiles are also complete.
    write_placed(files.image, pixels, transform)

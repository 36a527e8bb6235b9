"""The tiles of the input benchmark, as shards and as PNG files; made once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common.scenes import described_scene
from data_samples import GENERATOR_VERSION, SampleScene, make_scene
from polynya.grid import tile_grid
from polynya.progress import track
from polynya.recipe.recipe import Recipe
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.shards.manifest import SceneResult
from polynya.shards.writer import LabelledTile, ShardWriter, tile_row
from polynya.storage.files import output_folder, whole_file, write_text
from polynya.storage.folder import Folder

SEED = 5501
"""Seed of all tiles; no other benchmark uses it."""
SITES = 2
"""Number of generated scenes from which tiles are cut."""


@dataclass(frozen=True)
class InputFiles:
    """The same labelled tiles in two forms."""

    folder: Path
    tiles: int
    size: int
    """Edge of a tile in pixels."""

    @property
    def shards(self) -> Path:
        return self.folder / "shards"

    @property
    def images(self) -> Path:
        """Folder of the images as PNG files."""
        return self.folder / "png" / "images"

    @property
    def labels(self) -> Path:
        """Folder of the labels as PNG files, under the same names."""
        return self.folder / "png" / "labels"

    @property
    def cache(self) -> Path:
        """Folder in which a training keeps tiles on disk."""
        return self.folder / "cache"

    @property
    def decoded_bytes(self) -> int:
        return self.tiles * self.size**2 * 4


def make_files(data: Path, scenes: int, edge: int, size: int) -> InputFiles:
    """Make shards and PNG files, unless they exist.

    Tiles are cut at random places from generated scenes and turned at random. So they differ from
    each other and compress like scenes. A scene has `edge` x `edge` tiles.
    """
    name = f"generator{GENERATOR_VERSION}-seed{SEED}-{scenes}x{edge}x{edge}-tiles{size}px"
    files = InputFiles(data / name, scenes * edge**2, size)
    done = files.folder / "done.txt"
    if done.is_file():
        return files
    for folder in (files.images, files.labels):
        output_folder(folder)
    shape = (4 * size, 4 * size)
    numbers = track(range(SITES), "Generating scenes")
    sites = [make_scene(SEED, number, shape, "mixed", wedge=0.0) for number in numbers]
    windows = _windows(sites, size)
    recipe = Recipe.model_validate({"tiles": {"size": size}})
    shards = start_dataset(files.shards, recipe, overwrite=True)
    results = [
        _write_scene(files, shards, recipe, f"scene{number:03d}", edge, windows)
        for number in track(range(scenes), "Writing tiles")
    ]
    finish_dataset(shards, results)
    write_text(done, "")  # Last, because this file marks the data as complete.
    return files


def _windows(
    sites: list[SampleScene], size: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield tiles forever: image and label."""
    rng = np.random.default_rng(SEED)
    while True:
        site = sites[rng.integers(len(sites))]
        row, column = rng.integers(0, site.truth.shape[0] - size, 2)
        window = slice(row, row + size), slice(column, column + size)
        turns = int(rng.integers(4))
        yield np.rot90(site.observed[window], turns), np.rot90(site.truth[window], turns)


def _write_scene(
    files: InputFiles,
    shards: Folder,
    recipe: Recipe,
    name: str,
    edge: int,
    windows: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> SceneResult:
    pixels = edge * files.size
    scene = described_scene(str(files.folder / f"{name}.tif"), pixels)
    writer = ShardWriter(shards, name)
    tiles = tile_grid(pixels, pixels, files.size)
    for tile in tiles:
        image, label = next(windows)
        png = f"{name}_{tile.row:05d}_{tile.col:05d}.png"
        for folder, picture in ((files.images, image[..., ::-1]), (files.labels, label)):
            with whole_file(folder / png) as temporary:
                cv2.imwrite(str(temporary), picture)
        writer.add(tile_row(scene, LabelledTile(tile, image, label), recipe, "truth"))
    writer.close()
    count, names = len(tiles), " ".join(writer.files)
    return SceneResult(name, scene.uri, "done", tiles=count, labelled=count, files=names)


def stored_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

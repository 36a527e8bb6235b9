"""Small labelled tiles for tests of the training, written through the project's own functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from polynya.grid import tile_grid
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.shards.manifest import SceneResult
from polynya.shards.schema import ROWS_PER_GROUP
from polynya.shards.writer import LabelledTile, ShardWriter, tile_row


def ice_pixels(size: int, seed: int) -> np.ndarray:
    """Grey blocks of water, thin and thick ice: uint8 (size, size, 3)."""
    rng = np.random.default_rng(seed)
    blocks = np.array([12, 110, 232])[rng.integers(0, 3, (size // 8, size // 8))]
    value = np.kron(blocks, np.ones((8, 8), int)) + rng.integers(-9, 10, (size, size))
    return np.repeat(value[..., None], 3, axis=-1).astype(np.uint8)


def write_tiny_shards(
    folder: Path,
    recipe: Recipe,
    *,
    size: int = 64,
    nodata_shares: Sequence[float] = (0, 0, 0, 0),
    rows_per_group: int = ROWS_PER_GROUP,
) -> Path:
    """Shards of one scene per given share of nodata rows; returns the folder."""
    folder = Path(folder)
    data = start_dataset(folder, recipe)
    results = []
    for index, share in enumerate(nodata_shares):
        pixels = ice_pixels(size, seed=index)
        pixels[: round(share * size)] = 0
        path = folder.parent / f"scene{index}.tif"
        transform = from_origin(0, 10 * size * (index + 1), 10, 10)
        with rasterio.open(
            path, "w", driver="GTiff", height=size, width=size, count=3, dtype="uint8",
            crs="EPSG:3031", transform=transform, nodata=0,
        ) as target:  # fmt: skip
            target.write(np.moveaxis(pixels, -1, 0))
        value = pixels.max(axis=-1)
        label = np.digitize(value, [31, 205]).astype(np.uint8)
        label[value == 0] = recipe.classes.nodata
        scene = open_scene(str(path), recipe.scene)
        tiles = tile_grid(size, size, recipe.tiles.size)
        writer = ShardWriter(data, scene.id, rows_per_group=rows_per_group)
        for tile in tiles:
            there = LabelledTile(tile, pixels[tile.slices].copy(), label[tile.slices].copy())
            writer.add(tile_row(scene, there, recipe, "test"))
        writer.close()
        results.append(
            SceneResult(
                scene.id,
                str(path),
                "done",
                tiles=len(tiles),
                labelled=len(tiles),
                files=" ".join(writer.files),
            )
        )
    finish_dataset(data, results)
    return folder

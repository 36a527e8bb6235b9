"""Tiles like those of kelp forests: seven bands, a coast in each, and faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from data_samples.kelp import NODATA, Image, make_place, take_picture
from polynya.recipe.recipe import Recipe
from polynya.shards.lifecycle import finish_dataset, start_dataset
from polynya.shards.manifest import SceneResult
from polynya.shards.writer import ShardWriter

BANDS = ("swir16", "nir", "red", "green", "blue", "clouds", "elevation")
CLASSES = {
    "name": "kelp & sea",
    "classes": [
        {"code": 0, "name": "sea", "title": "Sea", "color": (20, 80, 160)},
        {"code": 1, "name": "land", "title": "Land", "color": (190, 160, 90)},
        {"code": 2, "name": "kelp", "title": "Kelp", "color": (30, 160, 70)},
    ],
}

Label = NDArray[np.uint8]
Fault = Callable[[Image, Label], None]
"""Changes an image (H, W, 7) and its label (H, W) in place."""


def kelp_recipe(size: int, classes: Mapping[str, Any] = CLASSES, **sections: Any) -> Recipe:
    """Recipe of such a data set."""
    return Recipe.model_validate(
        {
            "classes": dict(classes),
            "scene": {"inputs": list(BANDS)},
            "tiles": {"size": size},
            "label": {"method": "none", "raster": "{stem}_label.tif"},
            "split": {"validation": 0.25, "group": r"^(\w+?)_"},
            **sections,
        }
    )


def kelp_tile(size: int, seed: int) -> tuple[Image, Label]:
    """A coast with kelp before it: int16 (size, size, 7) and uint8 (size, size)."""
    rng = np.random.default_rng(seed)
    made = take_picture(rng, make_place(rng, "kelp", size))
    return made.image.copy(), made.surface.copy()


def kelp_row(
    scene: str, place: tuple[int, int], image: Image, label: Label, recipe: Recipe
) -> dict[str, Any]:
    """Row of `polynya.shards.schema.SCHEMA`, as the writer of shards makes it."""
    valid = image != NODATA
    values = np.where(valid, image, np.nan).astype(np.float64)
    there = valid.sum(axis=(0, 1))
    bits = np.packbits(valid).tobytes()
    content = {"image": image.tobytes(), "label": label.tobytes(), "valid": bits}
    numbers = {
        "minima": np.fmin.reduce(values, axis=(0, 1)),
        "maxima": np.fmax.reduce(values, axis=(0, 1)),
        "means": np.nansum(values, axis=(0, 1)) / np.maximum(there, 1),
    }
    size = len(label)
    return {
        "scene_id": scene, "row": place[0], "col": place[1], "height": size, "width": size,
        "bands": list(BANDS), "dtype": "int16", **content,
        **{f"{name}_crc32c": google_crc32c.value(part) for name, part in content.items()},
        "scales": [1.0] * 7, "offsets": [0.0] * 7, "band_pixels": there.tolist(),
        **{
            f"band_{name}": [n if c else None for c, n in zip(there, found.tolist(), strict=True)]
            for name, found in numbers.items()
        },
        "valid_share": float((label != recipe.classes.nodata).mean()),
        "class_counts": recipe.classes.count(label), "label_source": "test",
        "recipe_digest": recipe.labels_digest(),
    }  # fmt: skip


def write_kelp_shards(
    folder: Path,
    recipe: Recipe,
    *,
    scenes: Iterable[str],
    tiles: int,
    faults: Mapping[tuple[str, int], Fault] | None = None,
    damaged: Iterable[tuple[str, int]] = (),
) -> Path:
    """Write a data set of one file a scene.

    Args:
        folder: Folder of the data set.
        recipe: From `kelp_recipe`.
        scenes: Ids of the scenes.
        tiles: Number of tiles in each.
        faults: What happens to a tile, by scene and number.
        damaged: Tiles whose bytes don't fit their checksums.
    """
    data = start_dataset(folder, recipe)
    size, results, damaged = recipe.tiles.size, [], set(damaged)
    for number, scene in enumerate(scenes):
        writer = ShardWriter(data, f"part{number}")
        for tile in range(tiles):
            image, label = kelp_tile(size, seed=1000 * number + tile)
            if faults and (scene, tile) in faults:
                faults[scene, tile](image, label)
            row = kelp_row(scene, (0, size * tile), image, label, recipe)
            if (scene, tile) in damaged:
                row["image_crc32c"] ^= 1
            writer.add(row)
        writer.close()
        results.append(
            SceneResult(scene, f"{scene}.tif", "done", tiles=tiles, labelled=tiles,
                        files=" ".join(writer.files))
        )  # fmt: skip
    finish_dataset(data, results)
    return folder

"""Prediction as published: one call of `model.predict` per tile of 256 pixels, then stitching.

    python -m benchmarks.maps.published MODEL SCENE MAP

After section III-D of the sea-ice workflow paper, whose code isn't public.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from inference.predict.predict import open_model
from inference.products.class_map import write_map
from polynya.grid import tile_grid
from polynya.scenes.reading import open_scene, read_scene

_TILE = 256


def main() -> None:
    """Read the whole scene, predict tile by tile, write a map of its classes."""
    model_folder, uri, target = sys.argv[1:]
    model = open_model(model_folder)
    scene = open_scene(uri, model.recipe.scene)
    image, valid = read_scene(scene)
    classes = model.recipe.classes
    codes = np.full(valid.shape, classes.nodata, np.uint8)
    for tile in tile_grid(scene.height, scene.width, _TILE):
        part = image[tile.slices]
        padding = [(0, _TILE - side) for side in part.shape[:2]]
        full = np.pad(part, [*padding, (0, 0)])
        probabilities = model.keras_model.predict(full[None], verbose=0)[0]
        codes[tile.slices] = probabilities.argmax(axis=2)[: tile.height, : tile.width]
    codes[~valid] = classes.nodata
    write_map(Path(target), codes, scene, classes, {})


if __name__ == "__main__":
    main()

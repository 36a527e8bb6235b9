"""Labelled tiles of whole scenes: what one task does, whoever runs it (Spark or plain processes)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.labels import filter_image
from autolabel.thresholds import Profile, get_profile, label_by_color
from polynya.errors import PolynyaError, SceneError
from polynya.grid import tile_grid
from polynya.recipe import Recipe
from polynya.scenes import SceneRef, open_scene, read_scene
from polynya.shards import LabelledTile, SceneResult, tile_row, write_scene_shards


def label_scene(ref: SceneRef, recipe: Recipe, folder: Path) -> SceneResult:
    """Label one scene, write its shards and say how it went.

    A scene that can't be used doesn't raise: its row of the manifest says why.

    Args:
        ref: Which scene.
        recipe: Bands, tiles, filter and thresholds.
        folder: The data set that the shards belong to.
    """
    # One thread per worker: parallelism comes from the workers, and more threads only fight.
    cv2.setNumThreads(1)
    try:
        return _label_scene(ref, recipe, folder)
    except PolynyaError as error:
        return SceneResult(ref.id, ref.uri, "failed", str(error))
    except (OSError, MemoryError) as error:
        reason = f"{ref.uri} could not be labelled into {folder}: {error or 'out of memory'}."
        return SceneResult(ref.id, ref.uri, "failed", reason)


def _label_scene(ref: SceneRef, recipe: Recipe, folder: Path) -> SceneResult:
    scene = open_scene(ref.uri, recipe.scene, ref.id)
    image, valid = read_scene(scene)
    if not valid.any():
        raise SceneError(f"{ref.uri} has no valid pixel, all of it is nodata; leave it out.")
    profile = get_profile(recipe.label.profile)
    source = f"{recipe.label.method}/{recipe.label.scope}/{profile.name}"
    counts = np.zeros(recipe.classes.n_classes, np.int64)
    labelled = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal labelled
        for tile in label_tiles(image, valid, recipe, profile):
            labelled += 1
            counts[:] += recipe.classes.count(tile.label)
            yield tile_row(scene, tile, recipe, source)

    files = write_scene_shards(folder, scene, rows())
    tiles = len(tile_grid(scene.height, scene.width, recipe.tiles.size))
    return SceneResult(
        scene_id=scene.id,
        uri=scene.uri,
        status="done",
        height=scene.height,
        width=scene.width,
        tiles=tiles,
        labelled=labelled,
        nodata=tiles - labelled,
        files=files,
        valid_pixels=int(valid.sum()),
        class_pixels=" ".join(
            f"{name}={count}" for name, count in zip(recipe.classes.names, counts, strict=True)
        ),
    )


def label_tiles(
    image: NDArray[np.uint8], valid: NDArray[np.bool_], recipe: Recipe, profile: Profile
) -> Iterator[LabelledTile]:
    """Cut a scene into tiles and label them.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Tile size, filter and its scope, classes.
        profile: Colour thresholds.

    Yields:
        Tiles with enough valid pixels, in row-major order.
    """
    options, classes = recipe.label, recipe.classes
    if options.scope == "scene":
        whole = filter_image(image, method=options.method, valid=valid)
    for tile in tile_grid(*valid.shape, recipe.tiles.size):
        tile_valid = valid[tile.slices]
        if not tile_valid.any() or tile_valid.mean() < recipe.tiles.min_valid:
            continue
        original = np.ascontiguousarray(image[tile.slices])
        if options.scope == "scene":
            filtered = np.ascontiguousarray(whole[tile.slices])
        else:
            filtered = filter_image(original, method=options.method, valid=tile_valid)
        label = label_by_color(filtered, profile, classes)
        label[~tile_valid] = classes.nodata
        yield LabelledTile(tile, filtered if options.images == "filtered" else original, label)

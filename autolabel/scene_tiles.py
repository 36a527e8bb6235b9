"""Labelled tiles of whole scenes: what one task does, whoever runs it."""

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
        why = error.strerror if isinstance(error, OSError) else "out of memory"
        reason = f"{ref.uri} could not be labelled into {folder}: {why}; mend that and label again."
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


def filter_scene(
    image: NDArray[np.uint8], valid: NDArray[np.bool_], recipe: Recipe
) -> NDArray[np.uint8]:
    """Filter a scene as a recipe says: at once, or each tile alone as the published job does.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Method, scope and tile size.

    Returns:
        uint8 (H, W, 3), 0 where nodata.
    """
    options = recipe.label
    if options.scope == "scene" or options.method == "none":
        return filter_image(image, method=options.method, valid=valid)
    filtered = np.empty_like(image)
    for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
        part = np.ascontiguousarray(image[tile.slices])
        filtered[tile.slices] = filter_image(part, method=options.method, valid=valid[tile.slices])
    return filtered


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
    classes = recipe.classes
    filtered = filter_scene(image, valid, recipe)
    kept = filtered if recipe.label.images == "filtered" else image
    for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
        tile_valid = valid[tile.slices]
        if not tile_valid.any() or tile_valid.mean() < recipe.tiles.min_valid:
            continue
        label = label_by_color(np.ascontiguousarray(filtered[tile.slices]), profile, classes)
        label[~tile_valid] = classes.nodata
        yield LabelledTile(tile, np.ascontiguousarray(kept[tile.slices]), label)

"""Labelled tiles of whole scenes: what one task does, whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.labels import Labelled, label_and_filter
from autolabel.thresholds import Profile, get_profile
from polynya.errors import PolynyaError, SceneError
from polynya.grid import tile_grid
from polynya.layers import SceneLayers, read_layers
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


@dataclass(frozen=True)
class LabelledScene:
    """A scene of H x W pixels with its labels."""

    label: NDArray[np.uint8]
    """(H, W), class codes."""
    image: NDArray[np.uint8]
    """(H, W, 3), what goes into the shards: the scene as it is, or filtered."""
    veiled: NDArray[np.bool_] | None
    """(H, W), where there is cloud or shadow; None where the method can't tell."""
    thick_cloud: NDArray[np.bool_] | None
    """(H, W), where cloud hides the ground; likewise."""
    uncertain: NDArray[np.bool_] | None
    """(H, W), where the label is unsure; None unless the recipe makes such pixels nodata."""


def _label_scene(ref: SceneRef, recipe: Recipe, folder: Path) -> SceneResult:
    scene = open_scene(ref.uri, recipe.scene, ref.id)
    image, valid = read_scene(scene)
    if not valid.any():
        raise SceneError(f"{ref.uri} has no valid pixel, all of it is nodata; leave it out.")
    profile = get_profile(recipe.label.profile)
    source = f"{recipe.label.method}/{recipe.label.scope}/{profile.name}"
    labelled = label_pixels(image, valid, recipe, profile, read_layers(scene))
    counts = np.zeros(recipe.classes.n_classes, np.int64)
    written = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal written
        for tile in cut_tiles(labelled, valid, recipe):
            written += 1
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
        labelled=written,
        nodata=tiles - written,
        files=files,
        valid_pixels=int(valid.sum()),
        veiled_pixels=_count(labelled.veiled, valid),
        thick_cloud_pixels=_count(labelled.thick_cloud, valid),
        uncertain_pixels=_count(labelled.uncertain, valid),
        class_pixels=" ".join(
            f"{name}={count}" for name, count in zip(recipe.classes.names, counts, strict=True)
        ),
    )


def _count(mask: NDArray[np.bool_] | None, valid: NDArray[np.bool_]) -> int | None:
    return None if mask is None else int((mask & valid).sum())


def filter_scene(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    layers: SceneLayers | None = None,
) -> NDArray[np.uint8]:
    """Filter a scene as its labels were: at once, or each tile alone as the published job does.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Method, scope and tile size.
        layers: More evidence, where the scene has it.

    Returns:
        uint8 (H, W, 3), 0 where nodata.
    """
    if recipe.label.method == "none":
        return image
    profile = get_profile(recipe.label.profile)
    if recipe.label.scope == "scene":
        return _filtered(_label(image, valid, recipe, profile, layers, with_filtered=True))
    filtered = np.empty_like(image)
    for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
        part, seen = np.ascontiguousarray(image[tile.slices]), valid[tile.slices]
        result = _label(part, seen, recipe, profile, None, with_filtered=True)
        filtered[tile.slices] = _filtered(result)
    return filtered


def label_pixels(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    profile: Profile,
    layers: SceneLayers | None = None,
) -> LabelledScene:
    """Label a scene as a recipe says.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Filter and its scope, classes, what becomes nodata.
        profile: Colour thresholds.
        layers: More evidence, where the scene has it.
    """
    options = recipe.label
    with_filtered = options.images == "filtered"
    if options.scope == "tile" and options.method != "none":
        filtered, label = np.empty_like(image), np.empty(valid.shape, np.uint8)
        for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
            part, seen = np.ascontiguousarray(image[tile.slices]), valid[tile.slices]
            result = _label(part, seen, recipe, profile, None, with_filtered)
            label[tile.slices] = result.label
            if with_filtered:
                filtered[tile.slices] = _filtered(result)
        return LabelledScene(label, filtered if with_filtered else image, None, None, None)

    result = _label(image, valid, recipe, profile, layers, with_filtered)
    kept = _filtered(result) if with_filtered else image
    if result.sky is None:
        return LabelledScene(result.label, kept, None, None, None)
    thick_cloud = result.sky.hidden(options.most_haze)
    if options.thick_cloud == "nodata":
        result.label[thick_cloud] = recipe.classes.nodata
    uncertain = None
    if options.uncertain == "nodata":
        from autolabel.brightness import brightness
        from autolabel.illumination import confidence

        uncertain = confidence(brightness(image), valid, result.sky) < options.least_confidence
        result.label[uncertain] = recipe.classes.nodata
    return LabelledScene(result.label, kept, result.sky.veiled(), thick_cloud, uncertain)


def _label(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    profile: Profile,
    layers: SceneLayers | None,
    with_filtered: bool,
) -> Labelled:
    return label_and_filter(
        image,
        method=recipe.label.method,
        profile=profile,
        valid=valid,
        classes=recipe.classes,
        layers=layers,
        stretch=recipe.scene.stretch,
        with_filtered=with_filtered,
    )


def _filtered(labelled: Labelled) -> NDArray[np.uint8]:
    assert labelled.filtered is not None  # It was asked for.
    return labelled.filtered


def cut_tiles(
    scene: LabelledScene, valid: NDArray[np.bool_], recipe: Recipe
) -> Iterator[LabelledTile]:
    """Cut a labelled scene into tiles.

    Args:
        scene: Labels and image.
        valid: bool (H, W).
        recipe: Tile size, and how much of a tile must be valid.

    Yields:
        Tiles with enough valid pixels, in row-major order.
    """
    for tile in tile_grid(valid.shape[0], valid.shape[1], recipe.tiles.size):
        seen = valid[tile.slices]
        if not seen.any() or seen.mean() < recipe.tiles.min_valid:
            continue
        veiled = None if scene.veiled is None else float(scene.veiled[tile.slices][seen].mean())
        yield LabelledTile(
            tile,
            np.ascontiguousarray(scene.image[tile.slices]),
            np.ascontiguousarray(scene.label[tile.slices]),
            veiled,
        )

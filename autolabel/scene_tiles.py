"""Make labelled tiles from the pixels of a scene, or from some of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Labelled, Light
from autolabel.filters.registry import filter_of, find_filter
from autolabel.labels import label_and_filter
from autolabel.thresholds.profiles import Profile, get_profile
from polynya.grid import tile_grid
from polynya.recipe.classes import ClassScheme
from polynya.recipe.recipe import Recipe
from polynya.scenes.band_set import BandPixels
from polynya.scenes.scene import SceneLayers
from polynya.shards.soft_labels import harden
from polynya.shards.writer import LabelledTile


@dataclass(frozen=True)
class LabelledScene:
    """A scene of H x W pixels with its labels."""

    label: NDArray[np.uint8]
    """(H, W), class codes."""
    image: NDArray[np.uint8]
    """(H, W, 3), image for the shards: the scene as it is, or filtered."""
    veiled: NDArray[np.bool_] | None
    """(H, W), where there is cloud or shadow; None if the method doesn't find them."""
    thick_cloud: NDArray[np.bool_] | None
    """(H, W), where cloud hides the ground; None if the method doesn't find it."""
    uncertain: NDArray[np.bool_] | None
    """(H, W), where the label is unsure; None unless the recipe makes unsure pixels nodata."""
    soft: NDArray[np.uint8] | None = None
    """(H, W, C), soft labels that people made; `label` has the likeliest class."""


def filter_scene(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    layers: SceneLayers | None = None,
    sky: Light | None = None,
) -> NDArray[np.uint8]:
    """Filter a scene in the same way as for its labels.

    The recipe's scope decides: the whole scene at once, or each tile alone as the published job
    does.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Method, scope and tile size.
        layers: More evidence, if the scene has it.
        sky: Sky over these rows, if it is known already; some rows alone are too few to find it.

    Returns:
        uint8 (H, W, 3), 0 where nodata.
    """
    if not filter_of(recipe.label).changes_images:
        return image
    profile = get_profile(recipe.label.profile)
    if recipe.label.scope == "scene":
        return _filtered(_label(image, valid, recipe, profile, layers, True, sky))
    filtered = np.empty_like(image)
    for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
        part, seen = np.ascontiguousarray(image[tile.slices]), valid[tile.slices]
        result = _label(part, seen, recipe, profile, None, with_filtered=True)
        filtered[tile.slices] = _filtered(result)
    return filtered


def take_labels(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    label: NDArray[np.uint8],
    classes: ClassScheme,
) -> LabelledScene:
    """Combine a scene, or some of its rows, with labels that people made.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W); the label of invalid pixels becomes nodata.
        label: uint8 (H, W), from `polynya.scenes.beside.label_raster.read_labels`; or soft labels,
            uint8 (H, W, C).
        classes: Scheme that gives the nodata code.
    """
    nodata = np.uint8(classes.nodata)
    if label.ndim == 2:
        return LabelledScene(np.where(valid, label, nodata), image, None, None, None)
    soft = np.where(valid[..., None], label, nodata)
    return LabelledScene(harden(soft, classes), image, None, None, None, soft)


def label_pixels(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    profile: Profile,
    layers: SceneLayers | None = None,
    sky: Light | None = None,
) -> LabelledScene:
    """Label a scene, or some of its rows, as the recipe says.

    Args:
        image: uint8 (H, W, 3), 0 where nodata.
        valid: bool (H, W).
        recipe: Filter and its scope, classes, which pixels become nodata.
        profile: Colour thresholds.
        layers: More evidence, if the scene has it.
        sky: Sky over these rows, if it is known already; some rows alone are too few to find it.
    """
    options, chosen = recipe.label, find_filter(recipe.label.method)
    with_filtered = options.images == "filtered"
    if options.scope == "tile" and chosen.changes_images:
        filtered, label = np.empty_like(image), np.empty(valid.shape, np.uint8)
        for tile in tile_grid(image.shape[0], image.shape[1], recipe.tiles.size):
            part, seen = np.ascontiguousarray(image[tile.slices]), valid[tile.slices]
            result = _label(part, seen, recipe, profile, None, with_filtered)
            label[tile.slices] = result.label
            if with_filtered:
                filtered[tile.slices] = _filtered(result)
        return LabelledScene(label, filtered if with_filtered else image, None, None, None)

    result = _label(image, valid, recipe, profile, layers, with_filtered, sky)
    kept = _filtered(result) if with_filtered else image
    if result.sky is None or chosen.light is None:
        return LabelledScene(result.label, kept, None, None, None)
    veiled, thick_cloud, uncertain = None, None, None
    if "veiled" in chosen.knows:
        veiled = result.sky.veiled()
    if "thick_cloud" in chosen.knows:
        thick_cloud = result.sky.hidden(options.most_haze)
        if options.thick_cloud == "nodata":
            result.label[thick_cloud] = recipe.classes.nodata
    if options.uncertain == "nodata" and "confidence" in chosen.knows:
        sure = chosen.light.confidence(image, valid, result.sky)
        uncertain = sure < options.least_confidence
        result.label[uncertain] = recipe.classes.nodata
    return LabelledScene(result.label, kept, veiled, thick_cloud, uncertain)


def _label(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    recipe: Recipe,
    profile: Profile,
    layers: SceneLayers | None,
    with_filtered: bool,
    sky: Light | None = None,
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
        sky=sky,
    )


def _filtered(labelled: Labelled) -> NDArray[np.uint8]:
    assert labelled.filtered is not None  # It was asked for.
    return labelled.filtered


def cut_tiles(
    scene: LabelledScene,
    valid: NDArray[np.bool_],
    recipe: Recipe,
    inputs: BandPixels | None = None,
) -> Iterator[LabelledTile]:
    """Cut a labelled scene into tiles.

    Args:
        scene: Labels and image.
        valid: bool (H, W).
        recipe: Tile size, and the least share of valid pixels in a tile.
        inputs: Bands of the scene, if the recipe names some.

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
            None if scene.soft is None else np.ascontiguousarray(scene.soft[tile.slices]),
            None if inputs is None else inputs.part(tile),
        )

"""Uncertainty of a model on the tiles of a scene, and disagreement of the models of an ensemble.

Entropy is that of the mean of the models' probabilities. Disagreement is the mutual information of
class and model: the entropy of the mean, less the mean of the entropies (N. Houlsby et al.,
"Bayesian active learning for classification and preference learning", 2011). It is 0 where all
models say the same, also if all are undecided: there, one more label would teach them little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.predict.predict import predict_bands
from inference.predict.windows import Probabilities
from inference.products.entropy import entropy, mask_entropy
from polynya.grid import tile_grid
from polynya.scenes.scene import Scene
from training.trees.pixel_model import PixelModel

if TYPE_CHECKING:
    from training.model_folder.folder import TrainedModel


@dataclass(frozen=True)
class TileDoubt:
    """A tile of a scene, and how uncertain it is."""

    scene_id: str
    uri: str
    row: int
    """Offset of its first row in the scene."""
    col: int
    height: int
    width: int
    valid_share: float
    """Share of pixels with data, more than 0."""
    entropy: float
    """Mean over these pixels of the normalised entropy, 0..1."""
    disagreement: float | None
    """Mean over these pixels of the normalised mutual information, 0..1; None for a single
    model."""


def uncertainty(
    members: Sequence[Probabilities], weights: Sequence[float], has_masks: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute entropy and mutual information of each pixel, both divided by the greatest entropy.

    Args:
        members: Probabilities of each model, float32 (N, W, C).
        weights: Weight of each model, adding up to 1.
        has_masks: Whether the C probabilities are for masks; then it is the mean over the masks.

    Returns:
        Two float32 (N, W) in 0..1; the second one is 0 for a single model.
    """
    measure = mask_entropy if has_masks else entropy
    mean = np.zeros_like(members[0])
    of_members = np.zeros(members[0].shape[:2], np.float32)
    for probabilities, weight in zip(members, weights, strict=True):
        mean += np.float32(weight) * probabilities
        of_members += np.float32(weight) * measure(probabilities)
    total = measure(mean)
    # Rounding may make it a little less than 0.
    return total, np.maximum(total - of_members, 0)


def tile_doubts(
    members: Sequence[TrainedModel], weights: Sequence[float], scene: Scene
) -> list[TileDoubt]:
    """Predict a scene and measure each of its tiles, row by row; tiles without data are left out.

    Args:
        members: Models of one recipe; a single one has no disagreement.
        weights: Weight of each model, adding up to 1.
        scene: A scene, opened with the models' scene options.

    Raises:
        SceneError: The scene can't be read.
        ModelError: The probabilities are not finite.
    """
    recipe = members[0].recipe
    tiles = tile_grid(scene.height, scene.width, recipe.tiles.size)
    columns = np.unique([tile.col for tile in tiles])
    shape = (-(-scene.height // recipe.tiles.size), len(columns))
    sums = np.zeros((3, *shape))
    for row, planes in _strips(members, weights, scene):
        # A strip may lie across several rows of tiles.
        rows = (row + np.arange(planes.shape[1])) // recipe.tiles.size
        by_column = np.add.reduceat(planes, columns, axis=-1)
        np.add.at(sums.swapaxes(0, 1), rows, by_column.swapaxes(0, 1))
    found = []
    for tile, (valid, doubt, disagreement) in zip(tiles, sums.reshape(3, -1).T, strict=True):
        if valid > 0:
            found.append(
                TileDoubt(
                    scene.id,
                    scene.uri,
                    tile.row,
                    tile.col,
                    tile.height,
                    tile.width,
                    float(valid / (tile.height * tile.width)),
                    float(doubt / valid),
                    float(disagreement / valid) if len(members) > 1 else None,
                )
            )
    return found


def _strips(
    members: Sequence[TrainedModel], weights: Sequence[float], scene: Scene
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the first row of each strip, and (3, N, W): valid, entropy, disagreement; 0 if not."""
    classes = members[0].classes
    for bands in zip(*(predict_bands(member, scene) for member in members), strict=True):
        measured = uncertainty([band.probabilities for band in bands], weights, classes.has_masks)
        valid = bands[0].valid
        yield (
            bands[0].row,
            np.stack([valid, *(np.where(valid, plane, 0) for plane in measured)]).astype(float),
        )


def members_of(model: TrainedModel) -> tuple[list[TrainedModel], list[float]]:
    """Take an ensemble of `polynya ensemble` apart.

    Args:
        model: Any model.

    Returns:
        The members and their weights, which add up to 1. For any other model: itself and 1.
    """
    if isinstance(model.predictor, PixelModel):
        alone = [replace(model, predictor=own) for own in model.predictor.alone()]
        return alone, list(model.predictor.weights)
    layers = {layer.name: layer for layer in model.keras_model.layers}
    count = sum(name.startswith("member") for name in layers)
    names = [(f"member{index}", f"share{index}") for index in range(count)]
    if count < 2 or any(name not in layers for pair in names for name in pair):
        return [model], [1.0]
    members = [replace(model, predictor=layers[member]) for member, _ in names]
    return members, [float(layers[share].scale) for _, share in names]

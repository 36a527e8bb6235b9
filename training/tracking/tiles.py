"""A few validation tiles that are shown after each epoch: image, label and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.recipe import Recipe
from polynya.scenes.shown_colors import tile_colors
from polynya.shards.soft_labels import harden
from training.input.batches import PADDING, in_batches
from training.input.validation import ValidationTiles
from training.labels import most_probable

_READ = 4
"""Times as many tiles as are wanted that are read at most, in search of labelled ones."""
_STREAM = 77
"""Makes the choice independent of other random numbers of the recipe's seed."""
_LONGEST = 512
"""Longest side of a tile in a picture; larger tiles are thinned."""
_GAP = 4
"""Pixels between image, label and prediction."""

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Function from images (B, H, W, bands) to probabilities (B, H, W, C)."""


@dataclass(frozen=True)
class ShownTiles:
    """Tiles that are shown after each epoch; N of them."""

    names: tuple[str, ...]
    images: NDArray[Any]
    """(N, H, W, bands), as the model sees them."""
    labels: NDArray[np.uint8]
    """(N, H, W)."""

    def pictures(self, predict: Predict, recipe: Recipe) -> list[tuple[str, NDArray[np.uint8]]]:
        """Draw each tile: image, label and prediction side by side.

        Args:
            predict: The model.
            recipe: Recipe of the training.

        Returns:
            Name and picture, uint8 (h, w, 3), of each tile.
        """
        found = most_probable(predict(self.images), recipe.classes)
        size, paint = recipe.tiles.size, recipe.classes.paint
        step = -(-size // _LONGEST)
        drawn = []
        for name, image, label, own in zip(
            self.names, self.images, self.labels, found, strict=True
        ):
            panels = [tile_colors(image, recipe.scene), paint(label), paint(own)]
            # The model may see a tile with a margin of nodata.
            panels = [panel[:size:step, :size:step] for panel in panels]
            gap = np.full((len(panels[0]), _GAP, 3), 255, np.uint8)
            joined = [panels[0], gap, panels[1], gap, panels[2]]
            drawn.append((name, np.concatenate(joined, axis=1).astype(np.uint8)))
        return drawn


def choose_tiles(
    tiles: ValidationTiles,
    names: Callable[[Sequence[int]], list[str]],
    recipe: Recipe,
    count: int,
) -> ShownTiles | None:
    """Choose validation tiles with a label at random; only the recipe's seed decides which.

    Args:
        tiles: The validation tiles.
        names: Function from numbers of validation tiles to their names.
        recipe: Recipe of the training.
        count: Number of tiles.

    Returns:
        The tiles, the same for any number of ranks; None if there are none.

    Raises:
        ShardError: A tile can't be read.
    """
    order = np.random.default_rng([recipe.seed, _STREAM]).permutation(tiles.total)
    chosen: list[tuple[int, NDArray[Any], NDArray[np.uint8]]] = []
    for indices in in_batches(order, max(count, 1))[:_READ]:
        images, labels = tiles.read(indices)
        for number, image, label in zip(indices.tolist(), images, labels, strict=True):
            hard = harden(label, recipe.classes) if label.ndim == 3 else label
            if number != PADDING and (hard != recipe.classes.nodata).any():
                chosen.append((number, image, hard))
        if len(chosen) >= count:
            break
    chosen = chosen[:count]
    if not chosen:
        return None
    numbers, images, labels = zip(*chosen, strict=True)
    return ShownTiles(tuple(names(numbers)), np.stack(images), np.stack(labels))

"""Draws the pixels that decision trees grow on, in one pass over tiles and in bounded memory.

Every pixel gets a random number, and the pixels with the least numbers are kept. So each pixel is
equally likely to be drawn, and none is drawn twice from the same tile of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from training.input.batches import PADDING
from training.trees.pixel_model import Floats

_STREAM = 2
"""Tells these random numbers from those of orders and draws of tiles (`training.input`)."""


@dataclass(frozen=True)
class Pixels:
    """Labelled pixels."""

    features: Floats
    """(N, F)."""
    labels: NDArray[np.uint8]
    """(N,), labels of the scheme."""


class _Reservoir:
    """Keeps the rows with the least keys, at most `limit`, and briefly twice as many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._held = 0
        self._bar = np.inf

    def add(self, keys: NDArray[np.float64], *columns: NDArray[Any]) -> None:
        low = keys < self._bar
        self._parts.append(tuple(values[low] for values in (keys, *columns)))
        self._held += int(low.sum())
        if self._held > 2 * self._limit:
            self._shrink()

    def _shrink(self) -> None:
        keys, *columns = self._joined()
        least = np.argpartition(keys, self._limit)[: self._limit]
        self._bar = float(keys[least].max())
        self._parts = [tuple(values[least] for values in (keys, *columns))]
        self._held = self._limit

    def _joined(self) -> list[NDArray[Any]]:
        return [np.concatenate(columns) for columns in zip(*self._parts, strict=True)]

    def rows(self) -> list[NDArray[Any]]:
        """Keys and columns in the order of the keys; nothing if nothing was added."""
        if not self._held:
            return []
        columns = self._joined()
        order = np.argsort(columns[0], kind="stable")[: self._limit]
        return [values[order] for values in columns]


def draw_pixels(
    batches: Iterable[tuple[Any, Any]],
    indices: NDArray[np.int64],
    features: Callable[[Any], Floats],
    classes: ClassScheme,
    *,
    limit: int,
    balanced: bool,
    counts: NDArray[np.int64],
    seed: int,
) -> Pixels:
    """Draw labelled pixels of all tiles.

    Args:
        batches: Pairs of images (B, H, W, bands) and labels uint8 (B, H, W).
        indices: int64 (steps, B), the tile of each image, or `PADDING`.
        features: Function from images to features (B, H, W, F).
        classes: Scheme of the labels.
        limit: Greatest number of pixels.
        balanced: Draw as many of each class. For masks: of each mask, and of pixels under none;
            a pixel under several masks counts for the rarest.
        counts: int64 (C,), pixels of each class in the training tiles.
        seed: Seed of the draw. It doesn't depend on how tiles are read.

    Returns:
        The pixels, `limit` or fewer.
    """
    group_of = _groups(classes, counts) if balanced else np.zeros(classes.n_labels, np.int64)
    groups = np.unique(group_of)
    kept = {group: _Reservoir(max(1, limit // len(groups))) for group in groups}
    for step, (images, labels) in enumerate(batches):
        values, codes = features(images), np.asarray(labels)
        for place, tile in enumerate(indices[step]):
            if tile == PADDING:
                continue
            rng = np.random.default_rng([seed, _STREAM, step * indices.shape[1] + place])
            keys = rng.random(codes[place].shape)
            valid = codes[place] != classes.nodata
            own = codes[place][valid]
            for group in groups:
                chosen = group_of[own] == group
                if chosen.any():
                    kept[group].add(keys[valid][chosen], values[place][valid][chosen], own[chosen])
    parts = [rows for reservoir in kept.values() if (rows := reservoir.rows())]
    _, chosen_features, chosen_labels = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return Pixels(chosen_features, chosen_labels)


def _groups(classes: ClassScheme, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group of each label: its class, or its rarest mask, counted from 1; 0 for no mask."""
    labels = np.arange(classes.n_labels)
    if not classes.has_masks:
        return labels
    group = np.zeros(len(labels), np.int64)
    for mask in np.argsort(-counts, kind="stable"):  # The rarest comes last and counts.
        group[labels >> mask & 1 > 0] = mask + 1
    return group

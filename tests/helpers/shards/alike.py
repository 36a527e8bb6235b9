"""Tiles of some places, several pictures of each: shifted, brighter or darker, under cloud."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_samples.kelp import rough

WATER = 150.0
_MARGIN = 5


def land(rng: np.random.Generator, edge: int) -> np.ndarray:
    return 800 + 150 * rough(rng, edge, 1.6)


def coast(rng: np.random.Generator, edge: int) -> np.ndarray:
    height = rough(rng, edge, 2.2)
    is_land = height > np.quantile(height, rng.uniform(0.4, 0.85))
    return np.where(is_land, land(rng, edge), WATER)


def water(rng: np.random.Generator, edge: int) -> np.ndarray:
    """Water with a gentle slope of brightness, as of sun glint."""
    rows, cols = np.mgrid[:edge, :edge] / edge
    return WATER + rng.uniform(-20, 20) * rows + rng.uniform(-20, 20) * cols


def pictures(
    rng: np.random.Generator, place: Callable[..., np.ndarray], count: int, edge: int
) -> list[np.ndarray]:
    """Pictures of a place: the first as it is, the others shifted, of other brightness, clouded."""
    ground = place(rng, edge + 2 * _MARGIN)
    found = []
    for number in range(count):
        row, col = _MARGIN + (rng.integers(-5, 6, 2) if number else np.zeros(2, int))
        picture = ground[row : row + edge, col : col + edge] + rng.normal(0, 6, (edge, edge))
        if number:
            cloud = rough(rng, edge, 2.2)
            is_cloud = cloud > np.quantile(cloud, 0.7)
            picture = picture * rng.uniform(0.9, 1.1)
            picture = np.where(is_cloud, 2500 + 300 * rough(rng, edge, 1.6), picture)
        found.append(picture)
    return found

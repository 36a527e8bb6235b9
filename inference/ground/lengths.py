"""Lengths on the ground, and the scale bar and north arrow of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Ground, ground_of
from inference.ground.nodes import along_parallels, changes, find_nodes, follows_parallels
from polynya.compiled import compiled
from polynya.scenes.scene import Scene

_ONE_SCALE, _ONE_NORTH = 1.1, 0.985
"""Limits for a scale bar and a north arrow in a picture: greatest ratio of pixel sizes, and least
cosine (10 degrees) between directions."""


def to_map(corners: NDArray[np.int32], scene: Scene) -> NDArray[np.float64]:
    """Compute the map coordinates of pixel corners.

    Without a transform, x is the column and y the negative row, as in QGIS.

    Args:
        corners: int32 (K, 2), column and row; (0, 0) is the upper left corner of the scene.
        scene: Scene with the transform.

    Returns:
        float64 (K, 2), x and y in the scene's CRS.
    """
    a, b, c, d, e, f = scene.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    x, y = corners[:, 0], corners[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


class Lengths:
    """Lengths on the ground of lines along the edges of a scene's pixels."""

    def __init__(self, ground: Ground, height: int, width: int) -> None:
        if follows_parallels(ground):
            down, across = along_parallels(ground, height)
        else:
            nodes = find_nodes(ground, height, width)
            down, across = nodes.down, nodes.across
        self._down, self._across = down, across
        self._spacing = height / (len(down) - 1), width / (down.shape[1] - 1)

    @classmethod
    def of(cls, scene: Scene) -> Lengths | None:
        """Prepare lengths for a scene; None if the ground is unknown."""
        ground = ground_of(scene)
        return None if ground is None else cls(ground, scene.height, scene.width)

    def steps(self, corners: NDArray[np.int32]) -> NDArray[np.float64]:
        """Compute the metres from each point to the next.

        Args:
            corners: int32 (K, 2), column and row of pixel corners; a step goes along a column or
                along a row.

        Returns:
            float64 (K - 1,), 0 for other steps; NaN off the Earth.
        """
        lengths = np.zeros(max(0, len(corners) - 1))
        _add_steps(lengths, corners, self._down, self._across, *self._spacing)
        return lengths


def pixel_size(scene: Scene) -> tuple[float, float] | None:
    """Height and width in metres of the pixel at the centre of a scene; None if unknown."""
    lengths = Lengths.of(scene)
    if lengths is None:
        return None
    column, row = scene.width // 2, scene.height // 2
    corners = np.array([[column, row], [column, row + 1], [column + 1, row + 1]], np.int32)
    down, across = (float(length) for length in lengths.steps(corners))
    return (down, across) if np.isfinite([down, across]).all() and down * across > 0 else None


@dataclass(frozen=True)
class MapScale:
    """Scale and north direction of a picture of a scene."""

    metres: float
    """Width of a pixel on the ground."""
    north: tuple[float, float] | None
    """Direction of north (right, down), a vector of length 1; None if the direction differs by more
    than a few degrees within the scene."""


def map_scale(scene: Scene) -> MapScale | None:
    """Find the scale bar and north arrow for a whole scene.

    Returns:
        None if the ground is unknown, or if pixels in one part of the scene are more than a tenth
        larger than in another part.
    """
    ground = ground_of(scene)
    if ground is None:
        return None
    share = np.array([0.02, 0.5, 0.98])
    rows, columns = np.meshgrid(share * scene.height, share * scene.width, indexing="ij")
    across, down = changes(ground, rows.ravel(), columns.ravel(), 0.5)
    metres = np.linalg.norm(across, axis=1)
    if not np.isfinite(metres).all() or metres.max() > _ONE_SCALE * metres.min():
        return None
    lon, lat = np.radians(ground.lon_lat(columns.ravel(), rows.ravel())).T
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=1)
    ways = [
        np.linalg.lstsq(np.stack(pair, axis=1), up, rcond=None)[0]
        for *pair, up in zip(across, down, north, strict=True)
    ]
    ways = [way / np.linalg.norm(way) for way in ways]
    middle = ways[len(ways) // 2]
    is_one = min(float(way @ middle) for way in ways) > _ONE_NORTH
    of_middle = float(metres[len(metres) // 2])
    return MapScale(of_middle, (float(middle[0]), float(middle[1])) if is_one else None)


@compiled
def _add_steps(
    lengths: NDArray[np.float64],
    corners: NDArray[np.int32],
    down: NDArray[np.float64],
    across: NDArray[np.float64],
    row_spacing: float,
    column_spacing: float,
) -> None:
    last_row, last_column = down.shape[0] - 2, down.shape[1] - 2
    for step in range(len(lengths)):
        column, row = float(corners[step, 0]), float(corners[step, 1])
        right, below = corners[step + 1, 0] - column, corners[step + 1, 1] - row
        if right != 0 and below != 0:
            continue
        size = across if below == 0 else down
        # Long lines are divided into parts no longer than a cell; the centre of a part gives its
        # length.
        parts = 1 + int(max(abs(right) / column_spacing, abs(below) / row_spacing))
        total = 0.0
        for part in range(parts):
            share = (part + 0.5) / parts
            y, x = (row + share * below) / row_spacing, (column + share * right) / column_spacing
            i, j = min(int(y), last_row), min(int(x), last_column)
            v, u = y - i, x - j
            total += (1 - v) * ((1 - u) * size[i, j] + u * size[i, j + 1]) + v * (
                (1 - u) * size[i + 1, j] + u * size[i + 1, j + 1]
            )
        lengths[step] = total / parts * (abs(right) + abs(below))

"""Areas on the ground, on the ellipsoid of a scene's coordinate system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Ground, Numbers, ground_of, map_unit
from inference.ground.nodes import (
    TOLERANCE,
    Nodes,
    between_parallels,
    find_nodes,
    follows_parallels,
    interpolation_errors,
)
from polynya.compiled import compiled
from polynya.scenes.scene import Scene

_EQUAL_AREA = {
    "Albers Equal Area",
    "Equal Earth",
    "Lambert Azimuthal Equal Area",
    "Lambert Cylindrical Equal Area",
    "Sinusoidal",
}
"""Methods of projections that are equal-area on the ellipsoid in PROJ, not only on a sphere."""


@dataclass(frozen=True)
class PixelAreas:
    """Areas of all pixels of a scene, square metres."""

    by_row: Numbers | None
    """float64 (H,), area of a pixel in each row if all pixels of a row are equal; else None."""
    nodes: Nodes | None
    """Otherwise."""
    ground: Ground
    height: int
    width: int

    def rows(self, start: int, stop: int) -> Numbers:
        """Compute the areas of pixels in some rows.

        Returns:
            float64 (n, 1) if all pixels of a row are equal, else (n, W); NaN off the Earth.
        """
        if self.by_row is not None:
            return self.by_row[start:stop, None]
        assert self.nodes is not None
        areas = np.empty((stop - start, self.width))
        _fill_means(areas, self.nodes.area, start, self.height)
        if self.nodes.rough.any():
            self._look_closely(areas, start, self.nodes.rough)
        return areas

    def _look_closely(self, areas: Numbers, start: int, rough: NDArray[np.bool_]) -> None:
        """Measure pixels in rough cells one by one, and replace their interpolated areas."""
        middles = (start + np.arange(len(areas)) + 0.5, np.arange(self.width) + 0.5)
        cells = [
            (middle / size * count).astype(np.int64)
            for middle, size, count in zip(
                middles, (self.height, self.width), rough.shape, strict=True
            )
        ]
        row, column = np.nonzero(rough[np.ix_(*cells)])
        x, y = column.astype(np.float64), (start + row).astype(np.float64)
        if len(row):
            corners = [
                self.ground.surface(x + right, y + below)
                for right, below in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
            ]
            diagonals = corners[2] - corners[0], corners[3] - corners[1]
            areas[row, column] = np.linalg.norm(np.cross(*diagonals), axis=1) / 2


def pixel_areas(scene: Scene) -> PixelAreas | None:
    """Prepare the areas of a scene's pixels on the ellipsoid of its CRS.

    If rows follow parallels, the area between parallels: Snyder 1987, Map Projections, equation
    3-12. On equal-area maps, the area on the map. Otherwise, from the scale of the map at points
    all over the scene.

    Returns:
        None if the ground is unknown (`inference.ground.coordinates.find_ground`).
    """
    ground = ground_of(scene)
    if ground is None:
        return None
    height, width = scene.height, scene.width
    if follows_parallels(ground):
        by_row = between_parallels(ground, height)
        return PixelAreas(by_row, None, ground, height, width)
    on_map = _area_on_map(ground)
    if on_map is not None and _method(ground) in _EQUAL_AREA:
        return PixelAreas(np.full(height, on_map), None, ground, height, width)
    nodes = find_nodes(ground, height, width)
    # Close to a true parallel, the area on the map may be accurate enough.
    if (
        on_map is not None
        and interpolation_errors(nodes.area, np.full_like(nodes.area, on_map)).max() < TOLERANCE
    ):
        return PixelAreas(np.full(height, on_map), None, ground, height, width)
    return PixelAreas(None, nodes, ground, height, width)


def class_areas(
    codes: NDArray[np.uint8], classes: tuple[int, ...], areas: PixelAreas
) -> NDArray[np.float64]:
    """Compute the area of each class of a map, float64 (C,), square metres.

    NaN if some pixels of the class are off the Earth.
    """
    if areas.by_row is not None:
        counts = [(codes == code).sum(axis=1) for code in classes]
        return np.array([of_row @ areas.by_row for of_row in counts])
    return label_areas(codes, areas)[list(classes)]


def label_areas(codes: NDArray[np.uint8], areas: PixelAreas) -> NDArray[np.float64]:
    """Compute the area of each code 0..255, float64 (256,), square metres.

    NaN if some pixels with the code are off the Earth.
    """
    sums = np.zeros(256)
    for row in range(0, len(codes), _ROWS):
        part = codes[row : row + _ROWS]
        add_areas(sums, part, areas.rows(row, row + len(part)))
    return sums


_ROWS = 64
"""Rows of areas that are in memory at once."""


@compiled
def add_areas(
    sums: NDArray[np.float64], numbers: NDArray[np.integer[Any]], areas: NDArray[np.float64]
) -> None:
    """Add the area of each pixel to the sum for the pixel's number.

    Args:
        sums: float64 (N,); changed in place.
        numbers: Integers (n, W), 0 to N - 1.
        areas: float64, (n, W), or (n, 1) for rows of equal pixels.
    """
    of_row = areas.shape[1] == 1
    for row in range(numbers.shape[0]):
        for column in range(numbers.shape[1]):
            sums[numbers[row, column]] += areas[row, 0 if of_row else column]


def sum_areas(numbers: NDArray[np.int32], areas: PixelAreas, count: int) -> NDArray[np.float64]:
    """Compute areas of `count` regions, float64 (N,), from region numbers, int32 (H, W)."""
    sums = np.zeros(count)
    for row in range(0, len(numbers), _ROWS):
        part = numbers[row : row + _ROWS]
        add_areas(sums, part, areas.rows(row, row + len(part)))
    return sums


def _area_on_map(ground: Ground) -> float | None:
    if ground.affine is None or ground.crs.is_geographic:
        return None
    a, b, _, d, e, _ = ground.affine
    return float(abs(a * e - b * d) * map_unit(ground.crs) ** 2)


def _method(ground: Ground) -> str:
    operation = ground.crs.coordinate_operation
    return operation.method_name if operation else ""


@compiled
def _fill_means(
    means: NDArray[np.float64], nodes: NDArray[np.float64], start: int, height: int
) -> None:
    """Compute means over pixels of values that are linear between nodes.

    Args:
        means: float64 (n, W), the result; filled in place.
        nodes: float64 (rows, columns), in equal steps over the whole scene.
        start: Row of the scene that is the first row of `means`.
        height: Number of rows of the scene.
    """
    rows, width = means.shape
    last_row, last_column = nodes.shape[0] - 2, nodes.shape[1] - 2
    spacing = height / (last_row + 1), width / (last_column + 1)
    # Sums from the first node down to the upper edge of a row, and down to its lower edge.
    above, below = np.zeros(nodes.shape[1]), np.zeros(nodes.shape[1])
    line = np.zeros(nodes.shape[1])
    for row in range(-1, rows):
        edge = (start + row + 1) / spacing[0]
        cell = min(int(edge), last_row)
        share = edge - cell
        for column in range(nodes.shape[1]):
            total = 0.0
            for i in range(cell):
                total += (nodes[i, column] + nodes[i + 1, column]) / 2
            change = nodes[cell + 1, column] - nodes[cell, column]
            total += share * (nodes[cell, column] + share / 2 * change)
            above[column], below[column] = below[column], total * spacing[0]
        if row < 0:
            continue
        for column in range(nodes.shape[1]):
            line[column] = below[column] - above[column]
        sum_of_cells, of_cell, before = 0.0, 0, 0.0
        for column in range(width):
            edge = (column + 1) / spacing[1]
            cell = min(int(edge), last_column)
            while of_cell < cell:
                sum_of_cells += (line[of_cell] + line[of_cell + 1]) / 2
                of_cell += 1
            share = edge - cell
            total = sum_of_cells + share * (line[cell] + share / 2 * (line[cell + 1] - line[cell]))
            total *= spacing[1]
            means[row, column] = total - before
            before = total

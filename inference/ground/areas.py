"""Areas and lengths on the ground, whatever coordinate system a scene has.

Both are those of the CRS's ellipsoid. A grid of nodes over the scene says how large and how long
pixels are there; between nodes it is linear. It is made finer until it tells less than a millionth
too much or too little, which takes nine nodes a side for most scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Ground, Numbers, ground_of, map_unit
from polynya.compiled import compiled
from polynya.scenes.scene import Scene

_FIRST_CELLS, _MOST_CELLS = 8, 256
"""Cells between nodes along a side of a scene."""
_TOLERANCE = 1e-6
_ROUGH = 1e-4
"""Cells whose nodes tell less truly than this are looked at pixel by pixel: near the limb of the
Earth, or a pole of some projections."""
_STEP = 50.0
"""Metres over which differences are taken: far above the noise of projections, far below what they
change in."""

_ONE_SCALE, _ONE_NORTH = 1.1, 0.985
"""Greatest ratio of pixels' sizes, least cosine (10 degrees) of directions, in one picture."""

_EQUAL_AREA = {
    "Albers Equal Area",
    "Equal Earth",
    "Lambert Azimuthal Equal Area",
    "Lambert Cylindrical Equal Area",
    "Sinusoidal",
}
"""Methods of projections that PROJ makes equal-area on the ellipsoid itself."""


@dataclass(frozen=True)
class _Nodes:
    """How large pixels are at the nodes of a regular grid, the scene's corners included."""

    across: Numbers
    """float64 (n, m), metres of a pixel from left to right."""
    down: Numbers
    """float64 (n, m), from top to bottom."""
    area: Numbers
    """float64 (n, m), square metres; 0 off the Earth."""
    rough: NDArray[np.bool_]
    """bool (n - 1, m - 1), cells where nodes aren't enough."""


@dataclass(frozen=True)
class PixelAreas:
    """Area of every pixel of a scene, square metres."""

    by_row: Numbers | None
    """float64 (H,), where all pixels of a row are equal."""
    nodes: _Nodes | None
    """Otherwise."""
    ground: Ground
    height: int
    width: int

    def rows(self, start: int, stop: int) -> Numbers:
        """Areas in some rows.

        Returns:
            float64 (n, 1) where all pixels of a row are equal, else (n, W); NaN off the Earth.
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
        """Replace what the nodes say of pixels in rough cells by the size of each."""
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
    """Area of the pixels of a scene on the ellipsoid of its CRS.

    Between parallels, where rows follow them: Snyder 1987, Map Projections, equation 3-12. On
    equal-area maps that of the map. Otherwise from the scale of the map at places all over the
    scene.

    Returns:
        None where nothing is known of the ground (`inference.ground.coordinates.find_ground`).
    """
    ground = ground_of(scene)
    if ground is None:
        return None
    height, width = scene.height, scene.width
    if _follows_parallels(ground):
        by_row = _between_parallels(ground, height)
        return PixelAreas(by_row, None, ground, height, width)
    on_map = _area_on_map(ground)
    if on_map is not None and _method(ground) in _EQUAL_AREA:
        return PixelAreas(np.full(height, on_map), None, ground, height, width)
    nodes = _nodes(ground, height, width)
    # Close to a true parallel a map may be so good that its own area is as right.
    if (
        on_map is not None
        and _errors(nodes.area, np.full_like(nodes.area, on_map)).max() < _TOLERANCE
    ):
        return PixelAreas(np.full(height, on_map), None, ground, height, width)
    return PixelAreas(None, nodes, ground, height, width)


def class_areas(
    codes: NDArray[np.uint8], classes: tuple[int, ...], areas: PixelAreas
) -> NDArray[np.float64]:
    """Area of each class of a map, float64 (C,), square metres.

    NaN where some of its pixels are off the Earth.
    """
    if areas.by_row is not None:
        counts = [(codes == code).sum(axis=1) for code in classes]
        return np.array([of_row @ areas.by_row for of_row in counts])
    sums = np.zeros(256)
    for row in range(0, len(codes), _ROWS):
        part = codes[row : row + _ROWS]
        add_areas(sums, part, areas.rows(row, row + len(part)))
    return sums[list(classes)]


_ROWS = 64
"""Rows of areas that are held at once."""


@compiled
def add_areas(
    sums: NDArray[np.float64], numbers: NDArray[np.integer[Any]], areas: NDArray[np.float64]
) -> None:
    """Add the area of each pixel to the sum of its number.

    Args:
        sums: float64 (N,), is changed.
        numbers: Integers (n, W), 0 to N - 1.
        areas: float64, (n, W), or (n, 1) for rows of equal pixels.
    """
    of_row = areas.shape[1] == 1
    for row in range(numbers.shape[0]):
        for column in range(numbers.shape[1]):
            sums[numbers[row, column]] += areas[row, 0 if of_row else column]


def sum_areas(numbers: NDArray[np.int32], areas: PixelAreas, count: int) -> NDArray[np.float64]:
    """Area of each of `count` regions whose numbers are given, int32 (H, W): float64 (N,)."""
    sums = np.zeros(count)
    for row in range(0, len(numbers), _ROWS):
        part = numbers[row : row + _ROWS]
        add_areas(sums, part, areas.rows(row, row + len(part)))
    return sums


def to_map(corners: NDArray[np.int32], scene: Scene) -> NDArray[np.float64]:
    """Coordinates of corners of pixels on the map.

    Without transform, x is the column and y the negative row, as QGIS shows such images.

    Args:
        corners: int32 (K, 2), column and row; (0, 0) is the upper left corner of the scene.
        scene: Gives the transform.

    Returns:
        float64 (K, 2), x and y in the scene's CRS.
    """
    a, b, c, d, e, f = scene.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    x, y = corners[:, 0], corners[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


class Lengths:
    """Lengths on the ground of lines along the edges of a scene's pixels."""

    def __init__(self, ground: Ground, height: int, width: int) -> None:
        if _follows_parallels(ground):
            down, across = _along_parallels(ground, height)
        else:
            nodes = _nodes(ground, height, width)
            down, across = nodes.down, nodes.across
        self._down, self._across = down, across
        self._spacing = height / (len(down) - 1), width / (down.shape[1] - 1)

    @classmethod
    def of(cls, scene: Scene) -> Lengths | None:
        """None where nothing is known of the ground."""
        ground = ground_of(scene)
        return None if ground is None else cls(ground, scene.height, scene.width)

    def steps(self, corners: NDArray[np.int32]) -> NDArray[np.float64]:
        """Metres from each point to the next.

        Args:
            corners: int32 (K, 2), column and row of corners of pixels; a step goes along a column
                or a row.

        Returns:
            float64 (K - 1,), 0 for steps that do neither; NaN off the Earth.
        """
        lengths = np.zeros(max(0, len(corners) - 1))
        _add_steps(lengths, corners, self._down, self._across, *self._spacing)
        return lengths


def pixel_size(scene: Scene) -> tuple[float, float] | None:
    """Metres of the pixel in the middle of a scene, down and across; None if it isn't known."""
    lengths = Lengths.of(scene)
    if lengths is None:
        return None
    column, row = scene.width // 2, scene.height // 2
    corners = np.array([[column, row], [column, row + 1], [column + 1, row + 1]], np.int32)
    down, across = (float(length) for length in lengths.steps(corners))
    return (down, across) if np.isfinite([down, across]).all() and down * across > 0 else None


@dataclass(frozen=True)
class MapScale:
    """How far and which way things are in a picture of a scene."""

    metres: float
    """Ground under a pixel, from left to right."""
    north: tuple[float, float] | None
    """Where north is: to the right and down, a vector of length 1; None where that differs by more
    than a few degrees in the scene."""


def map_scale(scene: Scene) -> MapScale | None:
    """What a scale bar and an arrow may say of a whole scene.

    Returns:
        None where nothing is known of the ground, or where pixels in one part of the scene are
        more than a tenth larger than in another.
    """
    ground = ground_of(scene)
    if ground is None:
        return None
    share = np.array([0.02, 0.5, 0.98])
    rows, columns = np.meshgrid(share * scene.height, share * scene.width, indexing="ij")
    across, down = _changes(ground, rows.ravel(), columns.ravel(), 0.5)
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


def _follows_parallels(ground: Ground) -> bool:
    if ground.affine is None or not ground.is_plain_geographic:
        return False
    _, b, _, d, _, _ = ground.affine
    return b == d == 0


def _latitudes(ground: Ground, height: int) -> Numbers:
    """Latitudes of the edges of rows, radians."""
    assert ground.affine is not None
    e, f = ground.affine[4:]
    edges = (f + e * np.arange(height + 1)) * ground.degrees_per_unit
    return np.radians(np.clip(edges, -90, 90))


def _pixel_longitude(ground: Ground) -> float:
    assert ground.affine is not None
    return float(np.radians(abs(ground.affine[0]) * ground.degrees_per_unit))


def _between_parallels(ground: Ground, height: int) -> Numbers:
    zones = _zone(_latitudes(ground, height), ground)
    return np.asarray(np.abs(np.diff(zones)) * _pixel_longitude(ground), np.float64)


def _zone(latitude: Numbers, ground: Ground) -> Numbers:
    """Area from the equator to a latitude (radians) per radian of longitude, square metres."""
    eccentricity = np.sqrt(ground.eccentricity2)
    sine = np.sin(latitude)
    q = sine / (1 - (eccentricity * sine) ** 2)
    # The limit of the second term on a sphere.
    q += np.arctanh(eccentricity * sine) / eccentricity if eccentricity else sine
    return np.asarray(ground.axis**2 * (1 - ground.eccentricity2) / 2 * q, np.float64)


def _along_parallels(ground: Ground, height: int) -> tuple[Numbers, Numbers]:
    """Metres of a pixel down and across at the edges of rows, float64 (H + 1, 2) both."""
    latitudes = _latitudes(ground, height)
    assert ground.affine is not None
    root = np.sqrt(1 - ground.eccentricity2 * np.sin(latitudes) ** 2)
    across = ground.axis / root * np.cos(latitudes) * _pixel_longitude(ground)
    turn = np.radians(abs(ground.affine[4]) * ground.degrees_per_unit)
    down = ground.axis * (1 - ground.eccentricity2) / root**3 * turn
    return np.repeat(down[:, None], 2, axis=1), np.repeat(across[:, None], 2, axis=1)


def _area_on_map(ground: Ground) -> float | None:
    if ground.affine is None or ground.crs.is_geographic:
        return None
    a, b, _, d, e, _ = ground.affine
    return float(abs(a * e - b * d) * map_unit(ground.crs) ** 2)


def _method(ground: Ground) -> str:
    operation = ground.crs.coordinate_operation
    return operation.method_name if operation else ""


def _nodes(ground: Ground, height: int, width: int) -> _Nodes:
    """Nodes close enough to each other, if there are that many."""
    cells = _FIRST_CELLS
    step = _step(ground, height, width)
    before = _measured(ground, height, width, cells // 2, step)
    while True:
        found = _measured(ground, height, width, cells, step)
        guesses = [_refined(values) for values in before]
        # Halving the cells makes the error four times smaller.
        errors = [_errors(values, guess) / 4 for values, guess in zip(found, guesses, strict=True)]
        worst = np.max(errors, axis=0)
        if np.nan_to_num(worst).max() <= _TOLERANCE or cells >= _MOST_CELLS:
            break
        cells, before = 2 * cells, found
    rough = _any_corner(~np.isfinite(worst) | (worst > _ROUGH))
    if rough.any():
        # Pixels reach into cells beside the one that their middle is in, or are larger than cells.
        rough = _any_corner(_any_corner(np.pad(rough, 1)))
        if min(height, width) < 2 * cells:
            rough = np.ones_like(rough)
    across, down, area = found
    return _Nodes(across, down, np.nan_to_num(area, nan=0.0), rough)


def _step(ground: Ground, height: int, width: int) -> float:
    """Pixels in about `_STEP` metres."""
    _, _, area = _measured(ground, height, width, _FIRST_CELLS, 0.5)
    known = area[np.isfinite(area) & (area > 0)]
    return float(_STEP / np.sqrt(np.median(known))) if len(known) else 0.5


def _measured(
    ground: Ground, height: int, width: int, cells: int, step: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Across, down and area of a pixel at (cells + 1, cells + 1) nodes."""
    grid = np.meshgrid(
        np.linspace(0, height, cells + 1), np.linspace(0, width, cells + 1), indexing="ij"
    )
    rows, columns = (positions.ravel() for positions in grid)

    across, down = _changes(ground, rows, columns, step)
    sizes = (
        np.linalg.norm(across, axis=1),
        np.linalg.norm(down, axis=1),
        np.linalg.norm(np.cross(across, down), axis=1),
    )
    shape = (cells + 1, cells + 1)
    return sizes[0].reshape(shape), sizes[1].reshape(shape), sizes[2].reshape(shape)


def _changes(
    ground: Ground, rows: Numbers, columns: Numbers, step: float
) -> tuple[Numbers, Numbers]:
    """Which way and how far a pixel goes to the right and down, float64 (N, 3) both, metres."""

    def change(right: float, below: float) -> Numbers:
        ahead = ground.surface(columns + right, rows + below)
        return (ahead - ground.surface(columns - right, rows - below)) / (2 * step)

    return change(step, 0.0), change(0.0, step)


def _refined(values: Numbers) -> Numbers:
    """Values between the nodes too, (2 n - 1, 2 m - 1)."""
    for _ in range(2):
        finer = np.empty((2 * len(values) - 1, values.shape[1]))
        finer[::2], finer[1::2] = values, (values[:-1] + values[1:]) / 2
        values = finer.T
    return values


def _errors(values: Numbers, guess: Numbers) -> Numbers:
    """Relative differences; not finite where one of them isn't known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(values - guess) / np.abs(values)


def _any_corner(nodes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells with such a node at one of their corners."""
    beside = nodes[:-1] | nodes[1:]
    return np.asarray(beside[:, :-1] | beside[:, 1:])


@compiled
def _fill_means(
    means: NDArray[np.float64], nodes: NDArray[np.float64], start: int, height: int
) -> None:
    """Means over pixels of what is linear between nodes.

    Args:
        means: float64 (n, W), is filled.
        nodes: float64 (rows, columns), in equal steps over the whole scene.
        start: Row of the scene that is the first of `means`.
        height: Rows of the scene.
    """
    rows, width = means.shape
    last_row, last_column = nodes.shape[0] - 2, nodes.shape[1] - 2
    spacing = height / (last_row + 1), width / (last_column + 1)
    # Sums from the first node on down to the upper edge of a row, and to its lower one.
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
        # Long lines in parts no longer than a cell, each as long as its middle says.
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

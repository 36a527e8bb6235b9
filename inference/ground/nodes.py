"""Sizes of pixels on the ground, at the nodes of a grid over a scene.

Lengths are measured on the CRS's ellipsoid, and are linear between nodes. The grid is refined until
the relative error is below a millionth. For most scenes, nine nodes per side are enough. If rows
follow parallels, sums over latitudes are used instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Ground, Numbers

_FIRST_CELLS, _MOST_CELLS = 8, 256
"""Number of cells between nodes along a side of a scene, at first and at most."""

TOLERANCE = 1e-6

_ROUGH = 1e-4
"""Relative error above which all pixels of a cell are measured one by one. Such cells are near the
limb of the Earth, or near a pole in some projections."""

_STEP = 50.0
"""Distance in metres for finite differences: much longer than the noise of projections, and much
shorter than the distance over which scales change."""


@dataclass(frozen=True)
class Nodes:
    """Sizes of pixels at the nodes of a regular grid, with nodes at the scene's corners."""

    across: Numbers
    """float64 (n, m), width of a pixel in metres."""
    down: Numbers
    """float64 (n, m), height of a pixel in metres."""
    area: Numbers
    """float64 (n, m), square metres; 0 off the Earth."""
    rough: NDArray[np.bool_]
    """bool (n - 1, m - 1), cells where interpolation between nodes isn't accurate enough."""


def find_nodes(ground: Ground, height: int, width: int) -> Nodes:
    """Refine the grid until interpolation is accurate, or until it has `_MOST_CELLS` cells."""
    cells = _FIRST_CELLS
    step = _step(ground, height, width)
    before = _measured(ground, height, width, cells // 2, step)
    while True:
        found = _measured(ground, height, width, cells, step)
        guesses = [_refined(values) for values in before]
        # Cells of half the size make the error four times smaller.
        errors = [
            interpolation_errors(values, guess) / 4
            for values, guess in zip(found, guesses, strict=True)
        ]
        worst = np.max(errors, axis=0)
        if np.nan_to_num(worst).max() <= TOLERANCE or cells >= _MOST_CELLS:
            break
        cells, before = 2 * cells, found
    rough = _any_corner(~np.isfinite(worst) | (worst > _ROUGH))
    if rough.any():
        # Pixels reach into neighbouring cells, or are larger than cells.
        rough = _any_corner(_any_corner(np.pad(rough, 1)))
        if min(height, width) < 2 * cells:
            rough = np.ones_like(rough)
    across, down, area = found
    return Nodes(across, down, np.nan_to_num(area, nan=0.0), rough)


def _step(ground: Ground, height: int, width: int) -> float:
    """Approximate number of pixels in `_STEP` metres."""
    _, _, area = _measured(ground, height, width, _FIRST_CELLS, 0.5)
    known = area[np.isfinite(area) & (area > 0)]
    return float(_STEP / np.sqrt(np.median(known))) if len(known) else 0.5


def _measured(
    ground: Ground, height: int, width: int, cells: int, step: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Measure width, height and area of a pixel at (cells + 1, cells + 1) nodes."""
    grid = np.meshgrid(
        np.linspace(0, height, cells + 1), np.linspace(0, width, cells + 1), indexing="ij"
    )
    rows, columns = (positions.ravel() for positions in grid)

    across, down = changes(ground, rows, columns, step)
    sizes = (
        np.linalg.norm(across, axis=1),
        np.linalg.norm(down, axis=1),
        np.linalg.norm(np.cross(across, down), axis=1),
    )
    shape = (cells + 1, cells + 1)
    return sizes[0].reshape(shape), sizes[1].reshape(shape), sizes[2].reshape(shape)


def changes(
    ground: Ground, rows: Numbers, columns: Numbers, step: float
) -> tuple[Numbers, Numbers]:
    """Vectors on the ground of one pixel to the right and one down, float64 (N, 3), metres."""

    def change(right: float, below: float) -> Numbers:
        ahead = ground.surface(columns + right, rows + below)
        return (ahead - ground.surface(columns - right, rows - below)) / (2 * step)

    return change(step, 0.0), change(0.0, step)


def _refined(values: Numbers) -> Numbers:
    """Interpolate values to twice as many cells, (2 n - 1, 2 m - 1)."""
    for _ in range(2):
        finer = np.empty((2 * len(values) - 1, values.shape[1]))
        finer[::2], finer[1::2] = values, (values[:-1] + values[1:]) / 2
        values = finer.T
    return values


def interpolation_errors(values: Numbers, guess: Numbers) -> Numbers:
    """Compute relative differences; not finite if a value is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(values - guess) / np.abs(values)


def _any_corner(nodes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find cells with a True node at a corner."""
    beside = nodes[:-1] | nodes[1:]
    return np.asarray(beside[:, :-1] | beside[:, 1:])


def follows_parallels(ground: Ground) -> bool:
    """Whether rows lie along parallels, so that sums over latitudes are exact."""
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


def between_parallels(ground: Ground, height: int) -> Numbers:
    """Area of a pixel of each row, float64 (H,), square metres."""
    zones = _zone(_latitudes(ground, height), ground)
    return np.asarray(np.abs(np.diff(zones)) * _pixel_longitude(ground), np.float64)


def _zone(latitude: Numbers, ground: Ground) -> Numbers:
    """Area from the equator to a latitude (radians) per radian of longitude, square metres."""
    eccentricity = np.sqrt(ground.eccentricity2)
    sine = np.sin(latitude)
    q = sine / (1 - (eccentricity * sine) ** 2)
    # On a sphere, the second term has the limit `sine`.
    q += np.arctanh(eccentricity * sine) / eccentricity if eccentricity else sine
    return np.asarray(ground.axis**2 * (1 - ground.eccentricity2) / 2 * q, np.float64)


def along_parallels(ground: Ground, height: int) -> tuple[Numbers, Numbers]:
    """Height and width of a pixel at the edges of rows, float64 (H + 1, 2) each, metres."""
    latitudes = _latitudes(ground, height)
    assert ground.affine is not None
    root = np.sqrt(1 - ground.eccentricity2 * np.sin(latitudes) ** 2)
    across = ground.axis / root * np.cos(latitudes) * _pixel_longitude(ground)
    turn = np.radians(abs(ground.affine[4]) * ground.degrees_per_unit)
    down = ground.axis * (1 - ground.eccentricity2) / root**3 * turn
    return np.repeat(down[:, None], 2, axis=1), np.repeat(across[:, None], 2, axis=1)

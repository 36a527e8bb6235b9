"""How large and how long pixels are on the ground, at the nodes of a grid over a scene.

Lengths are those of the CRS's ellipsoid. Between nodes they are linear. The grid is made finer
until it tells less than a millionth too much or too little, which takes nine nodes a side for most
scenes. Where rows follow parallels, sums over latitudes are used instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ground.coordinates import Ground, Numbers

_FIRST_CELLS, _MOST_CELLS = 8, 256
"""Cells between nodes along a side of a scene."""

TOLERANCE = 1e-6

_ROUGH = 1e-4
"""Cells whose nodes tell less truly than this are looked at pixel by pixel: near the limb of the
Earth, or a pole of some projections."""

_STEP = 50.0
"""Metres over which differences are taken: far above the noise of projections, far below what they
change in."""


@dataclass(frozen=True)
class Nodes:
    """How large pixels are at the nodes of a regular grid, the scene's corners included."""

    across: Numbers
    """float64 (n, m), metres of a pixel from left to right."""
    down: Numbers
    """float64 (n, m), from top to bottom."""
    area: Numbers
    """float64 (n, m), square metres; 0 off the Earth."""
    rough: NDArray[np.bool_]
    """bool (n - 1, m - 1), cells where nodes aren't enough."""


def find_nodes(ground: Ground, height: int, width: int) -> Nodes:
    """Nodes close enough to each other, if there are that many."""
    cells = _FIRST_CELLS
    step = _step(ground, height, width)
    before = _measured(ground, height, width, cells // 2, step)
    while True:
        found = _measured(ground, height, width, cells, step)
        guesses = [_refined(values) for values in before]
        # Halving the cells makes the error four times smaller.
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
        # Pixels reach into cells beside the one that their middle is in, or are larger than cells.
        rough = _any_corner(_any_corner(np.pad(rough, 1)))
        if min(height, width) < 2 * cells:
            rough = np.ones_like(rough)
    across, down, area = found
    return Nodes(across, down, np.nan_to_num(area, nan=0.0), rough)


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


def interpolation_errors(values: Numbers, guess: Numbers) -> Numbers:
    """Relative differences; not finite where one of them isn't known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(values - guess) / np.abs(values)


def _any_corner(nodes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells with such a node at one of their corners."""
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
    """Square metres of a pixel of each row, float64 (H,)."""
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


def along_parallels(ground: Ground, height: int) -> tuple[Numbers, Numbers]:
    """Metres of a pixel down and across at the edges of rows, float64 (H + 1, 2) both."""
    latitudes = _latitudes(ground, height)
    assert ground.affine is not None
    root = np.sqrt(1 - ground.eccentricity2 * np.sin(latitudes) ** 2)
    across = ground.axis / root * np.cos(latitudes) * _pixel_longitude(ground)
    turn = np.radians(abs(ground.affine[4]) * ground.degrees_per_unit)
    down = ground.axis * (1 - ground.eccentricity2) / root**3 * turn
    return np.repeat(down[:, None], 2, axis=1), np.repeat(across[:, None], 2, axis=1)

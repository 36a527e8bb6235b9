"""The shadow of cloud that the short waves show.

A cloud's shadow lies on the side away from the sun and has the cloud's shape. How far away depends
on the cloud's height, which nobody knows. So the haze is shifted step by step along the sun's
direction, and for each distance and depth of a shadow the changes inside segments tell how well it
explains them (as in the matching of clouds with their shadows of Zhu & Woodcock 2012, Remote Sens.
Environ. 118, 83). A surface that changes softly doesn't have the shape of a cloud.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autolabel.filters.illumination.light import Floats
from autolabel.filters.illumination.segments import CellParts
from polynya.compiled import compiled

_FARTHEST = 64.0
"""Greatest distance of a shadow from its cloud, in cells: 20 km at 10 m, as from a cloud at 5 km
under a sun 14 degrees high."""
_STEP, _FINE_STEP = 1.0, 0.5
"""Steps of the distance, in cells: over all of it, and then beside the best one."""
_FEW_DEPTHS = (0.15, 0.3, 0.5)
_DEPTHS = (0.08, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Depths 1 - g of the shadow of the densest haze that are tried: few at every distance, all at the
best one."""
_SOFTNESS = 0.5
"""Light that is scattered below a cloud softens its shadow: deviation in cells."""

_LEAST_PIXELS, _MOST_PIXELS = 8, 32
"""A change between two cells needs the first number of pixels in both; more than the second say
nothing more."""
_LEAST_CHANGES, _MOST_CHANGES = 60, 20_000
"""Fewer changes under a shadow say nothing; of more, every few are used."""
_LEAST_STEP = 0.02
"""Least change of a shadow, relative to its deepest, that counts as a change under it."""
_NOISE, _TEXTURE = 3.0, 0.015
"""Deviation of a segment's change, grey levels; the second number times its brightness is added."""
_OUTLIER = 3.0
"""Deviations beyond this count linearly and not squared (Huber)."""

_LEAST_EXPLAINED, _LEAST_MARGIN = 0.12, 0.08
"""Share of the changes that a shadow must explain, and by how much more than chance: a change of
the surface explains some, too."""
_LEAST_OF_A_RIM = 0.3
"""Share of the changes at each of its two rims, where it begins and where it ends. A surface that
gets darker in one direction looks like one of them."""


class Shade(NamedTuple):
    """The shadow that explains most."""

    shadow: Floats
    """(rows, columns), 1 - g of each cell."""
    distance: float
    """Distance from the cloud, in cells."""
    depth: float
    """1 - g below the densest haze."""
    explained: float
    """Share of the changes under the shadow that it explains."""
    by_chance: float
    """Share that the best shadow on the sun's side would explain."""


def find_shade(parts: CellParts, haze: Floats, sun: tuple[float, float]) -> Shade | None:
    """Find the shadow of some haze.

    Args:
        parts: Brightness of segments by cell, without the haze.
        haze: float64 (rows, columns), h.
        sun: Direction towards the sun over the image: rows and columns of a step of length 1.

    Returns:
        None if there is no haze, or if no shadow of it explains anything.
    """
    if not haze.any():
        return None
    shape = gaussian_filter(haze, _SOFTNESS) / haze.max()
    changes = _changes(parts)
    best = _best(changes, shape, sun)
    if best is None or best.explained < _LEAST_EXPLAINED or best.depth >= _DEPTHS[-2]:
        return None
    # On the sun's side there is no shadow. What seems to be one there is chance.
    other = _best(changes, shape, (-sun[0], -sun[1]))
    by_chance = 0.0 if other is None else other.explained
    if best.explained - by_chance < _LEAST_MARGIN:
        return None
    if _weaker_rim(changes, _shifted(shape, sun, best.distance, np.nan).ravel(), best.depth) < (
        _LEAST_OF_A_RIM
    ):
        return None
    shadow = best.depth * _shifted(shape, sun, best.distance, 0.0)
    return Shade(shadow, best.distance, best.depth, best.explained, by_chance)


class _Changes(NamedTuple):
    """Changes inside segments from cell to cell, E of them."""

    here: NDArray[np.intp]
    there: NDArray[np.intp]
    """Numbers of the cells."""
    first: Floats
    second: Floats
    """V in each of them."""
    weight: Floats
    """Pixels that count."""


class _Match(NamedTuple):
    less: float
    """How much less the changes deviate than without a shadow."""
    distance: float
    depth: float
    explained: float


def _best(
    changes: _Changes,
    shape: Floats,
    sun: tuple[float, float],
) -> _Match | None:
    """Find the distance and depth of a shadow of some shape that explain most."""

    def best_of(distances: Iterable[float], depths: tuple[float, ...]) -> _Match | None:
        matches = (_match(changes, shape, sun, one, depths) for one in distances)
        return max((m for m in matches if m is not None), key=lambda m: m.less, default=None)

    farthest = min(_FARTHEST, float(np.hypot(*shape.shape)))
    best = best_of(np.arange(_STEP, farthest, _STEP).tolist(), _FEW_DEPTHS)
    if best is None:
        return None
    beside = [best.distance + step for step in (-_FINE_STEP, 0.0, _FINE_STEP)]
    return best_of(beside, _DEPTHS)


def _match(
    changes: _Changes,
    shape: Floats,
    sun: tuple[float, float],
    distance: float,
    depths: tuple[float, ...],
) -> _Match | None:
    """Find the best of some depths at a distance; None if too few changes lie under the shadow."""
    # Where the cloud would lie outside the scene, nobody knows whether there is a shadow.
    shifted = _shifted(shape, sun, distance, np.nan).ravel()
    under, before, after = _misfits(changes, shifted, np.array(depths))
    if under < _LEAST_CHANGES:
        return None
    best = int(np.argmin(after))
    less = before - float(after[best])
    return _Match(less, distance, depths[best], less / max(before, 1e-9))


def _weaker_rim(changes: _Changes, shadow: Floats, depth: float) -> float:
    """Return the share of the changes that a shadow explains at the rim where it explains less.

    Args:
        changes: Changes inside segments, from the left to the right and from above to below.
        shadow: (cells,), 0..1; NaN where nobody knows it.
        depth: 1 - g where the shadow is 1.
    """
    explained = []
    deeper = shadow[changes.here] - shadow[changes.there]
    for chosen in (deeper > 0.0, deeper < 0.0):
        rim = _Changes(
            changes.here[chosen],
            changes.there[chosen],
            changes.first[chosen],
            changes.second[chosen],
            changes.weight[chosen],
        )
        _, before, after = _misfits(rim, shadow, np.array([depth]))
        explained.append((before - float(after[0])) / max(before, 1e-9))
    return min(explained)


@compiled
def _misfits(changes: _Changes, shadow: Floats, depths: Floats) -> tuple[int, float, Floats]:
    """Sum how much the changes under a shadow deviate.

    Args:
        changes: Changes inside segments.
        shadow: (cells,), 0..1; NaN where nobody knows it.
        depths: Values of 1 - g where the shadow is 1.

    Returns:
        The number of changes under the shadow; their misfit without a shadow, and with one of each
        depth, (depths,).
    """
    under, before, after = 0, 0.0, np.zeros(len(depths))
    for change in range(len(changes.here)):
        to, come = shadow[changes.here[change]], shadow[changes.there[change]]
        if not abs(to - come) > _LEAST_STEP:  # NaN is not under it either.
            continue
        under += 1
        first, second = changes.first[change], changes.second[change]
        weight = changes.weight[change]
        before += weight * _misfit(first - second, 0.5 * (first + second))
        for n, depth in enumerate(depths):
            gain, other = 1.0 - depth * to, 1.0 - depth * come
            surface = min(max(0.5 * (first / gain + second / other), 2.0), 254.0)
            error = first - second - surface * (gain - other)
            after[n] += weight * _misfit(error, surface)
    return under, before, after


@compiled
def _misfit(error: float, surface: float) -> float:
    deviation = abs(error) / (_NOISE + _TEXTURE * surface)
    within = min(deviation, _OUTLIER)
    return within * (2.0 * deviation - within)


def _changes(parts: CellParts) -> _Changes:
    """Return the changes between the parts of one segment in adjoining cells."""
    here, there, weight = parts.adjoining(_LEAST_PIXELS, _MOST_PIXELS)
    every = -(-len(here) // _MOST_CHANGES) or 1
    here, there, weight = here[::every], there[::every], weight[::every]
    cell, mean = parts.cell, parts.mean
    return _Changes(cell[here], cell[there], mean[here], mean[there], weight)


def _shifted(field: Floats, sun: tuple[float, float], distance: float, beyond: float) -> Floats:
    """Shift a field away from the sun; cells that come from outside get `beyond`."""
    return _moved(field, distance * sun[0], distance * sun[1], beyond)


@compiled
def _moved(field: Floats, down: float, right: float, beyond: float) -> Floats:
    """Take each cell from some cells further down and to the right, by linear interpolation."""
    rows, cols = field.shape
    moved = np.full((rows, cols), beyond)
    for row in range(rows):
        y = row + down
        if y < 0.0 or y > rows - 1.0:
            continue
        top = min(int(y), max(rows - 2, 0))
        low = min(top + 1, rows - 1)
        for col in range(cols):
            x = col + right
            if x < 0.0 or x > cols - 1.0:
                continue
            left = min(int(x), max(cols - 2, 0))
            beside = min(left + 1, cols - 1)
            upper = field[top, left] + (x - left) * (field[top, beside] - field[top, left])
            lower = field[low, left] + (x - left) * (field[low, beside] - field[low, left])
            moved[row, col] = upper + (y - top) * (lower - upper)
    return moved

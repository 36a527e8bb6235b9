"""Thin cloud from the short-wave infrared.

In the short waves water, ice and snow are all dark and cloud is bright, so a picture in them nearly
is a picture of the haze h. What it takes is W_s, the brightness of opaque cloud there. It differs
from cloud to cloud, and each scene tells its own: by the image model, a change of haze inside one
segment changes colours by (W - V) dh / (1 - h) and the short waves by (W_s - S) dh / (1 - h). So
each change over a dark surface gives an estimate of W_s. Ice that grows thicker changes colours
much and the short waves hardly. That doesn't look like cloud, so scenes under a clear sky give no
estimate, and no haze.

W, the brightness of cloud in colours, is taken to be the least V of thick ice. Dark surfaces come
out the same with another W, because W_s is found with it. And so haze never makes thin ice of what
looks like thick ice, which would take a W that is better known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg

from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.light import MAX_HAZE, Floats
from autolabel.filters.illumination.segments import CellParts
from autolabel.filters.illumination.weighted import percentile

_DARK = 100.0
"""Greatest V of surfaces that tell W_s."""
_LEAST_CHANGE = 2.5
"""Least change in the short waves that tells something, grey levels: less is noise."""
_LEAST_PIXELS, _MOST_PIXELS = 8, 64
"""A change between two cells needs the first number of pixels in both; more than the second say
nothing more."""
_LEAST_CHANGES = 10
"""Fewer changes than this give no estimate."""

_CLOUD_SWIR = (0.18, 0.8)
"""Least and greatest W_s of cloud, relative to W. At 1.6 um, cloud of ice has 0.2 to 0.35 and cloud
of water 0.4 to 0.6 (Pilewskie & Twomey 1987, Atmos. Res. 21, 113); pictures that are stretched for
viewing have up to 0.8. Growing ice seems to have less than 0.18."""
_LEAST_CLOUD_SWIR = 0.42
"""Least W_s of a scene, relative to W. Dimmer cloud, mostly of ice, is too close to snow."""
_LEAST_SHARE = 0.65
"""Share of the changes over dark surfaces that must look like cloud."""

_BARE = 4.0
"""How much brighter than water bare ice is in the short waves at most, grey levels."""
_BARE_V, _SNOW_V = 110.0, (190.0, 230.0)
"""V of bare ice that is this bright; between the last two V, snow replaces it."""
_NOISE = 2.5
"""Deviation of dark surfaces in the short waves, grey levels."""
_SNOW_NOISE, _GRAIN = 20.0, 0.3
"""The same for snow: a number, and a share of how much brighter than water it is. Its grain size
changes the short waves and hardly the colours."""
_STEP_NOISE, _STEP_GRAIN = 1.5, 0.1
"""Deviation of a change inside a segment, in the same way."""
_TOGETHER = 0.05
"""Part of a segment's pixels that says something of its own."""
_SMOOTH = 300.0
"""Inverse variance of the difference of h between neighbouring cells."""
_RESIDUAL = 1e-6
"""Greatest residual of the solution, relative to the evidence. It leaves h right to 0.0001."""


class Veil(NamedTuple):
    """What cloud and ground are in the short waves, in one scene; grey levels."""

    cloud: float
    """W, V of opaque cloud."""
    swir: float
    """W_s, the short waves of opaque cloud."""
    dark: float
    """The short waves of water."""
    snow: float
    """The short waves of snow."""


class _Changes(NamedTuple):
    """Changes inside segments from cell to cell, E of them; grey levels."""

    here: NDArray[np.intp]
    there: NDArray[np.intp]
    weight: Floats
    """Pixels that count."""
    value: Floats
    """V in the middle."""
    swir: Floats
    by_value: Floats
    by_swir: Floats


def find_veil(parts: CellParts, levels: Levels) -> Veil | None:
    """Find how bright cloud is in the short waves.

    Args:
        parts: Brightness of segments by cell, with short waves.
        levels: Brightness of the classes.

    Returns:
        None without short waves, or if too few changes look like cloud.
    """
    if parts.swir is None or not len(parts.swir):
        return None
    changes = _changes(parts, parts.swir)
    used = (changes.value < _DARK) & (np.abs(changes.by_swir) > _LEAST_CHANGE)
    weight = changes.weight[used] * np.abs(changes.by_swir[used])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = changes.by_swir[used] / changes.by_value[used]
    cloud = levels.bright
    estimate = changes.swir[used] + ratio * (cloud - changes.value[used])
    like = (estimate > _CLOUD_SWIR[0] * cloud) & (estimate < _CLOUD_SWIR[1] * cloud)
    if like.sum() < _LEAST_CHANGES or weight[like].sum() < _LEAST_SHARE * weight.sum():
        return None
    swir = percentile(estimate[like], weight[like], 50)
    if swir < _LEAST_CLOUD_SWIR * cloud:
        return None
    low, high = parts.mean < _DARK, parts.mean >= levels.bright
    water = percentile(parts.swir[low], parts.pixels[low], 20)
    snow = percentile(parts.swir[high], parts.pixels[high], 20) if high.any() else water
    return Veil(cloud, swir, water, max(snow, water))


def solve_veil(parts: CellParts, veil: Veil) -> Floats:
    """Solve for the haze of each cell by weighted least squares: float64 (cells,), 0..0.75.

    The evidence is the short waves of each part, less what its surface has, and their changes
    inside segments; and haze changes smoothly.

    Args:
        parts: Brightness of segments by cell, with short waves.
        veil: What cloud and ground are in the short waves.
    """
    assert parts.swir is not None  # Without short waves there is no veil.
    haze = np.zeros(len(parts.swir))
    for _ in range(6):  # The surface depends on the haze, and the haze on the surface.
        surface = (parts.mean - veil.cloud * haze) / (1.0 - haze)
        ground = _ground_swir(surface, veil)
        reach = np.maximum(veil.swir - ground, 10.0)
        haze = np.clip((parts.swir - ground) / reach, 0.0, MAX_HAZE)
    snowy = np.clip((surface - 150.0) / 50.0, 0.0, 1.0)
    count = parts.grid[0] * parts.grid[1]
    cell = parts.cell
    noise = _NOISE + snowy * (_SNOW_NOISE + _GRAIN * (ground - veil.dark))
    weight = _TOGETHER * np.minimum(parts.pixels, _MOST_PIXELS) * (reach / noise) ** 2
    own = np.bincount(cell, weight, count)
    side = np.bincount(cell, weight * haze, count)

    changes = _changes(parts, parts.swir)
    here, there = cell[changes.here], cell[changes.there]
    reach = np.maximum(veil.swir - changes.swir, 10.0)
    through = 1.0 - 0.5 * (haze[changes.here] + haze[changes.there])
    noise = _STEP_NOISE + _STEP_GRAIN * (snowy * (ground - veil.dark))[changes.here]
    weight = _TOGETHER * np.minimum(changes.weight, _MOST_PIXELS // 2) * (reach / noise) ** 2
    pull = weight * changes.by_swir * through / reach
    side += np.bincount(here, pull, count) - np.bincount(there, pull, count)

    number = np.arange(count).reshape(parts.grid)
    here = np.concatenate([here, number[:, 1:].ravel(), number[1:].ravel()])
    there = np.concatenate([there, number[:, :-1].ravel(), number[:-1].ravel()])
    tie = np.append(weight, np.full(len(here) - len(weight), _SMOOTH))
    total = own + np.bincount(here, tie, count) + np.bincount(there, tie, count) + 1e-6
    rows = np.concatenate([here, there, number.ravel()])
    cols = np.concatenate([there, here, number.ravel()])
    matrix = coo_array((np.concatenate([-tie, -tie, total]), (rows, cols))).tocsr()
    # Conjugate gradients, each unknown scaled by its own evidence. They always arrive, because the
    # matrix is symmetric and positive definite.
    solved, _ = cg(matrix, side, rtol=_RESIDUAL, M=diags_array(1.0 / total))
    return np.asarray(np.clip(solved, 0.0, MAX_HAZE), np.float64)


def most_haze(parts: CellParts, levels: Levels) -> Floats | None:
    """Return the haze that the short waves allow at most in each cell, float64 (cells,).

    The darkest surface of a cell in the short waves limits its haze, whatever kind of cloud it is.
    """
    if parts.swir is None or not len(parts.swir):
        return None
    count = parts.grid[0] * parts.grid[1]
    cell = parts.cell
    enough = parts.pixels >= _LEAST_PIXELS
    darkest = np.full(count, 255.0)
    np.minimum.at(darkest, cell[enough], parts.swir[enough])
    low = np.percentile(darkest, 2.0)
    least = _CLOUD_SWIR[0] * levels.bright
    return np.asarray(np.clip((darkest - low) / least + 0.03, 0.0, MAX_HAZE), np.float64)


def _changes(parts: CellParts, swir: Floats) -> _Changes:
    here, there, weight = parts.adjoining(_LEAST_PIXELS, _MOST_PIXELS)
    return _Changes(
        here,
        there,
        weight,
        0.5 * (parts.mean[here] + parts.mean[there]),
        0.5 * (swir[here] + swir[there]),
        parts.mean[here] - parts.mean[there],
        swir[here] - swir[there],
    )


def _ground_swir(brightness: Floats, veil: Veil) -> Floats:
    """Return the short waves of surfaces with V `brightness`."""
    bare = np.clip(brightness / _BARE_V, 0.0, 1.0) * min(_BARE, veil.snow - veil.dark)
    snow = np.clip((brightness - _SNOW_V[0]) / (_SNOW_V[1] - _SNOW_V[0]), 0.0, 1.0)
    return veil.dark + bare + (veil.snow - veil.dark - bare) * snow

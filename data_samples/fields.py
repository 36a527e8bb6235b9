"""Smooth random fields and random polygons: the raw material of ice and sky.

Sizes are in pixels and do not depend on the size of the scene. All Fourier transforms use float64,
so differences between processors in the last bit stay far below one grey level, and a scene is the
same on all processors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 16
"""Pixels per step of `voronoi_cells`: its scratch arrays then stay in the processor's cache."""


def random_field(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: float,
    cutoff: float,
    roughness: float = 1.0,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> NDArray[np.float64]:
    """A Gaussian random field with a von Karman spectrum, made by spectral synthesis.

    The power spectrum is (1 + (k L)^2)^-(roughness + 1), flat for waves longer than `scale` and
    self-affine below, times a Gaussian that removes waves shorter than `cutoff`.

    Args:
        shape: (H, W) of the field, in pixels.
        rng: Source of randomness.
        scale: Size of the largest structures across the long axis, in pixels.
        cutoff: Size of the smallest structures, in pixels; at least 1.
        roughness: Exponent of the decay: 0.3 is ragged, 1.5 is smooth.
        aspect: Length over width of the structures; at least 1.
        angle: Direction of the long axis, in radians from the row (x) axis towards growing rows.

    Returns:
        float64 (H, W), mean 0 and variance 1 over the ensemble (not over the one scene).
    """
    height, width = shape
    step = max(1, int(cutoff // 3))
    # The transform is periodic: the field is cut from a larger one, so its edges don't match up.
    margin = math.ceil(0.8 * scale * aspect / step) + 4
    rows = _even(math.ceil(height / step) + margin)
    cols = _even(math.ceil(width / step) + margin)
    spectrum = np.fft.rfft2(rng.standard_normal((rows, cols)))
    ky = (2 * math.pi / step) * np.fft.fftfreq(rows)[:, None]
    kx = (2 * math.pi / step) * np.fft.rfftfreq(cols)[None, :]
    along = (math.cos(angle) * kx + math.sin(angle) * ky) * aspect
    across = math.cos(angle) * ky - math.sin(angle) * kx
    k2 = along**2 + across**2
    power = (1.0 + k2 * (scale / math.pi) ** 2) ** -(roughness + 1.0)
    power *= np.exp(-2.0 * k2 * (cutoff / math.pi) ** 2)
    # A real transform keeps half of the plane: all columns except the first and last count twice.
    twice = np.full(power.shape[1], 2.0)
    twice[0] = twice[-1] = 1.0
    variance = float((power * twice).sum()) / (rows * cols)
    coarse = np.fft.irfft2(spectrum * np.sqrt(power / variance), s=(rows, cols))
    coarse = coarse[: math.ceil(height / step) + 4, : math.ceil(width / step) + 4]
    if step == 1:
        return coarse[2 : 2 + height, 2 : 2 + width].copy()
    size = (coarse.shape[1] * step, coarse.shape[0] * step)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return fine[2 * step : 2 * step + height, 2 * step : 2 * step + width].copy()


def _even(n: int) -> int:
    """Return the next length that is fast for Fourier transforms: even, with factors 2, 3 and 5."""
    while True:
        n += n % 2
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 2


def smoothstep(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise from 0 (x <= 0) to 1 (x >= 1) without corners; float64, any shape."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


@dataclass(frozen=True)
class Cells:
    """A random tessellation, evaluated at N points. Arrays of sites have S entries."""

    site: NDArray[np.int32]
    """(N,), index of the nearest site, to which the point belongs."""
    neighbour: NDArray[np.int32]
    """(N,), index of the second nearest site."""
    margin: NDArray[np.float32]
    """(N,), distance of the point to the border with the cell of `neighbour`, in pixels."""
    radius: NDArray[np.float32]
    """(N,), distance of the point to its own site, in pixels across the long axis."""
    site_x: NDArray[np.float32]
    """(S,), column of the site, in pixels."""
    site_y: NDArray[np.float32]
    """(S,), row of the site, in pixels."""


def voronoi_cells(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    size: float,
    rng: np.random.Generator,
    *,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> Cells:
    """Assign points to the Voronoi cells of a jittered grid (cellular noise, Worley 1996).

    Args:
        x: float32 (N,), column of each point, in pixels; at least one point.
        y: float32 (N,), row of each point, in pixels.
        size: Width of a typical cell, in pixels.
        rng: Source of the sites.
        aspect: Length over width of the cells.
        angle: Direction of the long axis, in radians from the row (x) axis.

    Returns:
        For each point its cell, the neighbouring cell and the distance to their border.
    """
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    stretch = np.float32(aspect)
    u = (x * cos + y * sin) / stretch
    v = y * cos - x * sin
    u0, v0 = float(u.min()) - 2 * size, float(v.min()) - 2 * size
    cols = int((float(u.max()) - u0) / size) + 3
    rows = int((float(v.max()) - v0) / size) + 3
    jitter = 0.5 + 0.9 * (rng.random((2, rows, cols)) - 0.5)
    su = ((np.arange(cols)[None, :] + jitter[0]) * size + u0).astype(np.float32).ravel()
    sv = ((np.arange(rows)[:, None] + jitter[1]) * size + v0).astype(np.float32).ravel()

    n = len(x)
    site, neighbour = np.empty(n, np.int32), np.empty(n, np.int32)
    margin, radius = np.empty(n, np.float32), np.empty(n, np.float32)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        uc, vc = u[part], v[part]
        home = ((vc - np.float32(v0)) / np.float32(size)).astype(np.int32) * cols
        home += ((uc - np.float32(u0)) / np.float32(size)).astype(np.int32)
        first = np.full(len(uc), np.inf, np.float32)
        second = first.copy()
        first_id, second_id = home.copy(), home.copy()
        for offset in (r * cols + c for r in (-1, 0, 1) for c in (-1, 0, 1)):
            index = home + np.int32(offset)
            distance = (su[index] - uc) ** 2 + (sv[index] - vc) ** 2
            closer = distance < first
            runner_up = np.maximum(distance, first)
            runner_up_id = np.where(closer, first_id, index)
            better = runner_up < second
            second = np.where(better, runner_up, second)
            second_id = np.where(better, runner_up_id, second_id)
            first = np.minimum(distance, first)
            first_id = np.where(closer, index, first_id)
        # Distance to the bisector, measured in pixels rather than in stretched units.
        across = ((su[second_id] - su[first_id]) / stretch) ** 2
        across += (sv[second_id] - sv[first_id]) ** 2
        margin[part] = 0.5 * (second - first) / np.sqrt(np.maximum(across, np.float32(1e-6)))
        radius[part] = np.sqrt(first)
        site[part], neighbour[part] = first_id, second_id
    return Cells(
        site=site,
        neighbour=neighbour,
        margin=margin,
        radius=radius,
        site_x=su * stretch * cos - sv * sin,
        site_y=su * stretch * sin + sv * cos,
    )

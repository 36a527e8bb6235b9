"""Clear scenes to train on, in which only brightness tells the classes apart.

If a generator treats classes differently, a model learns the difference: a texture, an outline, a
colour, a usual brightness. Here every layer of the ice (patches, plates, floes, leads, lumps) may
have any class. The brightness of a piece is drawn uniformly from the range of its class. Texture,
grain, gradients, blur, noise and colour are drawn once for a scene and do not depend on its
classes. The class of a pixel is the result of the thresholds on the clear scene, as on real scenes.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field, voronoi_cells
from data_samples.ice import VALUE_RANGES

_GROUND, _SURFACE, _SENSOR = range(3001, 3004)
"""Streams of random numbers."""

Piece = NDArray[np.int32]
"""(H, W), number of the piece that a pixel belongs to, from 0; -1 where the layer has no piece."""


def make_mosaic(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Make one clear scene; the same seed always gives the same pixels.

    Args:
        seed: Seed of the site, >= 0.
        shape: (H, W) in pixels.

    Returns:
        RGB, uint8 (H, W, 3), without zeros.
    """
    classes, value = _ground(shape, np.random.default_rng([seed, _GROUND]))
    surface = np.random.default_rng([seed, _SURFACE])
    noise = float(surface.uniform(0.0, 1.2))
    value = value + _texture(value, surface)
    low, high = (np.array([limits[end] for limits in VALUE_RANGES]) for end in (0, 1))
    value = np.clip(value, low[classes] + 1.5 * noise, high[classes] - 1.5 * noise)
    sigma = float(surface.choice([0.0, surface.uniform(0.3, 0.8), surface.uniform(0.8, 2.2)]))
    if sigma:
        # The brightness of a mixed pixel decides its class, so blur may change classes.
        value = cv2.GaussianBlur(value, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    cast = surface.uniform(0.8, 1.0, 3)
    sensor = np.random.default_rng([seed, _SENSOR])
    grain = np.float32(noise) * sensor.standard_normal((*shape, 3), dtype=np.float32)
    rgb = value[..., None] * (cast / cast.max()) + grain
    return np.clip(np.rint(rgb), 1, 255).astype(np.uint8)


def _ground(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw class codes uint8 (H, W) and V float64 (H, W), constant on every piece."""
    classes = np.zeros(shape, np.uint8)
    value = np.zeros(shape)
    _paint(classes, value, np.zeros(shape, np.int32), rng)
    kinds = (_patches, _plates, _floes, _leads, _lumps)
    for kind in rng.choice(len(kinds), int(rng.integers(2, 7)), p=(0.28, 0.24, 0.26, 0.14, 0.08)):
        _paint(classes, value, kinds[int(kind)](shape, rng), rng)
    return classes, value


def _paint(
    classes: NDArray[np.uint8], value: NDArray[np.float64], pieces: Piece, rng: np.random.Generator
) -> None:
    """Paint a layer of pieces over earlier layers, in place, with its own mixture of classes."""
    n = int(pieces.max()) + 1
    if not n:
        return
    codes = rng.choice(3, n, p=rng.dirichlet((0.5, 0.5, 0.5)))
    low, high = (np.array([limits[end] for limits in VALUE_RANGES])[codes] for end in (0, 1))
    where = rng.random(n)
    if rng.random() < 0.4:
        # The layer has a few ages of ice; otherwise each piece has its own age.
        where = rng.random(3)[rng.integers(0, 3, n)] + rng.normal(0.0, 0.03, n)
    chosen = pieces >= 0
    classes[chosen] = codes[pieces[chosen]]
    value[chosen] = (low + np.clip(where, 0.0, 1.0) * (high - low))[pieces[chosen]]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _patches(shape: tuple[int, int], rng: np.random.Generator) -> Piece:
    """Draw patches of any size and raggedness: the connected parts of a field above a level."""
    field = random_field(
        shape,
        rng,
        scale=_log_uniform(rng, 15.0, 500.0),
        cutoff=float(rng.uniform(1.5, 10.0)),
        roughness=float(rng.uniform(0.4, 1.5)),
        aspect=float(rng.uniform(1.0, 2.5)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    above = field > np.quantile(field[::4, ::4], float(rng.uniform(0.2, 0.85)))
    return np.asarray(cv2.connectedComponents(above.astype(np.uint8))[1] - 1, np.int32)


def _grid(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return column and row of all pixels, displaced so that straight borders become ragged."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    bend, scale = float(rng.uniform(0.0, 8.0)), float(rng.uniform(30.0, 150.0))
    roughness = float(rng.uniform(0.35, 1.2))
    cols += bend * random_field(shape, rng, scale=scale, cutoff=2.0, roughness=roughness)
    rows += bend * random_field(shape, rng, scale=scale, cutoff=2.0, roughness=roughness)
    return cols.astype(np.float32).ravel(), rows.astype(np.float32).ravel()


def _plates(shape: tuple[int, int], rng: np.random.Generator) -> Piece:
    """Draw cells with gaps between them; some cells are missing."""
    cells = voronoi_cells(
        *_grid(shape, rng),
        _log_uniform(rng, 10.0, 350.0),
        rng,
        aspect=float(rng.uniform(1.0, 3.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    present = rng.random(len(cells.site_x)) < float(rng.uniform(0.3, 1.0))
    solid = present[cells.site] & (2.0 * cells.margin > float(rng.exponential(3.0)))
    return np.where(solid, cells.site, -1).astype(np.int32).reshape(shape)


def _leads(shape: tuple[int, int], rng: np.random.Generator) -> Piece:
    """Draw cracks along the borders of cells; a pixel's piece has the number of its cell."""
    size = _log_uniform(rng, 40.0, 400.0)
    cells = voronoi_cells(
        *_grid(shape, rng),
        size,
        rng,
        aspect=float(rng.uniform(1.0, 5.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    width = rng.exponential(0.04 * size + 2.0, len(cells.site_x))
    crack = 2.0 * cells.margin < width[cells.site]
    return np.where(crack, cells.site, -1).astype(np.int32).reshape(shape)


def _floes(shape: tuple[int, int], rng: np.random.Generator) -> Piece:
    """Draw polygons of many sizes, from pointed to round, small ones over large ones."""
    pieces = np.full(shape, -1, np.int32)
    largest = _log_uniform(rng, 15.0, 180.0)
    wanted = float(rng.uniform(0.05, 0.7)) * shape[0] * shape[1]
    radii: list[float] = []
    while wanted > 0:
        radius = float(np.clip(3.0 * (1.0 - rng.random()) ** -0.8, 3.0, largest))
        radii.append(radius)
        wanted -= math.pi * radius**2
    corners = int(rng.integers(4, 24))
    ragged = float(rng.uniform(0.0, 0.35))
    for number, radius in enumerate(sorted(radii, reverse=True)):
        angles = np.sort(rng.uniform(0.0, 2 * math.pi, corners))
        reach = radius * (1.0 + ragged * rng.uniform(-1.0, 1.0, corners))
        squeeze, turn = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.0, math.pi))
        x, y = reach * np.cos(angles), squeeze * reach * np.sin(angles)
        outline = np.stack(
            [
                x * math.cos(turn) - y * math.sin(turn) + float(rng.uniform(0, shape[1])),
                x * math.sin(turn) + y * math.cos(turn) + float(rng.uniform(0, shape[0])),
            ],
            axis=1,
        )
        cv2.fillPoly(pieces, [np.rint(outline).astype(np.int32)], number)
    return pieces


def _lumps(shape: tuple[int, int], rng: np.random.Generator) -> Piece:
    """Draw pieces of a few pixels, scattered over part of the scene."""
    lumps = random_field(shape, rng, scale=float(rng.uniform(5.0, 12.0)), cutoff=2.5, roughness=0.6)
    density = random_field(shape, rng, scale=float(rng.uniform(100.0, 400.0)), cutoff=12.0)
    above = lumps > float(rng.uniform(0.6, 1.5)) + np.maximum(-density, 0.0)
    return np.asarray(cv2.connectedComponents(above.astype(np.uint8))[1] - 1, np.int32)


def _texture(value: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw changes of V (H, W): relative and absolute texture, and gradients; often small."""
    shape = (value.shape[0], value.shape[1])

    def field(low: float, high: float) -> NDArray[np.float64]:
        scale = _log_uniform(rng, low, high)
        return np.clip(random_field(shape, rng, scale=scale, cutoff=max(1.5, scale / 4)), -2.5, 2.5)

    relative = float(rng.choice([0.0, _log_uniform(rng, 0.003, 0.04)]))
    absolute = float(rng.choice([0.0, _log_uniform(rng, 0.3, 4.0)]))
    gradient = float(rng.choice([0.0, rng.uniform(0.0, 0.05)], p=(0.6, 0.4)))
    # Rough and smooth places are independent of the pieces.
    patchy = np.exp(float(rng.uniform(0.0, 0.6)) * field(80.0, 300.0))
    change = value * (relative * patchy * field(2.0, 40.0) + gradient * field(80.0, 400.0))
    return change + absolute * patchy * field(2.0, 40.0)

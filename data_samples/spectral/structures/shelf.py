"""A polynya along an ice shelf: frazil in the wind, icebergs, snow of drifting brightness."""

from __future__ import annotations

import math

import cv2
import numpy as np

from data_samples.fields import random_field
from data_samples.spectral.structures.common import (
    Floats,
    Setting,
    drifts,
    log_uniform,
    ramp,
    sunlit,
)
from data_samples.spectral.surfaces import Ground


def polynya(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw an ice shelf, and before it water that freezes in streaks along the wind.

    Off the shelf the wind opens water. Frazil gathers in streaks; farther out they close up to
    young ice that gets thicker. Icebergs drift in it; slopes that face the sun are bright.
    """
    shape = setting.shape
    height, width = shape
    rows, cols = np.mgrid[:height, :width].astype(np.float64)
    direction = float(rng.uniform(0.0, 2.0 * math.pi))
    dx, dy = math.cos(direction), math.sin(direction)
    reach = (abs(dx) * width + abs(dy) * height) / 2.0
    offshore = (cols - width / 2.0) * dx + (rows - height / 2.0) * dy
    offshore += reach * float(rng.uniform(-0.2, 0.6))
    bays = random_field(shape, rng, scale=log_uniform(rng, 120.0, 400.0), cutoff=12.0)
    cliffs = random_field(shape, rng, scale=60.0, cutoff=2.0, roughness=0.8)
    coast = offshore + float(rng.uniform(10.0, 60.0)) * bays + float(rng.uniform(1.0, 6.0)) * cliffs
    shelf = coast < 0.0

    wind = direction + float(rng.normal(0.0, 0.5))
    spacing = log_uniform(rng, 8.0, 30.0)
    streaks = random_field(
        shape,
        rng,
        scale=spacing,
        cutoff=float(rng.uniform(2.0, 4.0)),
        roughness=0.8,
        aspect=float(rng.uniform(5.0, 12.0)),
        angle=wind,
    )
    gusts = random_field(
        shape, rng, scale=200.0, cutoff=25.0, aspect=2.0, angle=wind, roughness=1.2
    )
    # The share of streaks grows with the distance from the shelf, to a closed cover.
    opening = log_uniform(rng, 80.0, 500.0) * max(0.3, min(1.0, reach / 400.0))
    closing = np.clip(coast / opening + 0.35 * gusts, -1.0, 4.0)
    frazil = ramp(streaks - 1.6 + 1.9 * closing, float(rng.uniform(0.4, 1.0)))
    thickness = float(rng.uniform(1.2, 2.8)) + float(rng.uniform(0.4, 1.6)) * np.maximum(
        closing - 1.0, 0.0
    )
    sea = frazil * np.clip(thickness + 0.2 * streaks, 0.0, 6.0)
    far = np.maximum(closing - float(rng.uniform(1.6, 3.0)), 0.0)
    sea += ramp(far - 0.5, 0.5) * (float(rng.uniform(5.5, 7.8)) - sea)

    bright = float(rng.uniform(7.0, 8.0))
    snow = bright + 0.25 * random_field(shape, rng, scale=250.0, cutoff=20.0)
    relief_height = np.where(shelf, _shelf_surface(shape, rng), 0.0)
    stage = np.where(shelf, snow, sea)
    bergs = _icebergs(shape, rng, coast)
    stage = np.where(bergs > 0.0, float(rng.uniform(7.2, 8.0)), stage)
    relief_height += bergs * float(rng.uniform(0.05, 0.3))
    light = sunlit(relief_height, setting)
    drift = drifts(shape, rng, float(rng.uniform(0.01, 0.045)), (120.0, 600.0))
    light *= np.where(stage > 6.0, drift, 1.0 + 0.3 * (drift - 1.0))
    return Ground(np.clip(stage, 0.0, 8.0).astype(np.float32), light.astype(np.float32))


def _shelf_surface(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Height of the shelf's snow in pixels, (H, W): gentle waves, dunes and some rifts."""
    waves = random_field(shape, rng, scale=150.0, cutoff=20.0, roughness=1.2)
    dunes = random_field(
        shape,
        rng,
        scale=20.0,
        cutoff=3.0,
        aspect=4.0,
        angle=float(rng.uniform(0.0, math.pi)),
    )
    rifts = random_field(
        shape,
        rng,
        scale=150.0,
        cutoff=6.0,
        aspect=3.0,
        angle=float(rng.uniform(0.0, math.pi)),
    )
    depth = float(rng.uniform(0.0, 0.5)) * np.exp(-((rifts / 0.03) ** 2))
    where = rifts.std() > 0
    surface = float(rng.uniform(0.1, 0.5)) * waves + float(rng.uniform(0.002, 0.012)) * dunes
    return np.asarray(surface - depth * where, np.float64)


def _icebergs(shape: tuple[int, int], rng: np.random.Generator, coast: Floats) -> Floats:
    """Height of icebergs above the sea, (H, W), about 0..2; 0 where there are none."""
    height, width = shape
    canvas = np.zeros(shape, np.uint8)
    per_million = rng.uniform(0.0, 120.0)
    count = int(rng.poisson(per_million * height * width / 1e6 + 1.0))
    for _ in range(count):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        size = float(np.clip(4.0 * (1.0 - rng.random()) ** (-1.0 / 1.1), 4.0, 90.0))
        angles = np.sort(rng.uniform(0.0, 2.0 * math.pi, int(rng.integers(5, 10))))
        radii = size * rng.uniform(0.7, 1.0, len(angles))
        flat = float(rng.uniform(0.4, 1.0))
        turn = float(rng.uniform(0.0, math.pi))
        px, py = radii * np.cos(angles), flat * radii * np.sin(angles)
        points = np.stack(
            [
                x + px * math.cos(turn) - py * math.sin(turn),
                y + px * math.sin(turn) + py * math.cos(turn),
            ],
            axis=1,
        )
        cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 255)
    canvas[coast < 2.0] = 0
    ragged = random_field(shape, rng, scale=30.0, cutoff=3.0)
    return np.asarray((canvas > 0) * np.clip(1.4 + 0.15 * ragged, 0.5, 2.0), np.float64)

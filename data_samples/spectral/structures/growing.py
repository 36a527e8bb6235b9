"""Young ice whose thickness changes smoothly over kilometres, and broad nilas."""

from __future__ import annotations

import math

import numpy as np

from data_samples.fields import random_field, voronoi_cells
from data_samples.spectral.structures.common import (
    Floats,
    Setting,
    drifts,
    level_of,
    log_uniform,
    ramp,
)
from data_samples.spectral.surfaces import Ground


def young(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw ice that gets thicker without any edge, from water to snow-covered floes.

    A field with waves of several kilometres is the thickness. Its quantiles are spread over the
    stages, so water, young ice and snow all have their share. Floes with soft rims may lie in it.
    """
    shape = setting.shape
    field = random_field(
        shape,
        rng,
        scale=log_uniform(rng, 250.0, 1200.0),
        cutoff=log_uniform(rng, 25.0, 90.0),
        roughness=float(rng.uniform(0.8, 1.5)),
        aspect=float(rng.uniform(1.0, 2.5)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    shares = rng.dirichlet((2.0, 6.0, 1.5))
    water = float(np.clip(shares[0], 0.03, 0.35))
    snow = float(np.clip(shares[2], 0.03, 0.3))
    stage = _spread(field, water, snow)
    # Grey ice grows unevenly: soft patches of a few hundred metres.
    patches = random_field(shape, rng, scale=log_uniform(rng, 30.0, 120.0), cutoff=9.0)
    stage += float(rng.uniform(0.05, 0.3)) * patches * (stage > 0.1)
    if rng.random() < 0.6:
        floes = random_field(
            shape, rng, scale=log_uniform(rng, 60.0, 200.0), cutoff=20.0, roughness=1.2
        )
        edge = level_of(floes, float(rng.uniform(0.03, 0.2)))
        cover = ramp(floes - edge, float(rng.uniform(0.3, 0.8)))
        stage += cover * (float(rng.uniform(6.5, 8.0)) - stage)
    relief = drifts(shape, rng, float(rng.uniform(0.0, 0.02)))
    return Ground(np.clip(stage, 0.0, 8.0).astype(np.float32), relief.astype(np.float32))


def _spread(field: Floats, water: float, snow: float) -> Floats:
    """Turn a field (H, W) into stages: shares of it are water and snow, a slope lies between.

    Neither end has a corner: the stage rises slowly out of the water and bends into the snow.
    """
    low, high = level_of(field, 1.0 - water), level_of(field, snow)
    share = (field - low) / max(high - low, 1e-6)
    # Softplus at both ends: as max(share, 0) and min(share, 1), but round.
    rounding = 0.07
    lower = rounding * np.logaddexp(0.0, share / rounding)
    upper = rounding * np.logaddexp(0.0, (lower - 1.0) / rounding)
    # Thin stages take more room than thick ones: ice grows more slowly the thicker it is.
    grown = 7.2 * np.clip(lower - upper, 0.0, 1.0) ** 1.3
    return np.asarray(grown + 0.8 * (1.0 - np.exp(-upper * 9.0)), np.float64)


def nilas(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw broad sheets of nilas: rafted seams, fingers, leads, and frost in soft patches."""
    shape = setting.shape
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    bend = float(rng.uniform(4.0, 14.0))
    rows += bend * random_field(shape, rng, scale=90.0, cutoff=3.0, roughness=0.8)
    cols += bend * random_field(shape, rng, scale=90.0, cutoff=3.0, roughness=0.8)
    turn = float(rng.uniform(0.0, math.pi))
    x, y = cols.astype(np.float32).ravel(), rows.astype(np.float32).ravel()
    cells = voronoi_cells(
        x,
        y,
        log_uniform(rng, 120.0, 350.0),
        rng,
        aspect=float(rng.uniform(1.2, 3.5)),
        angle=turn,
    )
    n = len(cells.site_x)
    base = float(rng.uniform(1.0, 2.2))
    sheet = np.clip(base + rng.normal(0.0, 0.5, n), 0.7, 3.4)
    both = rng.random(n)
    border = (both[cells.site] + both[cells.neighbour]) % 1.0

    stage = sheet[cells.site].reshape(shape)
    broad = random_field(shape, rng, scale=log_uniform(rng, 200.0, 600.0), cutoff=30.0)
    stage = stage + float(rng.uniform(0.15, 0.6)) * broad
    margin = cells.margin.reshape(shape).astype(np.float64)
    edge = border.reshape(shape)
    # Finger rafting: sheets slide over each other in square tongues along their seam.
    period = log_uniform(rng, 14.0, 50.0)
    along = cols * math.cos(turn + 0.6) + rows * math.sin(turn + 0.6)
    across = rows * math.cos(turn + 0.6) - cols * math.sin(turn + 0.6)
    tongue = (np.sin(2 * math.pi * along / period) > 0) ^ (
        np.sin(2 * math.pi * across / period) > 0
    )
    width = float(rng.uniform(3.0, 16.0)) * (0.3 + 1.4 * edge)
    rafted = (edge < float(rng.uniform(0.3, 0.7))) & (margin < width * (0.4 + 0.6 * tongue))
    stage = np.where(rafted, np.clip(1.75 * stage, 0.0, 4.5), stage)
    lead = (edge > float(rng.uniform(0.75, 0.92))) & (
        margin < float(rng.uniform(1.0, 9.0)) * np.clip(1.0 + 0.7 * broad, 0.0, 2.0)
    )
    stage = np.where(lead, float(rng.uniform(0.0, 0.4)), np.maximum(stage, 0.4))
    # Frost flowers brighten some of it softly.
    frost = random_field(shape, rng, scale=log_uniform(rng, 80.0, 300.0), cutoff=10.0)
    edge_of_frost = level_of(frost, float(rng.uniform(0.05, 0.3)))
    stage += float(rng.uniform(0.3, 1.6)) * ramp(frost - edge_of_frost, 0.6) * (stage > 0.5)
    if rng.random() < 0.6:
        floes = random_field(shape, rng, scale=70.0, cutoff=2.5, roughness=0.9)
        snowy = floes > level_of(floes, float(rng.uniform(0.03, 0.25)))
        stage = np.where(snowy, float(rng.uniform(6.4, 8.0)), stage)
    relief = drifts(shape, rng, float(rng.uniform(0.0, 0.02)))
    return Ground(np.clip(stage, 0.0, 8.0).astype(np.float32), relief.astype(np.float32))

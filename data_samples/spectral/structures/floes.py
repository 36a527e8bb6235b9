"""Structures of floes: sharp pack, floes with melt ponds, ridged snow, brash."""

from __future__ import annotations

import math

import numpy as np

from data_samples.fields import Cells, random_field, voronoi_cells
from data_samples.ice import make_ice
from data_samples.spectral.structures.common import (
    Floats,
    Setting,
    drifts,
    level_of,
    log_uniform,
    ramp,
    sunlit,
)
from data_samples.spectral.surfaces import Ground, stage_of


def pack(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw floes and leads of several ages with sharp borders: shapes of `data_samples.ice`."""
    ice = make_ice(setting.shape, rng, texture=0.04)
    # Brightness of that ice is drawn for a white that is 255; its water is darker than real water.
    stage = stage_of(np.maximum(ice.value / 255.0, 0.0)).astype(np.float64)
    broad = random_field(setting.shape, rng, scale=log_uniform(rng, 80.0, 400.0), cutoff=14.0)
    stage += float(rng.uniform(0.0, 0.12)) * broad * (ice.classes > 0)
    relief = drifts(setting.shape, rng, float(rng.uniform(0.0, 0.02)))
    return Ground(np.clip(stage, 0.0, 8.0).astype(np.float32), relief.astype(np.float32))


def ponds(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw floes of white ice and old snow with melt ponds whose shores are soft.

    Ponds fill the low places of each floe, keep off its rim, and differ in depth.
    """
    shape = setting.shape
    cells = _plates(setting, rng, log_uniform(rng, 100.0, 300.0))
    n = len(cells.site_x)
    kept = rng.random(n) < float(rng.uniform(0.65, 0.98))
    gap = float(rng.uniform(1.0, 8.0)) * rng.exponential(1.0, n) + 0.7
    floe = (kept[cells.site] & (2.0 * cells.margin > gap[cells.site])).reshape(shape)
    age = np.clip(rng.normal(float(rng.uniform(6.7, 7.5)), 0.4, n), 5.5, 8.0)
    inside = age[cells.site].reshape(shape)
    sea = _sea(shape, rng, float(rng.uniform(0.0, 0.3)))
    stage = np.where(floe, inside, sea)

    size = log_uniform(rng, 8.0, 45.0)
    basins = random_field(shape, rng, scale=size, cutoff=max(2.0, size / 8.0), roughness=0.9)
    wet = random_field(shape, rng, scale=200.0, cutoff=20.0)
    share = float(rng.uniform(0.1, 0.45))
    filled = basins + 0.5 * wet
    filled -= level_of(filled, share)
    shore = float(rng.uniform(0.1, 0.5))
    rim = np.clip((cells.margin.reshape(shape) - 3.0) / 6.0, 0.0, 1.0)
    pond = ramp(filled, shore) * rim * floe
    depth = np.clip(
        float(rng.uniform(0.1, 0.6)) + 0.35 * filled + float(rng.uniform(0, 0.3)) * wet, 0.0, 1.0
    )
    height = -0.02 * np.maximum(filled, 0.0) * floe
    relief = sunlit(height, setting, 0.5) * drifts(shape, rng, float(rng.uniform(0.0, 0.02)))
    return Ground(
        np.clip(stage, 0.0, 8.0).astype(np.float32),
        relief.astype(np.float32),
        pond=pond.astype(np.float32),
        pond_depth=depth.astype(np.float32),
    )


def ridges(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw thick ice with pressure ridges, snow dunes and drifting brightness, and a few leads.

    Heights are shaded by the sun, so ridges are bright on one side and dark on the other. The
    brightness of snow drifts by ten grey levels and more over kilometres.
    """
    shape = setting.shape
    cells = _plates(setting, rng, log_uniform(rng, 60.0, 220.0))
    n = len(cells.site_x)
    draw = rng.random(n)
    border = ((draw[cells.site] + draw[cells.neighbour]) % 1.0).reshape(shape)
    margin = cells.margin.reshape(shape).astype(np.float64)
    along = np.clip(0.7 + 0.6 * random_field(shape, rng, scale=40.0, cutoff=4.0), 0.0, 2.5)
    crest = float(rng.uniform(1.0, 3.0))
    high = np.where(border < float(rng.uniform(0.3, 0.8)), along * (0.3 + border), 0.0)
    height = float(rng.uniform(0.1, 0.4)) * high * np.exp(-margin / crest)
    rubble = random_field(shape, rng, scale=12.0, cutoff=1.5, roughness=0.5)
    height += float(rng.uniform(0.002, 0.015)) * rubble * (1.0 + 3.0 * high * (margin < 10.0))
    dunes = random_field(
        shape,
        rng,
        scale=log_uniform(rng, 8.0, 30.0),
        cutoff=2.0,
        aspect=float(rng.uniform(3.0, 8.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    height += float(rng.uniform(0.003, 0.02)) * dunes

    level = np.clip(rng.normal(float(rng.uniform(7.0, 7.8)), 0.25, n), 6.4, 8.0)
    stage = level[cells.site].reshape(shape)
    opened = float(rng.uniform(0.03, 0.2))
    width = float(rng.uniform(1.5, 14.0)) * np.clip(along, 0.0, 1.6)
    lead = (border > 1.0 - opened) & (2.0 * margin < width)
    ages = rng.random(n)
    refrozen = ((ages[cells.site] + ages[cells.neighbour]) % 1.0).reshape(shape)
    frozen = np.where(refrozen < float(rng.uniform(0.2, 0.8)), 5.0 * refrozen, 0.0)
    stage = np.where(lead, frozen, stage)
    holes = random_field(shape, rng, scale=log_uniform(rng, 100.0, 300.0), cutoff=4.0)
    share = float(rng.uniform(0.0, 0.15))
    thin = holes > level_of(holes, share)
    stage = np.where(thin, float(rng.uniform(0.0, 5.0)), stage)
    height[lead | thin] = 0.0
    relief = sunlit(height, setting) * drifts(shape, rng, float(rng.uniform(0.02, 0.06)))
    return Ground(np.clip(stage, 0.0, 8.0).astype(np.float32), relief.astype(np.float32))


def brash(setting: Setting, rng: np.random.Generator) -> Ground:
    """Draw broken ice finer than a pixel: grey mixtures of water and white that change smoothly.

    Its share drifts over kilometres, with bands of an ice edge and a fine grain, which is strongest
    where half of a pixel is covered. Larger floes with sharp borders lie in it.
    """
    shape = setting.shape
    broad = random_field(
        shape,
        rng,
        scale=log_uniform(rng, 150.0, 700.0),
        cutoff=20.0,
        aspect=float(rng.uniform(1.0, 3.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    bands = random_field(
        shape,
        rng,
        scale=log_uniform(rng, 15.0, 60.0),
        cutoff=5.0,
        aspect=float(rng.uniform(2.0, 6.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    field = broad + float(rng.uniform(0.1, 0.6)) * bands
    share = ramp(field - level_of(field, float(rng.uniform(0.3, 0.7))), float(rng.uniform(0.7, 2)))
    grain = random_field(shape, rng, scale=4.0, cutoff=1.0, roughness=0.3)
    amount = float(rng.uniform(0.02, 0.12))
    share = np.clip(share + amount * grain * 2.0 * np.sqrt(share * (1.0 - share)), 0.0, 1.0)

    cells = _plates(setting, rng, log_uniform(rng, 20.0, 90.0))
    n = len(cells.site_x)
    chance = float(rng.uniform(0.05, 0.45))
    radius = rng.uniform(0.2, 0.6, n) * float(np.median(cells.radius)) * 2.0
    where = np.clip(cells.site_y, 0, shape[0] - 1).astype(int)
    there = np.clip(cells.site_x, 0, shape[1] - 1).astype(int)
    kept = rng.random(n) < chance * 2.0 * share[where, there]
    floe = (kept[cells.site] & (cells.radius < radius[cells.site]) & (cells.margin > 0.7)).reshape(
        shape
    )
    level = np.clip(rng.normal(7.3, 0.4, n), 6.0, 8.0)[cells.site].reshape(shape)
    stage = np.where(floe, level, _sea(shape, rng, float(rng.uniform(0.0, 0.3))))
    relief = drifts(shape, rng, float(rng.uniform(0.0, 0.02)))
    return Ground(
        stage.astype(np.float32),
        relief.astype(np.float32),
        broken=np.where(floe, 0.0, share).astype(np.float32),
        broken_stage=float(rng.uniform(6.6, 7.8)),
    )


def _plates(setting: Setting, rng: np.random.Generator, size: float) -> Cells:
    """Cells of about `size` pixels with ragged borders, at every pixel of the scene."""
    shape = setting.shape
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    bend = min(float(rng.uniform(0.05, 0.12)) * size, 12.0)
    rough = {"scale": float(np.clip(0.8 * size, 20.0, 140.0)), "cutoff": 2.0, "roughness": 0.7}
    rows += bend * random_field(shape, rng, **rough)
    cols += bend * random_field(shape, rng, **rough)
    return voronoi_cells(
        cols.astype(np.float32).ravel(),
        rows.astype(np.float32).ravel(),
        size,
        rng,
        aspect=float(rng.uniform(1.0, 2.5)),
        angle=float(rng.uniform(0.0, math.pi)),
    )


def _sea(shape: tuple[int, int], rng: np.random.Generator, frozen: float) -> Floats:
    """Stages of the sea between floes, (H, W): water, and new ice with soft and hard borders."""
    field = random_field(shape, rng, scale=log_uniform(rng, 60.0, 300.0), cutoff=6.0)
    edge = level_of(field, max(frozen, 0.01))
    return float(rng.uniform(0.8, 4.5)) * ramp(field - edge, log_uniform(rng, 0.02, 0.6))

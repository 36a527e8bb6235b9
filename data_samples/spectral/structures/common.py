"""What structures share: settings of a scene, smooth ramps, slopes in the sun, drifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What a structure is told of its scene."""

    shape: tuple[int, int]
    """(H, W) in pixels of 10 m."""
    sun_azimuth: float
    """Degrees clockwise from the top of the grid."""
    sun_elevation: float
    """Degrees above the horizon."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a size: every factor is as likely as any other."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def ramp(field: Floats, width: float) -> Floats:
    """Rise smoothly from 0 to 1 about 0, mostly within -width..width; any shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(field * (1.5 / max(width, 1e-6))), np.float64)


def level_of(field: Floats, share: float) -> float:
    """Return the level that `share` of a field (H, W) lies above."""
    return float(np.quantile(field[::4, ::4], 1.0 - share))


def sunlit(height: Floats, setting: Setting, strength: float = 1.0) -> Floats:
    """Return the light on slopes relative to flat ground, (H, W).

    A slope s towards a sun of elevation e gets 1 + s / tan(e) of the light of flat ground (a
    Lambert surface with small slopes); the sky's own light keeps it from getting black.

    Args:
        height: (H, W), in pixels.
        setting: Position of the sun.
        strength: Factor of the slope.
    """
    padded = np.pad(height, 1, mode="edge")
    azimuth = math.radians(setting.sun_azimuth)
    # Up is towards smaller rows. A slope that falls towards the sun faces it.
    slope = math.sin(azimuth) * (padded[1:-1, :-2] - padded[1:-1, 2:]) / 2.0
    slope += math.cos(azimuth) * (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2.0
    tan = math.tan(math.radians(setting.sun_elevation))
    return np.clip(1.0 + strength * slope / tan, 0.45, 1.35)


def drifts(
    shape: tuple[int, int],
    rng: np.random.Generator,
    strength: float,
    scale: tuple[float, float] = (100.0, 500.0),
) -> Floats:
    """Draw drifting brightness of snow, (H, W): about 1, deviation `strength`."""
    broad = random_field(
        shape,
        rng,
        scale=log_uniform(rng, *scale),
        cutoff=14.0,
        roughness=float(rng.uniform(0.6, 1.4)),
        aspect=float(rng.uniform(1.0, 3.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    return 1.0 + strength * np.clip(broad, -2.5, 2.5)

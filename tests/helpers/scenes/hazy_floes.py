"""Floes on water under haze that other bands show, for tests of the illumination filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.finding import Ground
from autolabel.filters.illumination.levels import Levels
from autolabel.filters.illumination.survey import Strip, survey_scene
from polynya.scenes.scene import SceneLayers

Field = NDArray[np.float64]

SIZE = 640
CLOUD, CLOUD_SWIR = 236.0, 110.0
"""V of opaque cloud, and its short waves in grey levels."""


def surfaces() -> tuple[Field, Field]:
    """Floes of snow and of grey ice on water; V and short waves, (SIZE, SIZE)."""
    y, x = np.indices((SIZE, SIZE))
    floe = (y % 128 < 100) & (x % 128 < 100)
    snowy = floe & ((y // 128 + x // 128) % 2 == 0)
    value = np.where(snowy, 232.0, np.where(floe, 70.0, 14.0))
    return value, np.where(snowy, 24.0, np.where(floe, 11.0, 8.0))


def bump(row: float, column: float, sigma: float = 90.0) -> Field:
    y, x = np.indices((SIZE, SIZE))
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))


def seen(field: Field) -> Field:
    """Return grey levels with noise, 0..255."""
    rng = np.random.default_rng(5)
    return np.clip(np.rint(field + rng.normal(0, 0.7, field.shape)), 0, 255)


def ground_of(
    value: Field,
    swir: Field | None = None,
    sun: tuple[float, float] | None = None,
    *,
    cirrus: Field | None = None,
) -> Ground:
    """Cut a scene into segments; V and short waves in grey levels, cirrus in reflectance."""
    rgb = np.repeat(seen(value).astype(np.uint8)[..., None], 3, axis=2)
    layer = None if swir is None else (seen(swir) / 255.0).astype(np.float32)
    high = None if cirrus is None else cirrus.astype(np.float32)
    layers = SceneLayers(layer, layer, high, None, None, sun=sun)
    strip = Strip.of(rgb, np.ones(value.shape, np.bool_), layers)
    survey = survey_scene([strip], (SIZE, SIZE), Levels())
    return Ground.of(survey, levels=Levels())


def hazy(value: Field, swir: Field, haze: Field) -> tuple[Field, Field]:
    """Put haze over V and the short waves."""
    return value * (1 - haze) + CLOUD * haze, swir * (1 - haze) + CLOUD_SWIR * haze


def cells(field: Field) -> Field:
    """Mean over cells of 32 x 32 pixels."""
    n = SIZE // 32
    return field.reshape(n, 32, n, 32).mean(axis=(1, 3))

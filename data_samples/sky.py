"""Thin cloud and cloud shadow.

Image model: I = R g (1 - h) + W h, with R the clear scene, g the shadow gain, h the opacity of
thin cloud (haze) and W the brightness of cloud. Borders of cloud and shadow are soft, borders of
classes are sharp. This difference tells a shadow from thin ice.

The shadow of a cloud at height z, under a sun at elevation e, lies z / tan(e) away from the cloud,
on the side opposite the sun. With the low sun of high latitudes this is often a kilometre or more.
So a scene may show a cloud without its shadow, or a shadow without its cloud.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field, smoothstep

SKY_KINDS = ("clear", "shadow", "cloud", "both")
PIXEL_SIZE = 10.0
"""Ground size of a pixel, in metres."""

_STEP = 4
"""The sky is drawn on every fourth pixel; all its structures are several times larger."""

Range = tuple[float, float]


@dataclass(frozen=True)
class SkyOptions:
    """Cloudiness of the samples: ranges from which each scene draws its own values.

    The defaults look like real polar scenes on partly cloudy days: a sheet or some bands of thin
    cloud over part of the scene, with the ice still visible.
    """

    coverage: Range = (0.12, 0.45)
    """Least share of the scene under cloud, and least share under shadow."""
    opacity: Range = (0.15, 0.5)
    """Opacity h of the densest cloud."""
    gain: Range = (0.45, 0.88)
    """Gain g of the deepest shadow."""
    scale: Range = (120.0, 600.0)
    """Size of the largest cloud structures, in pixels."""
    height: Range = (200.0, 1000.0)
    """Height of the cloud above the ice, in metres."""
    sun_elevation: Range = (12.0, 35.0)
    """Elevation of the sun, in degrees."""
    cloud_brightness: Range = (225.0, 250.0)
    """V of an opaque cloud, W in the image model."""


@dataclass(frozen=True)
class Sky:
    """The sky over one scene."""

    kind: str
    gain: NDArray[np.float32]
    """(H, W), shadow gain g, 0.4..1."""
    haze: NDArray[np.float32]
    """(H, W), opacity h of thin cloud, 0..0.5."""
    cloud_brightness: float
    """V of an opaque cloud (W)."""
    sun_azimuth: float
    """Degrees clockwise from the top of the grid."""
    sun_elevation: float
    """Degrees above the horizon."""
    cloud_height: float
    """Metres."""


def towards_sun(azimuth: float) -> tuple[float, float]:
    """Return the direction towards the sun: rows and columns of a step of length 1.

    Args:
        azimuth: Degrees clockwise from the top of the grid.
    """
    return -math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))


def make_sky(
    shape: tuple[int, int], rng: np.random.Generator, kind: str, options: SkyOptions
) -> Sky:
    """Draw the sky over one scene.

    Args:
        shape: (H, W) in pixels.
        rng: Source of randomness. All kinds draw the same numbers, so a scene's cloud is the same
            with and without its shadow.
        kind: One of `SKY_KINDS`. "shadow" shows only shadows: their clouds lie outside the scene or
            are too thin to see. "cloud" shows only clouds: their shadows lie outside.
        options: Ranges to draw from.

    Returns:
        Gain and haze fields, and the values from which they were made.
    """
    azimuth = float(rng.uniform(0.0, 360.0))
    elevation = float(rng.uniform(*options.sun_elevation))
    cloud_height = float(rng.uniform(*options.height))
    brightness = float(rng.uniform(*options.cloud_brightness))
    coverage = float(rng.uniform(*options.coverage))
    opacity = float(rng.uniform(*options.opacity))
    deepest = float(rng.uniform(*options.gain))

    shift = cloud_height / math.tan(math.radians(elevation)) / PIXEL_SIZE / _STEP
    # Shadows fall away from the sun: if it is at the top (azimuth 0), towards larger row numbers.
    down = round(shift * math.cos(math.radians(azimuth)))
    right = round(-shift * math.sin(math.radians(azimuth)))
    rows, cols = (math.ceil(n / _STEP) + 2 for n in shape)
    field = _cloud_field((rows + abs(down), cols + abs(right)), rng, options)
    # The pixel at (row, column) is shaded by the cloud at (row - down, column - right).
    top, left = max(down, 0), max(right, 0)
    overhead = field[top : top + rows, left : left + cols]
    shading = field[top - down : top - down + rows, left - right : left - right + cols]
    # The rarer of cloud and shadow covers the wanted share, so both are in the scene.
    edge = min(float(np.quantile(part, 1.0 - coverage)) for part in (overhead, shading))
    softness = float(rng.uniform(0.7, 1.8))
    overhead = smoothstep((overhead - edge) / softness + 0.1)
    shading = smoothstep((shading - edge) / softness + 0.1)
    # Light scattered in and below a cloud makes the shadow softer than the cloud.
    blur = float(rng.uniform(1.0, 4.0))
    shading = cv2.GaussianBlur(shading, (0, 0), blur, borderType=cv2.BORDER_REFLECT)

    haze = opacity * _fine(overhead, shape) if kind in ("cloud", "both") else np.zeros(shape)
    gain = np.ones(shape)
    if kind in ("shadow", "both"):
        gain -= (1.0 - deepest) * _fine(shading, shape)
    return Sky(
        kind=kind,
        gain=gain.astype(np.float32),
        haze=haze.astype(np.float32),
        cloud_brightness=brightness,
        sun_azimuth=azimuth,
        sun_elevation=elevation,
        cloud_height=cloud_height,
    )


def _cloud_field(
    shape: tuple[int, int], rng: np.random.Generator, options: SkyOptions
) -> NDArray[np.float64]:
    """Draw a field on the coarse grid, high where there is cloud: broad sheets, bands and wisps."""
    scale = float(np.exp(rng.uniform(*np.log(options.scale)))) / _STEP
    angle = float(rng.uniform(0.0, math.pi))
    aspect = float(rng.uniform(1.0, 2.5))
    broad = random_field(
        shape, rng, scale=scale, cutoff=scale / 4, roughness=1.2, aspect=aspect, angle=angle
    )
    wisps = random_field(
        shape, rng, scale=scale / 2, cutoff=7.0, roughness=0.8, aspect=1.5 * aspect, angle=angle
    )
    return broad + float(rng.uniform(0.15, 0.6)) * wisps


def _fine(coarse: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Interpolate a coarse field to the scene's pixels, limited to 0..1."""
    size = (coarse.shape[1] * _STEP, coarse.shape[0] * _STEP)
    fine = cv2.resize(np.ascontiguousarray(coarse), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(fine[_STEP : _STEP + shape[0], _STEP : _STEP + shape[1]], 0.0, 1.0)

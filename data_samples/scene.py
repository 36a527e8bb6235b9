"""Compose a sample: ice, texture, sky, sensor, swath edge, place on the map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field
from data_samples.ice import VALUE_RANGES, make_ice
from data_samples.seasons import SEASONS, SceneLight, draw_light
from data_samples.sky import PIXEL_SIZE, SKY_KINDS, Sky, SkyOptions, make_sky
from polynya.errors import PolynyaError
from polynya.recipe.classes import SEA_ICE

GENERATOR_VERSION = "1"
"""Changes whenever the same seed would give other pixels."""

MIXED_KINDS = ("shadow", "cloud", "both")
USUAL = next(iter(SEASONS))
"""The season of scenes that name none."""

_ICE, _SURFACE, _SKY, _SENSOR, _PLACE, _LIGHT = range(6)


@dataclass(frozen=True)
class SampleScene:
    """One site: the scene under a clear sky and under its own sky, and the truth."""

    seed: int
    index: int
    """0-based number of the site within its seed."""
    regime: str
    """Kind of ice: pack, floes, marginal or young."""
    clear: NDArray[np.uint8]
    """(H, W, 3), RGB under a clear sky; 0 in all bands where there is no data."""
    observed: NDArray[np.uint8]
    """(H, W, 3), RGB through cloud and shadow; its sensor noise differs from that of `clear`."""
    truth: NDArray[np.uint8]
    """(H, W), class codes of `polynya.recipe.classes.SEA_ICE`, 255 where there is no data."""
    valid: NDArray[np.bool_]
    """(H, W), False beyond the edge of the swath."""
    sky: Sky
    """Gain and haze fields, sun and cloud."""
    cast: tuple[float, float, float]
    """Factor of each band; the largest is 1. The same for ice, water and cloud."""
    texture: float
    """Standard deviation of the texture, relative to brightness; the same for all classes."""
    noise: float
    """Standard deviation of the sensor noise, in grey levels."""
    origin: tuple[float, float]
    """Easting and northing of the upper left corner in EPSG:3031, in metres."""
    light: SceneLight
    """Light of the season; part of `clear` and `observed`."""

    @property
    def site(self) -> str:
        """Name of the site, the first part of its file names."""
        name = f"ross{self.seed:04d}-{self.index:04d}"
        return name if self.light.season == USUAL else f"{name}-{self.light.season}"

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine transform from (column, row) to easting and northing."""
        return (PIXEL_SIZE, 0.0, self.origin[0], 0.0, -PIXEL_SIZE, self.origin[1])


def make_scene(
    seed: int,
    index: int,
    shape: tuple[int, int],
    sky: str = "mixed",
    *,
    options: SkyOptions | None = None,
    wedge: float | None = None,
    texture: float | None = None,
    season: str = USUAL,
) -> SampleScene:
    """Make one sample; the same arguments always give the same pixels.

    Args:
        seed: Seed of the series, >= 0.
        index: Number of the site in the series, >= 0; sites do not depend on each other.
        shape: (H, W) in pixels of 10 m, each >= 1.
        sky: One of `SKY_KINDS`, or "mixed": shadow, cloud and both in turn. The ice, and so the
            clear scene, does not depend on it.
        options: Ranges of cloudiness; None means `SkyOptions()`.
        wedge: Share of the scene beyond the edge of the swath, 0..1; None draws it at random (two
            scenes in five have 3 to 20 %).
        texture: Standard deviation of the texture, relative to brightness; None draws it at random
            (0.004 to 0.022).
        season: Key of `data_samples.seasons.SEASONS`. Ice, sky and noise do not depend on it, so
            the same site can be seen in every season.

    Returns:
        The scene, its truth and all values that were drawn for it.

    Raises:
        PolynyaError: Unknown sky or season, empty shape, or negative seed or index.
    """
    if min(shape) < 1:
        raise PolynyaError(f"a scene of {shape[0]} x {shape[1]} pixels is empty: use 1 x 1 or more")
    if seed < 0 or index < 0:
        raise PolynyaError(f"seed {seed} and index {index} must not be negative: use 0 or more")
    if sky != "mixed" and sky not in SKY_KINDS:
        known = ", ".join((*SKY_KINDS, "mixed"))
        raise PolynyaError(f'there is no sky "{sky}": use one of {known}')
    if season not in SEASONS:
        raise PolynyaError(f'there is no season "{season}": use one of {", ".join(SEASONS)}')
    kind = MIXED_KINDS[index % len(MIXED_KINDS)] if sky == "mixed" else sky

    # One stream for each part, so another sky does not change the ice, the noise or the place.
    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng([seed, index, part])

    surface = stream(_SURFACE)
    usual_texture = float(surface.uniform(0.004, 0.022))
    texture = usual_texture if texture is None else texture
    blur = float(surface.uniform(0.3, 0.8))
    noise = float(surface.uniform(0.3, 1.0))
    cast = _colour_cast(surface)

    the_sky = make_sky(shape, stream(_SKY), kind, options or SkyOptions())
    ice = make_ice(shape, stream(_ICE), texture=2.5 * texture)
    value = ice.value * (1.0 + texture * _texture(shape, surface, the_sky.sun_azimuth))
    value = _optics(value, ice.classes, blur, noise)
    through = value * the_sky.gain * (1.0 - the_sky.haze) + the_sky.cloud_brightness * the_sky.haze

    sensor = stream(_SENSOR)
    place = stream(_PLACE)
    origin = (
        PIXEL_SIZE * int(place.integers(-35_000, 20_000)),
        PIXEL_SIZE * int(place.integers(-190_000, -145_000)),
    )
    valid = _swath(shape, place, wedge)
    light = draw_light(season, stream(_LIGHT))
    if season != USUAL:
        value, through = (light.air + light.strength * part for part in (value, through))
        cast = _both_casts(cast, light.tint)
    clear = _expose(value, cast, noise, sensor, valid)
    observed = clear if kind == "clear" else _expose(through, cast, noise, sensor, valid)
    return SampleScene(
        seed=seed,
        index=index,
        regime=ice.regime,
        clear=clear,
        observed=observed,
        truth=np.where(valid, ice.classes, SEA_ICE.nodata).astype(np.uint8),
        valid=valid,
        sky=the_sky,
        cast=cast,
        texture=texture,
        noise=noise,
        origin=origin,
        light=light,
    )


def _colour_cast(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the tint of light and sensor: usually bluish as from sky, else warm as at low sun."""
    blue = float(rng.uniform(0.0, 0.16)) * (1.0 if rng.random() < 0.7 else -0.6)
    green = float(rng.normal(0.0, 0.012))
    bands = 1.0 + np.array([-blue, green, blue]) / 2.0
    bands /= bands.max()
    return float(bands[0]), float(bands[1]), float(bands[2])


def _both_casts(
    one: tuple[float, float, float], other: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the cast of two casts, one after the other; the largest factor is 1."""
    bands = np.array(one) * np.array(other)
    red, green, blue = (bands / bands.max()).tolist()
    return red, green, blue


def _texture(
    shape: tuple[int, int], rng: np.random.Generator, sun_azimuth: float
) -> NDArray[np.float64]:
    """Draw the shaded relief of drifts and ridges, (H, W); mean about 0, deviation about 1.

    The low sun lights slopes that face it. So texture is the slope of a rough surface along the
    sun's direction, with drifts stretched along the wind. A soft variation, for example of snow
    depth, is added. Values are limited to -2.5..2.5.
    """
    relief = random_field(
        (shape[0] + 2, shape[1] + 2),
        rng,
        scale=float(rng.uniform(8.0, 60.0)),
        cutoff=float(rng.uniform(1.5, 4.0)),
        roughness=float(rng.uniform(0.4, 1.0)),
        aspect=float(rng.uniform(1.0, 4.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    azimuth = math.radians(sun_azimuth)
    slope = math.sin(azimuth) * (relief[1:-1, 2:] - relief[1:-1, :-2])
    slope += math.cos(azimuth) * (relief[:-2, 1:-1] - relief[2:, 1:-1])
    # Some places are rougher than others; this does not depend on the ice.
    slope *= np.exp(0.4 * random_field(shape, rng, scale=150.0, cutoff=16.0))
    spread = float(np.sqrt(np.mean(slope * slope)))
    broad = random_field(shape, rng, scale=float(rng.uniform(60.0, 300.0)), cutoff=16.0)
    share = float(rng.uniform(0.0, 0.6))
    mixed = math.sqrt(1.0 - share) * slope / max(spread, 1e-9) + math.sqrt(share) * broad
    return np.clip(mixed, -2.5, 2.5)


def _optics(
    value: NDArray[np.float64], classes: NDArray[np.uint8], blur: float, noise: float
) -> NDArray[np.float64]:
    """Blur as the sensor's optics do, but keep each pixel in the range of its class.

    The thresholds on the clear scene define the truth, so the brightness of a mixed pixel decides
    its class. Pixels stay about one deviation of the noise away from the limits.
    """
    blurred = cv2.GaussianBlur(value, (5, 5), blur, borderType=cv2.BORDER_REFLECT)
    low = np.array([limits[0] for limits in VALUE_RANGES]) + np.array([0.0, 1.0, 1.0]) * noise
    high = np.array([limits[1] for limits in VALUE_RANGES]) - np.array([2.0, 2.0, 0.0]) * noise
    return np.clip(blurred, low[classes], high[classes])


def _expose(
    value: NDArray[np.float64],
    cast: tuple[float, float, float],
    noise: float,
    rng: np.random.Generator,
    valid: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Make RGB (H, W, 3) from brightness, with cast, noise and 8 bits; 0 only marks nodata."""
    grain = np.float32(noise) * rng.standard_normal((*value.shape, 3), dtype=np.float32)
    rgb = np.clip(np.rint(value[..., None] * np.array(cast) + grain), 1, 255).astype(np.uint8)
    rgb[~valid] = 0
    return rgb


def _swath(
    shape: tuple[int, int], rng: np.random.Generator, wedge: float | None
) -> NDArray[np.bool_]:
    """Return the valid pixels (H, W); the straight edge of the swath may cut off a corner."""
    chance, share = float(rng.random()), float(rng.uniform(0.03, 0.2))
    # Sentinel-2's descending tracks cross the grid at an angle. Either edge can be in the scene.
    slant = math.radians(float(rng.uniform(12.0, 40.0)) + 180.0 * int(rng.integers(2)))
    if wedge is None:
        wedge = share if chance < 0.4 else 0.0
    if wedge <= 0.0:
        return np.ones(shape, np.bool_)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    across = cols * math.cos(slant) + rows * math.sin(slant)
    return np.asarray(across < np.quantile(across[::4, ::4], 1.0 - wedge), np.bool_)

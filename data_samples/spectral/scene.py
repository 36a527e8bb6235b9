"""Compose a spectral scene: ground, light, sensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field
from data_samples.sky import PIXEL_SIZE, SKY_KINDS, SkyOptions, make_sky, towards_sun
from data_samples.spectral.bands import BANDS, COLOURS, WAVELENGTHS
from data_samples.spectral.light import SpectralLight, draw_cloud_kind, draw_light, under_sky
from data_samples.spectral.sensor import (
    blurred,
    classes_of,
    contrasted,
    expose,
    image,
    resampled,
    swath,
)
from data_samples.spectral.structures.common import Setting, log_uniform
from data_samples.spectral.structures.floes import brash, pack, ponds, ridges
from data_samples.spectral.structures.growing import nilas, young
from data_samples.spectral.structures.shelf import polynya
from data_samples.spectral.surfaces import Ground, draw_spectra, reflectance
from polynya.errors import PolynyaError
from polynya.recipe.classes import SEA_ICE
from polynya.scenes.scene import SceneLayers

STRUCTURES: dict[str, Callable[[Setting, np.random.Generator], Ground]] = {
    "young": young,
    "polynya": polynya,
    "ponds": ponds,
    "ridges": ridges,
    "brash": brash,
    "nilas": nilas,
    "pack": pack,
}
"""Kinds of ground by name."""

SCALES = (0.25, 4.0)
"""Least and greatest size of a pixel, relative to 10 m."""

_GROUND, _SURFACE, _CLOUD, _LIGHT, _SKY, _SENSOR, _PLACE = range(3001, 3008)
"""Streams of random numbers. They are separate, so another sky does not change the ground."""


@dataclass(frozen=True)
class SpectralScene:
    """One scene with truth: colours as 8 bits, and reflectance in every band."""

    seed: int
    structure: str
    """Key of `STRUCTURES`."""
    sky: str
    """One of `data_samples.SKY_KINDS`."""
    observed: NDArray[np.uint8]
    """(H, W, 3), RGB through cloud and shadow; 0 where there is no data, and nowhere else."""
    clear: NDArray[np.uint8]
    """(H, W, 3), RGB of the same ground under a clear sky, by the same sensor, without noise."""
    bands: dict[str, NDArray[np.float32]]
    """(H, W) by name of `BANDS`: reflectance of the observed scene with noise; 0 for nodata."""
    truth: NDArray[np.uint8]
    """(H, W), what thresholds say of `clear`: 0 open water, 1 thin ice, 2 thick ice, 255 nodata."""
    valid: NDArray[np.bool_]
    """(H, W), False beyond the edge of the swath."""
    gain: NDArray[np.float32]
    """(H, W), shadow gain in green; `light.gain_in` gives the other bands."""
    haze: NDArray[np.float32]
    """(H, W), opacity of cloud in green; `light.haze_in` gives the other bands."""
    light: SpectralLight
    """Cloud and shadow by band."""
    air: NDArray[np.float64]
    """(bands,), reflectance of the air; all pixels have it."""
    stretch: tuple[float, float]
    """Reflectances of grey 0 and 255."""
    gamma: float
    """Exponent of the stretch; 1 is linear."""
    noise: float
    """Standard deviation of noise in colours, in grey levels of the stretch without gamma."""
    sun_azimuth: float
    """Degrees clockwise from the top of the grid."""
    sun_elevation: float
    """Degrees above the horizon."""
    origin: tuple[float, float]
    """Easting and northing of the upper left corner, in metres (EPSG:3031)."""
    pixel: float
    """Size of a pixel, in metres."""

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine transform from (column, row) to easting and northing."""
        return (self.pixel, 0.0, self.origin[0], 0.0, -self.pixel, self.origin[1])

    @property
    def layers(self) -> SceneLayers:
        """The infrared bands as filters take them."""
        return SceneLayers(
            nir=self.bands["nir"],
            swir=self.bands["swir16"],
            cirrus=self.bands["cirrus"],
            opaque_cloud=None,
            sun_azimuth=self.sun_azimuth,
            sun_elevation=self.sun_elevation,
            sun=towards_sun(self.sun_azimuth),
        )


def make_spectral(
    seed: int,
    shape: tuple[int, int],
    sky: str,
    *,
    structure: str | None = None,
    scale: float = 1.0,
    gamma: float = 1.0,
    contrast: float = 1.0,
    jpeg: int | None = None,
    options: SkyOptions | None = None,
) -> SpectralScene:
    """Make one scene; the same arguments always give the same pixels.

    Args:
        seed: Seed of the site, >= 0.
        shape: (H, W) in pixels, each >= 1.
        sky: One of `data_samples.SKY_KINDS`.
        structure: Kind of ground, a key of `STRUCTURES`; None draws it.
        scale: Size of a pixel relative to 10 m, 0.25 to 4. Time grows with its square.
        gamma: Exponent of the stretch, > 0; above 1 dark tones get darker.
        contrast: Factor of grey about the middle, > 0; above 1 more pixels are black and white.
        jpeg: Quality of a JPEG file through which the observed image goes, 1 to 100; None: none.
        options: Ranges of cloudiness; None takes those of a kind of cloud that is drawn.

    Raises:
        PolynyaError: An argument is out of its range.
    """
    _check(seed, shape, sky, structure, scale, gamma, contrast, jpeg)

    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng([seed, part])

    surface, light_stream = stream(_SURFACE), stream(_LIGHT)
    name = list(STRUCTURES)[int(surface.integers(len(STRUCTURES)))]
    name = name if structure is None else structure
    native = tuple(max(1, math.ceil(n * scale)) for n in shape)
    native = (native[0], native[1])

    kind = draw_cloud_kind(stream(_CLOUD), options)
    the_sky = make_sky(native, stream(_SKY), sky, kind.sky)
    light = draw_light(light_stream, kind)
    setting = Setting(native, the_sky.sun_azimuth, the_sky.sun_elevation)
    ground = STRUCTURES[name](setting, stream(_GROUND))
    spectra = draw_spectra(surface)
    aging = random_field(native, surface, scale=200.0, cutoff=16.0).astype(np.float32)
    layers = reflectance(ground, spectra, 0.6 * aging)
    layers *= _texture(native, surface)
    blur = float(surface.uniform(0.3, 0.9))
    noise = float(surface.uniform(0.2, 0.8))
    cast = _cast(surface)
    layers *= cast.astype(np.float32)[:, None, None]
    layers[BANDS.index("cirrus")] *= np.float32(light.transmission[BANDS.index("cirrus")])
    air = _air(surface)
    low, high = float(air[0]) * float(surface.uniform(0.3, 1.0)), float(surface.uniform(0.9, 1.08))
    stretch = contrasted(low, high, contrast, gamma)

    # The sky is drawn at the same size as the ground, and seen with the same pixels.
    seen = under_sky(layers, the_sky, the_sky.gain, the_sky.haze, light)
    both = [blurred(resampled(part, shape, scale), blur) for part in (layers, seen)]
    for part in both:
        part += air.astype(np.float32)[:, None, None]
    fields = resampled(np.stack([the_sky.gain, the_sky.haze]), shape, scale)
    place = stream(_PLACE)
    valid = swath(shape, place)
    origin = (
        PIXEL_SIZE * int(place.integers(-35_000, 20_000)),
        PIXEL_SIZE * int(place.integers(-190_000, -145_000)),
    )
    sensor = np.random.default_rng([seed, _SENSOR, SKY_KINDS.index(sky)])
    grain = np.full(len(BANDS), noise * (high - low) / 255.0)
    grain[BANDS.index("cirrus")] = 0.0004
    clear = image(both[0], stretch, valid)
    observed = expose(both[1], grain, sensor)
    rgb = image(observed, stretch, valid, jpeg)
    observed[:, ~valid] = 0.0
    return SpectralScene(
        seed=seed,
        structure=name,
        sky=sky,
        observed=rgb,
        clear=clear,
        bands=dict(zip(BANDS, observed, strict=True)),
        truth=np.where(valid, classes_of(clear), SEA_ICE.nodata).astype(np.uint8),
        valid=valid,
        gain=np.clip(fields[0], 0.0, 1.0),
        haze=np.clip(fields[1], 0.0, 1.0),
        light=light,
        air=air,
        stretch=(stretch.low, stretch.high),
        gamma=gamma,
        noise=noise,
        sun_azimuth=the_sky.sun_azimuth,
        sun_elevation=the_sky.sun_elevation,
        origin=origin,
        pixel=PIXEL_SIZE * scale,
    )


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Fine relative texture, (H, W), of random strength and scale; the same for all surfaces."""
    field = random_field(
        shape,
        rng,
        scale=log_uniform(rng, 4.0, 50.0),
        cutoff=float(rng.uniform(1.0, 3.5)),
        roughness=float(rng.uniform(0.3, 1.0)),
        aspect=float(rng.uniform(1.0, 4.0)),
        angle=float(rng.uniform(0.0, math.pi)),
    )
    strength = log_uniform(rng, 0.002, 0.02)
    return (1.0 + strength * np.clip(field, -2.5, 2.5)).astype(np.float32)


def _cast(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a factor of each band, from calibration and the light: the same for all surfaces.

    The largest of the colours is 1, so that a cast alone does not saturate snow.
    """
    tilt = float(rng.normal(0.0, 0.03))
    colour = 1.0 + tilt * (np.array(WAVELENGTHS) - 0.57) / 0.1 * (np.array(WAVELENGTHS) < 0.7)
    colour *= 1.0 + rng.normal(0.0, 0.01, len(BANDS))
    colour[: len(COLOURS)] /= colour[: len(COLOURS)].max()
    return np.asarray(colour, np.float64)


def _air(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the light that air scatters into the sensor, reflectance by band: bluish, up to 0.02."""
    air = float(rng.uniform(0.0, 0.02)) * (np.array(WAVELENGTHS) / 0.49) ** -4.0
    air[BANDS.index("cirrus")] = 0.001
    return np.asarray(air, np.float64)


def _check(
    seed: int,
    shape: tuple[int, int],
    sky: str,
    structure: str | None,
    scale: float,
    gamma: float,
    contrast: float,
    jpeg: int | None,
) -> None:
    """Raise PolynyaError for arguments of which no scene can be made."""
    if min(shape) < 1:
        raise PolynyaError(f"a scene of {shape[0]} x {shape[1]} pixels is empty: use 1 x 1 or more")
    if seed < 0:
        raise PolynyaError(f"seed {seed} must not be negative: use 0 or more")
    if sky not in SKY_KINDS:
        raise PolynyaError(f'there is no sky "{sky}": use one of {", ".join(SKY_KINDS)}')
    if structure is not None and structure not in STRUCTURES:
        known = ", ".join(STRUCTURES)
        raise PolynyaError(f'there is no structure "{structure}": use one of {known}')
    if not SCALES[0] <= scale <= SCALES[1]:
        raise PolynyaError(f"a scale of {scale} is out of range: use {SCALES[0]} to {SCALES[1]}")
    if min(gamma, contrast) <= 0:
        raise PolynyaError(f"gamma {gamma} and contrast {contrast} must be positive")
    if jpeg is not None and not 1 <= jpeg <= 100:
        raise PolynyaError(f"a JPEG quality of {jpeg} is out of range: use 1 to 100")

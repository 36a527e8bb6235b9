"""The sky over a spectral scene: cloud and shadow in every band.

Ranges are approximate: set by hand after the papers that are named.

The image model is that of `data_samples.sky` in each band b: I_b = R_b g_b (1 - h_b) + W_b h_b.

- Shadow takes the direct beam and leaves light of the sky. Rayleigh scattering makes that light
  blue, so g is largest in blue and least in the short waves. Let d_b be the part of the light on
  the ground that comes from the sky and t the share of the direct beam that is left: then
  g_b = t (1 - d_b) + d_b. Below a clear sky d falls from about 0.2 in blue to 0.02 at 1.6 um
  (Bird & Riordan 1986, J. Climate Appl. Meteorol. 25, 87); light between cloud and snow adds a
  part that is equal in all bands.
- Opacity is h_b = 1 - (1 - h)^k_b; k_b differs from 1 by some percent, because optical depth
  depends a little on wavelength for large droplets and more for small ones.
- Brightness W of cloud: about equal in colours and near infrared; 0.4 to 0.6 at 1.6 um and 0.3 to
  0.5 at 2.1 um for water, 0.2 to 0.35 and 0.15 to 0.25 for ice (Pilewskie & Twomey 1987,
  Atmos. Res. 21, 113; King et al. 2004, J. Atmos. Oceanic Technol. 21, 857).
- At 1.38 um water vapour hides what lies low. Only high cirrus is bright there (Gao, Goetz &
  Wiscombe 1993, Geophys. Res. Lett. 20, 301); of the ground little or nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data_samples.sky import Sky, SkyOptions
from data_samples.spectral.bands import BANDS, WAVELENGTHS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CloudKind:
    """A kind of cloud, and ranges from which each scene draws."""

    name: str
    sky: SkyOptions
    """Size, height, opacity and cover."""
    swir16: tuple[float, float]
    """Brightness of opaque cloud at 1.6 um."""
    swir22: tuple[float, float]
    """The same at 2.1 um."""
    cirrus: tuple[float, float]
    """The same at 1.38 um, behind the water vapour above the cloud."""


_WATER = {"swir16": (0.40, 0.60), "swir22": (0.30, 0.50), "cirrus": (0.0, 0.01)}
_ICE = {"swir16": (0.20, 0.35), "swir22": (0.15, 0.25)}

CLOUD_KINDS = (
    CloudKind("stratus", SkyOptions(scale=(200.0, 800.0)), **_WATER),
    CloudKind("broken", SkyOptions(scale=(60.0, 200.0), coverage=(0.12, 0.4)), **_WATER),
    CloudKind(
        "ice", SkyOptions(scale=(150.0, 600.0), height=(1500.0, 4000.0)), **_ICE, cirrus=(0.05, 0.3)
    ),
    CloudKind(
        "cirrus",
        SkyOptions(scale=(80.0, 400.0), height=(5000.0, 8000.0), opacity=(0.08, 0.4)),
        **_ICE,
        cirrus=(0.35, 0.7),
    ),
)
"""Low sheets and broken cloud of droplets, ice cloud of middle height, high thin cirrus."""


@dataclass(frozen=True)
class SpectralLight:
    """The light of one scene, band by band; arrays have an entry for each of `BANDS`."""

    cloud_kind: str
    """Name of one of `CLOUD_KINDS`."""
    diffuse: Floats
    """Part d of the light that comes from the sky."""
    opacity_power: Floats
    """k, the optical depth relative to green."""
    cloud: Floats
    """W, reflectance of opaque cloud."""
    transmission: Floats
    """Part of the ground's light that passes the air; 1 but for the cirrus band."""

    def gain_in(self, band: str, gain: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the shadow gain in a band, float32 (H, W), from the one in green."""
        green, here = np.float32(self.diffuse[BANDS.index("green")]), self.diffuse[_at(band)]
        direct = np.maximum((gain - green) / (1 - green), np.float32(0.0))
        return np.asarray(direct * np.float32(1.0 - here) + np.float32(here), np.float32)

    def haze_in(self, band: str, haze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the opacity of cloud in a band, float32 (H, W), from the one in green."""
        power = np.float32(self.opacity_power[_at(band)])
        return np.asarray(1.0 - (1.0 - haze) ** power, np.float32)


def _at(band: str) -> int:
    return BANDS.index(band)


def draw_cloud_kind(rng: np.random.Generator, options: SkyOptions | None) -> CloudKind:
    """Draw a kind of cloud; `options` replace its size, height, opacity and cover."""
    kind = CLOUD_KINDS[int(rng.choice(len(CLOUD_KINDS), p=(0.4, 0.2, 0.2, 0.2)))]
    return kind if options is None else replace(kind, sky=options)


def draw_light(rng: np.random.Generator, kind: CloudKind) -> SpectralLight:
    """Draw what shadow and cloud of a scene are in each band."""
    wavelength = np.array(WAVELENGTHS)
    from_air = float(rng.uniform(0.08, 0.24)) * (wavelength / 0.49) ** -float(rng.uniform(2.5, 4))
    from_snow = float(rng.uniform(0.02, 0.12))
    power = (wavelength / 0.56) ** -float(rng.uniform(-0.05, 0.2))
    white = float(rng.uniform(0.78, 0.98))
    cloud = np.full(len(BANDS), white)
    cloud[:4] *= rng.uniform(0.985, 1.015, 4)
    for name, limits in (("cirrus", kind.cirrus), ("swir16", kind.swir16), ("swir22", kind.swir22)):
        cloud[_at(name)] = rng.uniform(*limits)
    transmission = np.ones(len(BANDS))
    transmission[_at("cirrus")] = float(rng.choice((0.0, 0.002, 0.01)))
    return SpectralLight(kind.name, from_air + from_snow, power, cloud, transmission)


def under_sky(
    ground: NDArray[np.float32],
    sky: Sky,
    gain: NDArray[np.float32],
    haze: NDArray[np.float32],
    light: SpectralLight,
) -> NDArray[np.float32]:
    """Return the reflectance of the ground as seen through the sky, float32 (bands, H, W).

    Args:
        ground: (bands, H, W) as under a clear sky, the cirrus band dimmed by water vapour.
        sky: Its kind says whether there is shadow or cloud at all.
        gain: (H, W), shadow gain in green.
        haze: (H, W), opacity in green.
        light: What they are in the other bands.
    """
    seen = ground.copy()
    for index, band in enumerate(BANDS):
        if sky.kind in ("shadow", "both"):
            seen[index] *= light.gain_in(band, gain)
        if sky.kind in ("cloud", "both"):
            opacity = light.haze_in(band, haze)
            seen[index] += opacity * (np.float32(light.cloud[index]) - seen[index])
    return seen

"""Spectra of polar surfaces, and the reflectance of a ground that mixes them.

Ice that grows passes through a row of stages: open water, dark nilas, light nilas, grey ice,
grey-white ice, bare first-year ice, white ice, thin snow, deep snow. A stage is a number: 0 is open
water, 8 is deep snow, and between two whole numbers the reflectance changes linearly. So a smooth
field of stages is ice whose thickness changes smoothly.

The values of the tables are approximate: set by hand after these papers, not copied from them.

- Brandt, Warren, Worby & Grenfell 2005, J. Climate 18, 3606: water, nilas, grey and first-year ice
  around Antarctica, with and without snow.
- Grenfell & Perovich 1984, J. Geophys. Res. 89, 3573, and 2004, J. Geophys. Res. 109, C01009: bare
  and melting ice, ponds; ice is dark beyond 1.4 um.
- Malinka, Zege, Heygster & Istomina 2016, The Cryosphere 10, 2541: white ice.
- Malinka, Zege, Istomina, Heygster, Spreen, Perovich & Polashenski 2018, The Cryosphere 12, 1921:
  melt ponds; light where the ice below is thick, dark where it is thin.
- Wiscombe & Warren 1980, J. Atmos. Sci. 37, 2712, and Warren 1982, Rev. Geophys. 20, 67: snow. Its
  grain size changes the infrared and hardly the visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_samples.spectral.bands import BANDS

Field = NDArray[np.float32]

WATER, DARK_NILAS, LIGHT_NILAS, GREY, GREY_WHITE, FIRST_YEAR, WHITE, THIN_SNOW, SNOW = range(9)
"""Stages of growth."""

STAGES = np.array(
    [
        # blue  green   red    nir  cirrus swir16 swir22
        [0.065, 0.060, 0.052, 0.045, 0.035, 0.030, 0.025],  # open water
        [0.120, 0.115, 0.102, 0.075, 0.040, 0.035, 0.030],  # dark nilas, 5 cm
        [0.200, 0.195, 0.178, 0.130, 0.045, 0.040, 0.035],  # light nilas, 10 cm
        [0.305, 0.300, 0.277, 0.205, 0.055, 0.045, 0.040],  # grey ice, 15 cm
        [0.430, 0.425, 0.398, 0.305, 0.060, 0.050, 0.042],  # grey-white ice, 30 cm
        [0.600, 0.600, 0.572, 0.450, 0.065, 0.052, 0.045],  # bare first-year ice, 70 cm
        [0.755, 0.760, 0.735, 0.600, 0.070, 0.055, 0.045],  # white ice: a drained surface layer
        [0.880, 0.880, 0.862, 0.760, 0.150, 0.085, 0.055],  # 1 to 3 cm of snow
        [0.965, 0.965, 0.955, 0.880, 0.260, 0.120, 0.075],  # deep snow
    ]
)
"""Reflectance of each stage (row) in each band."""

_PONDS = np.array(
    [
        [0.520, 0.500, 0.310, 0.075, 0.022, 0.022, 0.020],  # light pond on thick ice
        [0.270, 0.230, 0.110, 0.050, 0.022, 0.022, 0.020],  # dark pond on thin ice
    ]
)
"""Reflectance of the lightest and darkest pond; between them the reflectance changes linearly."""

_STEPS = 128
"""Table entries per stage: a step is at most 0.0014 in reflectance."""


@dataclass(frozen=True)
class Ground:
    """What a structure says of the ground; all fields are (H, W)."""

    stage: Field
    """Stage of growth, 0..8."""
    relief: Field
    """Brightness relative to flat, even ground: slopes in the sun, drifts. About 1."""
    broken: Field | None = None
    """Share of the pixel under pieces of white ice that are smaller than it, 0..1."""
    broken_stage: float = 7.0
    """Stage of these pieces."""
    pond: Field | None = None
    """Share of the pixel under melt water, 0..1."""
    pond_depth: Field | None = None
    """0 for a light pond, 1 for a dark one."""


@dataclass(frozen=True)
class Spectra:
    """The surfaces' spectra of one scene: those of the tables, varied."""

    stages: NDArray[np.float64]
    """(stages, bands)."""
    ponds: NDArray[np.float64]
    """(2, bands), light and dark."""


def draw_spectra(rng: np.random.Generator) -> Spectra:
    """Vary the tables for one scene.

    Each surface gets its own tint, so that colour says little of the class. Snow gets a grain size:
    coarse grains are darker in the infrared. Stages stay in order of brightness.
    """
    tint = rng.normal(0.0, 1.0, (len(STAGES), len(BANDS)))
    spread = np.array([0.012, 0.012, 0.012, 0.025, 0.15, 0.15, 0.15])
    stages = STAGES * (1.0 + spread * np.clip(tint, -2.0, 2.0))
    level = rng.uniform(0.9, 1.0 / 0.9, len(STAGES))
    level[SNOW] = rng.uniform(0.94, 1.01)
    level[THIN_SNOW] = rng.uniform(0.94, 1.04)
    level[WATER] = rng.uniform(0.7, 1.25)
    stages *= level[:, None]
    coarse = float(rng.uniform(0.0, 1.0))
    grain = np.array([1.0, 1.0, 1.0, 1.02 - 0.06 * coarse, *[1.4 - 0.8 * coarse] * 3])
    stages[THIN_SNOW:] *= grain
    stages = np.clip(stages, 0.005, 0.99)
    stages[:, :3] = np.maximum.accumulate(stages[:, :3], axis=0)
    ponds = _PONDS * rng.uniform(0.85, 1.15, (2, 1))
    return Spectra(stages, ponds)


def reflectance(ground: Ground, spectra: Spectra, aging: Field) -> NDArray[np.float32]:
    """Return the reflectance of the ground, float32 (bands, H, W), without noise and blur.

    Args:
        ground: Stages, melt water, broken ice and relief.
        spectra: The scene's spectra.
        aging: (H, W), about -1..1: grain size relative to the scene's mean. It darkens the near
            infrared by 4 % and the short waves by 25 %, and does nothing to colours.
    """
    last = len(spectra.stages) - 1
    place = np.arange(last * _STEPS + 1) / _STEPS
    index = np.rint(np.clip(ground.stage, 0, last) * _STEPS).astype(np.int32)
    snowy = np.clip(aging, -2, 2)
    result = np.empty((len(BANDS), *ground.stage.shape), np.float32)
    for band, name in enumerate(BANDS):
        table = np.interp(place, np.arange(last + 1), spectra.stages[:, band])
        layer = result[band]
        np.take(table.astype(np.float32), index, out=layer, mode="clip")
        if ground.broken is not None:
            pieces = np.float32(np.interp(ground.broken_stage * _STEPS, place * _STEPS, table))
            layer += ground.broken * (pieces - layer)
        if ground.pond is not None:
            light, dark = (np.float32(value) for value in spectra.ponds[:, band])
            depth = np.float32(0.5) if ground.pond_depth is None else ground.pond_depth
            layer += ground.pond * (light + depth * (dark - light) - layer)
        layer *= ground.relief
        if name == "nir":
            layer *= 1.0 - np.float32(0.04) * snowy
        elif name not in ("blue", "green", "red"):
            layer *= 1.0 - np.float32(0.25) * snowy
        np.clip(layer, 0.002, 1.2, out=layer)
    return result


def stage_of(brightness: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the stage whose blue reflectance in the table is `brightness`, any shape."""
    order = np.arange(len(STAGES), dtype=np.float64)
    return np.interp(brightness, STAGES[:, 0], order).astype(np.float32)

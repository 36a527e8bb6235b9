"""Light of seasons and regions: how bright a scene is, and how bright the air above it.

What a sensor sees in another season is taken as I = a + b I0, with I0 the scene in the summer of
the Ross Sea, b the strength of the light and a the brightness of the air. The factor b is the same
for water and ice, so limits between classes move with it. The numbers are assumptions about
stretched pictures, not measurements: they only have to differ as much as seasons do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Season:
    """The light of a season: ranges from which each scene draws its own values."""

    name: str
    about: str
    """What the light is like, for tables."""
    strength: Range = (1.0, 1.0)
    """Brightness relative to the summer of the Ross Sea, b."""
    air: Range = (0.0, 0.0)
    """V that the air adds to every pixel, a."""
    blue: Range = (0.0, 0.0)
    """How much more blue than red the light is, relative to its brightness."""


SEASONS = {
    season.name: season
    for season in (
        Season("ross-sea-summer", "high sun over dry snow, as in the paper"),
        Season(
            "partial-night",
            "sun a few degrees high: dark and blue",
            strength=(0.36, 0.44),
            air=(2.0, 6.0),
            blue=(0.0, 0.12),
        ),
        Season(
            "arctic-spring",
            "low sun, haze over the ice",
            strength=(0.68, 0.76),
            air=(6.0, 12.0),
            blue=(0.0, 0.06),
        ),
        Season(
            "arctic-summer",
            "high sun, wet snow, moist air",
            strength=(0.8, 0.88),
            air=(8.0, 16.0),
            blue=(-0.06, 0.03),
        ),
    )
}
"""The seasons by their names; the first one leaves the scene as it is."""


@dataclass(frozen=True)
class SceneLight:
    """The light of one scene."""

    season: str
    strength: float
    """Factor b of the brightness."""
    air: float
    """Summand a of the brightness, in grey levels."""
    tint: tuple[float, float, float]
    """Factor of each band; the largest is 1."""


def draw_light(season: str, rng: np.random.Generator) -> SceneLight:
    """Draw the light of one scene.

    Args:
        season: Key of `SEASONS`.
        rng: Source of randomness.
    """
    ranges = SEASONS[season]
    strength, air, blue = (
        float(rng.uniform(*limits)) for limits in (ranges.strength, ranges.air, ranges.blue)
    )
    bands = 1.0 + np.array([-blue, 0.0, blue]) / 2.0
    red, green, blue = (bands / bands.max()).tolist()
    return SceneLight(season, strength, air, (red, green, blue))

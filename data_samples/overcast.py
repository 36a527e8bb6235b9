"""Overcast scenes: dense cloud whose top has light and dark parts, over the ice of `make_scene`.

Where cloud hides the ground, nobody can tell what is below. The tops of cloud are bright and soft,
in parts grey, and look like snow in a shadow. So these scenes show whether a method takes cloud
for a surface whose light it knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_samples.fields import random_field
from data_samples.scene import make_scene
from data_samples.sky import SkyOptions
from polynya.recipe.classes import SEA_ICE

OVERCAST = SkyOptions(
    coverage=(0.3, 0.9),
    opacity=(0.85, 1.0),
    gain=(0.5, 0.9),
    scale=(150.0, 900.0),
    cloud_brightness=(170.0, 250.0),
)
"""Ranges of cloudiness."""

HIDDEN = 0.5
"""Opacity from which on the ground counts as hidden."""

_TOP = 3008
"""Stream of random numbers of the cloud's top."""
_WATER, _THIN = 30, 204
"""Greatest V of open water and of thin ice."""


def make_overcast(
    seed: int, shape: tuple[int, int], sky: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Make one overcast scene; the same arguments always give the same pixels.

    Args:
        seed: Seed of the site, >= 0.
        shape: (H, W) in pixels.
        sky: One of `data_samples.SKY_KINDS`; clear and shadow have no cloud.

    Returns:
        observed: uint8 (H, W, 3), RGB; 0 where there is no data.
        truth: uint8 (H, W), class codes of `SEA_ICE`; where the ground is hidden, what thresholds
            say of the cloud.
        valid: bool (H, W).
    """
    scene = make_scene(seed, 0, shape, sky, options=OVERCAST)
    rng = np.random.default_rng([seed, _TOP])
    relief = float(np.exp(rng.uniform(np.log(0.02), np.log(0.12))))
    scale = float(np.exp(rng.uniform(np.log(60.0), np.log(500.0))))
    top = random_field(shape, rng, scale=scale, cutoff=8.0, roughness=float(rng.uniform(0.4, 1.3)))
    haze = scene.sky.haze if sky in ("cloud", "both") else np.zeros(shape, np.float32)
    lit = 1.0 + relief * np.clip(top, -2.5, 2.5) * haze
    observed = np.clip(np.rint(scene.observed * lit[..., None]), 1, 255).astype(np.uint8)
    observed[~scene.valid] = 0
    value = observed.max(axis=2)
    seen = (value > _WATER).astype(np.uint8) + (value > _THIN)
    truth = np.where(haze > HIDDEN, seen, scene.truth).astype(np.uint8)
    truth[~scene.valid] = SEA_ICE.nodata
    return observed, truth, scene.valid

"""Brightness of open water and thick ice under a clear sky, by which the filter measures light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autolabel.thresholds.profiles import Profile, brightness_steps
from polynya.errors import RecipeError
from polynya.recipe.classes import SEA_ICE, ClassScheme

_BRIGHTEST_WATER, _DARKEST_ICE = 80, 150
"""Water must be darker than the first value, snow at least as bright as the second."""


class Levels(NamedTuple):
    """Brightness V under a clear sky, in grey levels."""

    darkest: float = 2.0
    dark: float = 30.0
    """Greatest V of open water."""
    bright: float = 205.0
    """Least V of thick ice."""
    brightest: float = 254.0
    cloud: float = 238.0
    """V of opaque cloud, W in the image model. It only decides how the filter tells haze that dims
    thick ice from shadow. Values between 215 and 250 give nearly the same result."""

    def classes(self, value: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what thresholds say of V, any shape: 0 water, 1 thin ice, 2 thick ice."""
        return (value > self.dark).astype(np.uint8) + (value >= self.bright)


def levels_of(profile: Profile, classes: ClassScheme = SEA_ICE) -> Levels:
    """Return the brightness of a profile's darkest and brightest class.

    Args:
        profile: Colour thresholds.
        classes: Scheme of the profile's classes.

    Raises:
        RecipeError: The two classes can't be open water and snow, which the filter needs.
    """
    steps = brightness_steps(profile, classes)
    if steps is None:
        dark = min(color.value[1] for color in profile.ranges)
        bright = max(color.value[0] for color in profile.ranges)
    else:
        dark, bright = (steps[0] - 1, steps[-1]) if steps else (255, 0)
    if dark >= _BRIGHTEST_WATER or bright < _DARKEST_ICE:
        raise RecipeError(
            f"The recipe key 'label.profile' ('{profile.name}') has its darkest class up to value"
            f" {dark} and its brightest from {bright}, but the method 'illumination' needs water"
            f" below {_BRIGHTEST_WATER} and snow above {_DARKEST_ICE}; fix the ranges or"
            " set 'label.method' to 'none'."
        )
    return Levels(dark=float(dark), bright=float(bright))

"""How bright open water and thick ice are under a clear sky: what the filter measures light by."""

from __future__ import annotations

from typing import NamedTuple

from autolabel.thresholds.profiles import Profile, brightness_steps
from polynya.errors import RecipeError
from polynya.recipe.classes import SEA_ICE, ClassScheme

_BRIGHTEST_WATER, _DARKEST_ICE = 80, 150
"""Limits beyond which the darkest and the brightest class can't stand for water and snow."""


class Levels(NamedTuple):
    """Brightness V under a clear sky, in grey levels."""

    darkest: float = 2.0
    dark: float = 30.0
    """Greatest V of open water."""
    bright: float = 205.0
    """Least V of thick ice."""
    brightest: float = 254.0
    cloud: float = 238.0
    """V of opaque cloud, W in the image model. It only says how haze that dims thick ice is told
    from shadow; between 215 and 250 it makes little difference."""


def levels_of(profile: Profile, classes: ClassScheme = SEA_ICE) -> Levels:
    """Brightness of a profile's darkest and brightest class.

    Args:
        profile: Colour thresholds.
        classes: Scheme of its classes.

    Raises:
        RecipeError: These can't be open water and snow, so the filter has nothing to go by.
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

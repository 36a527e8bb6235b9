"""Colour thresholds: ranges of hue, saturation and value that stand for a class.

Source: "A Parallel Workflow for Polar Sea-Ice Classification using Auto-labeling of Sentinel-2
Imagery", III-B. Colours are those of OpenCV's 8-bit HSV: hue 0..179 (degrees / 2), saturation
and value 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.classes import SEA_ICE, ClassScheme
from polynya.errors import RecipeError

_ALL_HUES_AND_SATURATIONS = ((0, 179), (0, 255))


@dataclass(frozen=True)
class ColorRange:
    """Colours of one class; both ends belong to it."""

    class_name: str
    lower: tuple[int, int, int]
    """Least hue, saturation and value."""
    upper: tuple[int, int, int]
    """Greatest hue, saturation and value; hue above 179 means no limit."""

    @property
    def only_value_decides(self) -> bool:
        """Hue and saturation span everything, so that the class depends on value alone."""
        return all(
            low <= least and most <= high
            for low, high, (least, most) in zip(
                self.lower, self.upper, _ALL_HUES_AND_SATURATIONS, strict=False
            )
        )


@dataclass(frozen=True)
class Profile:
    """Thresholds for one region and season."""

    name: str
    ranges: tuple[ColorRange, ...]


ROSS_SEA_SUMMER = Profile(
    "ross-sea-summer",
    (
        ColorRange("open_water", (0, 0, 0), (185, 255, 30)),
        ColorRange("thin_ice", (0, 0, 31), (185, 255, 204)),
        ColorRange("thick_ice", (0, 0, 205), (185, 255, 255)),
    ),
)
"""The paper's thresholds: Ross Sea, November."""

PROFILES = {profile.name: profile for profile in (ROSS_SEA_SUMMER,)}


def get_profile(name: str) -> Profile:
    """Find a profile by name; RecipeError if there is none."""
    try:
        return PROFILES[name]
    except KeyError:
        known = ", ".join(sorted(PROFILES))
        raise RecipeError(
            f"The recipe key 'label.profile' is '{name}', which is no profile; known: {known}."
        ) from None


def label_by_color(
    rgb: NDArray[np.uint8], profile: Profile, classes: ClassScheme = SEA_ICE
) -> NDArray[np.uint8]:
    """Class of each pixel by its colour.

    Args:
        rgb: uint8 (H, W, 3).
        profile: Ranges; where two overlap the later one wins.
        classes: Scheme that gives the codes of the profile's classes.

    Returns:
        uint8 (H, W), class codes; the scheme's nodata where no range holds the colour.

    Raises:
        RecipeError: The profile has a class that the scheme has not.
    """
    codes = {range_: _code_of(range_.class_name, profile, classes) for range_ in profile.ranges}
    if all(range_.only_value_decides for range_ in profile.ranges):
        # Value is max(R, G, B) (OpenCV's definition), so one table look-up replaces the conversion.
        red, green, blue = cv2.split(rgb)
        value = cv2.max(cv2.max(red, green), blue)
        table = np.full(256, classes.nodata, np.uint8)
        for range_, code in codes.items():
            table[range_.lower[2] : range_.upper[2] + 1] = code
        return np.asarray(cv2.LUT(value, table), np.uint8)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    labels = np.full(rgb.shape[:2], classes.nodata, np.uint8)
    for range_, code in codes.items():
        labels[cv2.inRange(hsv, range_.lower, range_.upper) > 0] = code
    return labels


def _code_of(name: str, profile: Profile, classes: ClassScheme) -> int:
    if name not in classes.names:
        raise RecipeError(
            f"The profile '{profile.name}' labels '{name}', which the classes '{classes.name}'"
            f" don't have ({', '.join(classes.names)}); mend the recipe's 'label.profile' or"
            " 'classes'."
        )
    return classes.codes[classes.names.index(name)]

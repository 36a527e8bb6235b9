"""Colour thresholds: named profiles, and the class of each pixel by its colour.

Source: "A Parallel Workflow for Polar Sea-Ice Classification using Auto-labeling of Sentinel-2
Imagery", III-B. Colours are in OpenCV's 8-bit HSV: hue 0..179 (degrees / 2), saturation and value
0..255.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.errors import RecipeError
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.label import LabelOptions
from polynya.recipe.thresholds import ColorRange, Profile, color_grid

__all__ = [
    "PROFILES",
    "ROSS_SEA_SUMMER",
    "ColorRange",
    "Profile",
    "fitting_profile",
    "get_profile",
    "label_by_color",
]

ROSS_SEA_SUMMER = Profile(
    name="ross-sea-summer",
    ranges=(
        ColorRange(class_name="open_water", value=(0, 30)),
        ColorRange(class_name="thin_ice", value=(31, 204)),
        ColorRange(class_name="thick_ice", value=(205, 255)),
    ),
)
"""The paper's thresholds: Ross Sea, November."""


def _by_brightness(name: str, water: int, thick: int) -> Profile:
    """Profile of sea ice with the greatest V of open water and the least V of thick ice."""
    return Profile(
        name=name,
        ranges=(
            ColorRange(class_name="open_water", value=(0, water)),
            ColorRange(class_name="thin_ice", value=(water + 1, thick - 1)),
            ColorRange(class_name="thick_ice", value=(thick, 255)),
        ),
    )


PARTIAL_NIGHT = _by_brightness("partial-night", 18, 80)
"""Antarctic, sun a few degrees high. Too dark for the filter "illumination": use "none"."""
ARCTIC_SPRING = _by_brightness("arctic-spring", 33, 150)
"""Arctic, low sun over dry snow."""
ARCTIC_SUMMER = _by_brightness("arctic-summer", 41, 175)
"""Arctic, high sun over wet snow.

These three suit the generated light of `data_samples.seasons`, which is an assumption, on its
development scenes (`python -m benchmarks.labels suggest --split dev --sites 12 --size 512`).
Real scenes want limits of their own: `polynya thresholds`.
"""

PROFILES = {
    profile.name: profile
    for profile in (ROSS_SEA_SUMMER, PARTIAL_NIGHT, ARCTIC_SPRING, ARCTIC_SUMMER)
}


def get_profile(profile: str | Profile) -> Profile:
    """Return the profile that a recipe names or contains.

    Raises:
        RecipeError: No profile has this name, or a named profile with other ranges has it.
    """
    if isinstance(profile, Profile):
        if PROFILES.get(profile.name, profile) != profile:
            raise RecipeError(
                f"The recipe key 'label.profile.name' is '{profile.name}', the name of a profile"
                " with other ranges; give your profile another name."
            )
        return profile
    try:
        return PROFILES[profile]
    except KeyError:
        known = ", ".join(sorted(PROFILES))
        raise RecipeError(
            f"The recipe key 'label.profile' is '{profile}', which is no profile; known: {known}."
        ) from None


def fitting_profile(options: LabelOptions, classes: ClassScheme) -> Profile | None:
    """Return the thresholds of a recipe, to compare them with other methods.

    Returns:
        None if the thresholds don't fit the classes: the classes are masks or other classes, or
        people made the labels.
    """
    if options.raster is not None or classes.has_masks:
        return None
    given = options.profile
    profile = PROFILES.get(given) if isinstance(given, str) else given
    return profile if profile and set(profile.class_names) <= set(classes.names) else None


def label_by_color(
    rgb: NDArray[np.uint8],
    profile: Profile,
    classes: ClassScheme = SEA_ICE,
    black_is_nodata: bool = False,
) -> NDArray[np.uint8]:
    """Find the class of each pixel by its colour.

    Args:
        rgb: uint8 (H, W, 3).
        profile: Colour ranges of the classes.
        classes: Scheme that gives the codes of the profile's classes.
        black_is_nodata: Pixels that are 0 in all bands have no class.

    Returns:
        uint8 (H, W), class codes; the scheme's nodata code where no range contains the colour.

    Raises:
        RecipeError: The profile has a class that the scheme lacks.
    """
    tables = _tables(profile, classes, black_is_nodata)
    labels = np.empty(rgb.shape[:2], np.uint8)
    if isinstance(tables, _ValueSteps):
        # Numba takes half a second to import, too long for callers that only need a profile.
        from autolabel.thresholds.brightness import codes_by_color

        pixels = np.ascontiguousarray(rgb)
        codes_by_color(pixels, tables.base, tables.starts, tables.added, labels)
    else:
        _label_by_cell(rgb, tables, labels)
        if black_is_nodata:
            labels[~rgb.any(axis=2)] = classes.nodata
    return labels


def brightness_steps(profile: Profile, classes: ClassScheme = SEA_ICE) -> tuple[int, ...] | None:
    """Return the brightness at which classes change; None if a class depends on hue or saturation.

    The values are ascending.
    """
    tables = _tables(profile, classes)
    return tuple(tables.starts.tolist()) if isinstance(tables, _ValueSteps) else None


def label_by_brightness(
    value: NDArray[np.uint8], profile: Profile, classes: ClassScheme = SEA_ICE
) -> NDArray[np.uint8]:
    """Find the class of each pixel by V = max(R, G, B), for profiles that depend on V alone.

    Args:
        value: uint8 (H, W).
        profile: Profile for which `brightness_steps` is not None.
        classes: Scheme that gives the codes of the profile's classes.

    Returns:
        uint8 (H, W), class codes as from `label_by_color`.
    """
    from autolabel.thresholds.brightness import codes_by_brightness

    tables = _tables(profile, classes)
    if not isinstance(tables, _ValueSteps):
        raise ValueError(f"`profile` must depend on brightness alone. Received: {profile.name!r}")
    labels = np.empty(value.shape, np.uint8)
    codes_by_brightness(value, tables.base, tables.starts, tables.added, labels)
    return labels


_STRIP_PIXELS = 2**18
"""Pixels that are labelled at once: few enough that intermediate arrays stay in the processor's
cache, enough that the time of the calls doesn't matter."""

_Bytes = NDArray[np.uint8]
_Strip = tuple[_Bytes, _Bytes, tuple[_Bytes, _Bytes, _Bytes]]
"""Rows of the image (rows, W, 3), rows of the labels (rows, W), buffers for three channels."""


@dataclass(frozen=True)
class _ValueSteps:
    """Codes as a step function of value, for profiles that depend on value alone."""

    base: int
    """Code of value 0."""
    starts: NDArray[np.uint8]
    """Values at which the code changes, ascending."""
    added: NDArray[np.uint8]
    """Number that is added to the code at each start, modulo 256."""


@dataclass(frozen=True)
class _CellTables:
    """Codes by the cell of a colour; hue, saturation and value give three numbers.

    The sum of the three numbers is the number of the cell.
    """

    numbers: tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]
    """(256,) for hue, saturation and value; uint8 if there are at most 256 cells."""
    codes: NDArray[np.uint8]
    """(cells,), code of each cell; padded to at least 256 elements."""


@lru_cache(maxsize=64)
def _tables(
    profile: Profile, classes: ClassScheme, black_is_nodata: bool = False
) -> _ValueSteps | _CellTables:
    profile.check_classes(classes.names, classes.name)
    grid = color_grid(profile)
    codes = [classes.codes[classes.names.index(name)] for name in profile.class_names]
    # Owner -1, no range, indexes the last element: nodata.
    owned = np.array([*codes, classes.nodata], np.uint8)[grid.owners]
    if owned.shape[:2] == (1, 1):
        by_value = owned[0, 0][grid.cells[2]].astype(int)
        if black_is_nodata:
            by_value[0] = classes.nodata
        changes = np.flatnonzero(np.diff(by_value)) + 1
        added = (by_value[changes] - by_value[changes - 1]) % 256
        return _ValueSteps(int(by_value[0]), changes.astype(np.uint8), added.astype(np.uint8))
    _, saturations, values = owned.shape
    kind = np.uint8 if owned.size <= 256 else np.int32
    tables = []
    for cells, stride in zip(grid.cells, (saturations * values, values, 1), strict=True):
        table = np.zeros(256, kind)
        table[: len(cells)] = cells * stride
        tables.append(table)
    flat = np.zeros(max(256, owned.size), np.uint8)
    flat[: owned.size] = owned.ravel()
    hue, saturation, value = tables
    return _CellTables((hue, saturation, value), flat)


def _label_by_cell(rgb: NDArray[np.uint8], tables: _CellTables, labels: NDArray[np.uint8]) -> None:
    for colors, codes, channels in _strips(rgb, labels):
        cv2.split(cv2.cvtColor(colors, cv2.COLOR_RGB2HSV), channels)
        if tables.numbers[0].dtype == np.uint8:
            for channel, table in zip(channels, tables.numbers, strict=True):
                cv2.LUT(channel, table, dst=channel)
            cell, second, third = channels
            cv2.add(cell, second, dst=cell)
            cv2.add(cell, third, dst=cell)
            cv2.LUT(cell, tables.codes, dst=codes)
        else:
            cells = cv2.LUT(channels[0], tables.numbers[0])
            for channel, table in zip(channels[1:], tables.numbers[1:], strict=True):
                cells += cv2.LUT(channel, table)
            np.take(tables.codes, cells, out=codes, mode="clip")


def _strips(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Iterator[_Strip]:
    height, width = labels.shape
    rows = max(1, _STRIP_PIXELS // max(1, width))
    # Buffers for the channels of one strip, used again for the next strip.
    room = np.empty((3, min(rows, height), width), np.uint8)
    for row in range(0, height, rows):
        codes = labels[row : row + rows]
        one, two, three = room[:, : len(codes)]
        yield rgb[row : row + rows], codes, (one, two, three)

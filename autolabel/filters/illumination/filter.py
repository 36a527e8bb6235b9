"""Description of the filter `illumination`.

Numba takes half a second to import, so only the functions that need it import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Filter, Image, Labelled, LightSteps, Mask, Stretch
from autolabel.filters.illumination.levels import levels_of
from autolabel.filters.illumination.scene_sky import find_sky, pack_sky, sky_over_rows, unpack_sky
from autolabel.thresholds.profiles import (
    Profile,
    brightness_steps,
    label_by_brightness,
    label_by_color,
)
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import SceneLayers

if TYPE_CHECKING:
    from autolabel.filters.illumination.sky import Sky


def _clear(rgb: Image, valid: Mask, layers: SceneLayers | None, stretch: Stretch) -> Image:
    from autolabel.filters.illumination.sky import clear_sky, estimate_sky

    return clear_sky(rgb, valid, estimate_sky(rgb, valid, layers=layers, stretch=stretch))


def _label(
    rgb: Image,
    valid: Mask,
    profile: Profile,
    classes: ClassScheme,
    layers: SceneLayers | None,
    stretch: Stretch,
    with_filtered: bool,
    sky: Sky | None,
) -> Labelled:
    from autolabel.filters.illumination.sky import clear_brightness, clear_sky, estimate_sky
    from autolabel.thresholds.brightness import blank, brightness

    value = brightness(rgb)
    if sky is None:
        levels = levels_of(profile, classes)
        sky = estimate_sky(rgb, valid, levels=levels, layers=layers, stretch=stretch, value=value)
    # Clearing colours takes longer than clearing brightness, so do it only if it is needed.
    by_color = brightness_steps(profile, classes) is None
    filtered = clear_sky(rgb, valid, sky) if with_filtered or by_color else None
    if filtered is None:
        label = label_by_brightness(clear_brightness(value, valid, sky), profile, classes)
    else:
        label = label_by_color(filtered, profile, classes)
    blank(label, valid, classes.nodata)
    return Labelled(label, filtered if with_filtered else None, sky)


def _confidence(rgb: Image, valid: Mask, sky: Sky) -> NDArray[np.float32]:
    from autolabel.filters.illumination.sky import confidence
    from autolabel.thresholds.brightness import brightness

    return confidence(brightness(rgb), valid, sky)


FILTER = Filter(
    name="illumination",
    title="illumination filter",
    clear=_clear,
    light=LightSteps(find_sky, sky_over_rows, pack_sky, unpack_sky, _label, _confidence),
    layers=frozenset({"nir", "swir", "cirrus", "clouds", "sun"}),
    knows=frozenset({"veiled", "thick_cloud", "confidence"}),
    least_size=256,  # Smaller scenes have fewer than 8 cells of 32 pixels along a side.
    check_profile=levels_of,
)

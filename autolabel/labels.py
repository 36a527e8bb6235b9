"""Labels for one image: filter, then thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from autolabel.published import published_filter
from autolabel.thresholds import (
    Profile,
    brightness_steps,
    get_profile,
    label_by_brightness,
    label_by_color,
)
from polynya.classes import SEA_ICE, ClassScheme
from polynya.layers import SceneLayers

if TYPE_CHECKING:  # Numba takes half a second to import; only the illumination filter needs it.
    from autolabel.fields import Levels
    from autolabel.illumination import Sky

Method = Literal["none", "published", "illumination"]


@dataclass(frozen=True)
class Labelled:
    """An image with its labels and what the filter found."""

    label: NDArray[np.uint8]
    """(H, W), class codes; the scheme's nodata where there is no data or no threshold holds."""
    filtered: NDArray[np.uint8] | None
    """(H, W, 3), if asked for."""
    sky: Sky | None
    """Cloud and shadow, by the method "illumination"."""


def filter_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "illumination",
    valid: NDArray[np.bool_] | None = None,
    layers: SceneLayers | None = None,
) -> NDArray[np.uint8]:
    """Take thin cloud and shadow out of an image.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata. Best a whole scene: filters look around.
        method: "none" returns the image as it is; "illumination" finds the light and takes it out
            (`autolabel.illumination`, which also gives shadow gain, haze opacity and confidence:
            `estimate_sky`, `confidence`); "published" is the paper's filter
            (`autolabel.published`).
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        layers: More evidence for "illumination", where the scene has it.

    Returns:
        uint8 (H, W, 3), 0 where nodata.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
    """
    valid = _check(rgb, valid, method)
    if method == "none":
        return rgb
    if method == "published":
        return _published(rgb, valid)
    from autolabel.illumination import clear_sky, estimate_sky

    return clear_sky(rgb, valid, estimate_sky(rgb, valid, layers=layers))


def label_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "illumination",
    profile: str | Profile = "ross-sea-summer",
    valid: NDArray[np.bool_] | None = None,
    classes: ClassScheme = SEA_ICE,
    layers: SceneLayers | None = None,
) -> NDArray[np.uint8]:
    """Label an image by colour thresholds, after a filter.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata. Best a whole scene.
        method: Filter, see `filter_image`.
        profile: Thresholds, by name or as they are.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.
        layers: More evidence for "illumination", where the scene has it.

    Returns:
        uint8 (H, W), class codes, the scheme's nodata (255) where there is no data or no
        threshold holds.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: Unknown profile, or one with classes that the scheme lacks.
    """
    return label_and_filter(
        rgb,
        method=method,
        profile=get_profile(profile),
        valid=valid,
        classes=classes,
        layers=layers,
    ).label


def label_and_filter(
    rgb: NDArray[np.uint8],
    *,
    method: Method,
    profile: Profile,
    valid: NDArray[np.bool_] | None = None,
    classes: ClassScheme = SEA_ICE,
    layers: SceneLayers | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
    with_filtered: bool = False,
) -> Labelled:
    """`label_image` with all that comes of it.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata.
        method: Filter, see `filter_image`.
        profile: Thresholds.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.
        layers: More evidence for "illumination", where the scene has it.
        stretch: Reflectances of grey levels 0 and 255.
        with_filtered: Keep the filtered image; colours take longer than classes.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: A profile with classes that the scheme lacks.
    """
    valid = _check(rgb, valid, method)
    if method == "illumination":
        return _label_under_sky(rgb, profile, valid, classes, layers, stretch, with_filtered)
    filtered = rgb if method == "none" else _published(rgb, valid)
    label = label_by_color(filtered, profile, classes)
    label[~valid] = classes.nodata
    return Labelled(label, filtered if with_filtered else None, None)


def _label_under_sky(
    rgb: NDArray[np.uint8],
    profile: Profile,
    valid: NDArray[np.bool_],
    classes: ClassScheme,
    layers: SceneLayers | None,
    stretch: tuple[float, float],
    with_filtered: bool,
) -> Labelled:
    from autolabel.brightness import brightness
    from autolabel.illumination import clear_brightness, clear_sky, estimate_sky

    steps = brightness_steps(profile, classes)
    sky = estimate_sky(rgb, valid, levels=_levels(steps), layers=layers, stretch=stretch)
    filtered = clear_sky(rgb, valid, sky) if with_filtered or steps is None else None
    if filtered is None:
        label = label_by_brightness(clear_brightness(brightness(rgb), valid, sky), profile, classes)
    else:
        label = label_by_color(filtered, profile, classes)
    label[~valid] = classes.nodata
    return Labelled(label, filtered if with_filtered else None, sky)


def _levels(steps: tuple[int, ...] | None) -> Levels:
    """Brightness of the darkest and the brightest class.

    As far as they can stand for open water and for snow; else the paper's.
    """
    from autolabel.fields import Levels

    if steps and steps[0] <= 80 and steps[-1] >= 150:
        return Levels(dark=float(steps[0] - 1), bright=float(steps[-1]))
    return Levels()


def _published(rgb: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    filtered = published_filter(rgb)
    filtered[~valid] = 0
    return filtered


def _check(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, method: str
) -> NDArray[np.bool_]:
    """The mask of valid pixels; ValueError for what is no image."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(
            f"`rgb` must be a non-empty uint8 array (H, W, 3). Received: {rgb.dtype} {rgb.shape}"
        )
    if method not in get_args(Method):
        raise ValueError(
            f"`method` must be one of {', '.join(get_args(Method))}. Received: method={method!r}"
        )
    if valid is None:
        return np.asarray(rgb.any(axis=2), np.bool_)
    if valid.shape != rgb.shape[:2]:
        raise ValueError(
            f"`valid` must have the image's shape {rgb.shape[:2]}. Received: {valid.shape}"
        )
    return np.asarray(valid, np.bool_)

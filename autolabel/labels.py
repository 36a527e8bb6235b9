"""Labels for one image: filter, then thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.illumination.levels import levels_of
from autolabel.filters.published import published_filter
from autolabel.thresholds.profiles import (
    Profile,
    brightness_steps,
    get_profile,
    label_by_brightness,
    label_by_color,
)
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.scenes.scene import SceneLayers

if TYPE_CHECKING:  # Numba takes half a second to import; only the illumination filter needs it.
    from autolabel.filters.illumination.sky import Sky

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
    stretch: tuple[float, float] = (0.0, 1.0),
) -> NDArray[np.uint8]:
    """Take thin cloud and shadow out of an image.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata. Best a whole scene: filters look around.
        method: "none" returns the image as it is; "illumination" finds the light and takes it out
            (`autolabel.filters.illumination.sky`, which also gives shadow gain, haze opacity and
            confidence: `estimate_sky`, `confidence`); "published" is the paper's filter
            (`autolabel.filters.published`).
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        layers: More evidence for "illumination", where the scene has it.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.

    Returns:
        uint8 (H, W, 3), 0 where nodata.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
    """
    _check(rgb, valid, method)
    if method == "none":
        return rgb
    valid = _not_black(rgb) if valid is None else valid
    if method == "published":
        return _published(rgb, valid)
    from autolabel.filters.illumination.sky import clear_sky, estimate_sky

    return clear_sky(rgb, valid, estimate_sky(rgb, valid, layers=layers, stretch=stretch))


def label_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "illumination",
    profile: str | Profile = "ross-sea-summer",
    valid: NDArray[np.bool_] | None = None,
    classes: ClassScheme = SEA_ICE,
    layers: SceneLayers | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
) -> NDArray[np.uint8]:
    """Label an image by colour thresholds, after a filter.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata. Best a whole scene.
        method: Filter, see `filter_image`.
        profile: Thresholds, by name or as they are.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.
        layers: More evidence for "illumination", where the scene has it.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.

    Returns:
        uint8 (H, W), class codes, the scheme's nodata (255) where there is no data or no
        threshold holds.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: Unknown profile, one with classes that the scheme lacks, or one that the
            method "illumination" can't use (`autolabel.filters.illumination.levels`).
    """
    return label_and_filter(
        rgb,
        method=method,
        profile=get_profile(profile),
        valid=valid,
        classes=classes,
        layers=layers,
        stretch=stretch,
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
    sky: Sky | None = None,
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
        sky: Of these rows (`Sky.rows`), if it is known already; only for "illumination".

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: A profile with classes that the scheme lacks, or that the method can't use.
    """
    _check(rgb, valid, method)
    if method == "none" and valid is None:
        label = label_by_color(rgb, profile, classes, black_is_nodata=True)
        return Labelled(label, rgb if with_filtered else None, None)
    valid = _not_black(rgb) if valid is None else valid
    if method == "illumination":
        return _label_under_sky(rgb, profile, valid, classes, layers, stretch, with_filtered, sky)
    filtered = rgb if method == "none" else _published(rgb, valid)
    label = label_by_color(filtered, profile, classes)
    _blank(label, valid, classes.nodata)
    return Labelled(label, filtered if with_filtered else None, None)


def _label_under_sky(
    rgb: NDArray[np.uint8],
    profile: Profile,
    valid: NDArray[np.bool_],
    classes: ClassScheme,
    layers: SceneLayers | None,
    stretch: tuple[float, float],
    with_filtered: bool,
    sky: Sky | None,
) -> Labelled:
    from autolabel.filters.illumination.sky import clear_brightness, clear_sky, estimate_sky
    from autolabel.thresholds.brightness import brightness

    value = brightness(rgb)
    if sky is None:
        levels = levels_of(profile, classes)
        sky = estimate_sky(rgb, valid, levels=levels, layers=layers, stretch=stretch, value=value)
    by_color = brightness_steps(profile, classes) is None
    filtered = clear_sky(rgb, valid, sky) if with_filtered or by_color else None
    if filtered is None:
        label = label_by_brightness(clear_brightness(value, valid, sky), profile, classes)
    else:
        label = label_by_color(filtered, profile, classes)
    _blank(label, valid, classes.nodata)
    return Labelled(label, filtered if with_filtered else None, sky)


def _published(rgb: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    filtered = published_filter(rgb)
    filtered[~valid] = 0
    return filtered


def _not_black(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    from autolabel.thresholds.brightness import not_black

    return not_black(rgb)


def _blank(label: NDArray[np.uint8], valid: NDArray[np.bool_], nodata: int) -> None:
    from autolabel.thresholds.brightness import blank

    blank(label, valid, nodata)


def _check(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, method: str) -> None:
    """ValueError for what is no image, no mask of it, or no method."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(
            f"`rgb` must be a non-empty uint8 array (H, W, 3). Received: {rgb.dtype} {rgb.shape}"
        )
    if method not in get_args(Method):
        raise ValueError(
            f"`method` must be one of {', '.join(get_args(Method))}. Received: method={method!r}"
        )
    if valid is not None and (valid.shape != rgb.shape[:2] or valid.dtype != np.bool_):
        raise ValueError(
            f"`valid` must be bool and have the image's shape {rgb.shape[:2]}. Received:"
            f" {valid.dtype} {valid.shape}"
        )

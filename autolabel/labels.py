"""Labels for one image: first the filter, then the thresholds."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Labelled, Light
from autolabel.filters.registry import find_filter
from autolabel.thresholds.profiles import Profile, get_profile, label_by_color
from polynya.errors import RecipeError
from polynya.recipe.base import STEM
from polynya.recipe.classes import SEA_ICE, ClassScheme
from polynya.recipe.label import FilterName as Method
from polynya.recipe.recipe import Recipe
from polynya.scenes.scene import SceneLayers

__all__ = [
    "Labelled",
    "Method",
    "check_labelling",
    "filter_image",
    "label_and_filter",
    "label_image",
]


def check_labelling(recipe: Recipe) -> None:
    """Refuse a recipe that can't label any scene: once, instead of once per scene.

    Raises:
        RecipeError: The recipe is for an import; the classes are masks and the recipe names no
            rasters of them; or the profile is unknown, or doesn't fit the filter or the classes.
    """
    if recipe.imports is not None:
        raise RecipeError(
            "The recipe has a section 'imports', so its labels are there already; run 'polynya"
            f" import {recipe.imports.kind} SOURCE', or leave the section out."
        )
    if not recipe.label.runs_filter:
        return
    if recipe.classes.has_masks:
        raise RecipeError(
            "The recipe key 'classes.kind' is masks, but colour thresholds find one class for each"
            " pixel; name the rasters of your masks in 'label.raster', for example"
            f" \"{STEM}_labels.tif\", or set 'classes.kind' to exclusive."
        )
    profile = get_profile(recipe.label.profile)
    find_filter(recipe.label.method).check_profile(profile, recipe.classes)


def filter_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "illumination",
    valid: NDArray[np.bool_] | None = None,
    layers: SceneLayers | None = None,
    stretch: tuple[float, float] = (0.0, 1.0),
) -> NDArray[np.uint8]:
    """Remove thin cloud and shadow from an image.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata. Best a whole scene: filters need the
            surroundings of a pixel.
        method: "none" returns the image as it is. "illumination" finds cloud and shadow and
            removes them (`autolabel.filters.illumination.sky`; `estimate_sky` there gives shadow
            gain and haze opacity, `confidence` the confidence). "published" is the paper's filter
            (`autolabel.filters.published`).
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        layers: More evidence for filters that can use it, if the scene has it.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.

    Returns:
        uint8 (H, W, 3), 0 where nodata.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
    """
    _check(rgb, valid, method)
    chosen = find_filter(method)
    if not chosen.changes_images:
        return rgb
    return chosen.clear(rgb, _not_black(rgb) if valid is None else valid, layers, stretch)


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
        profile: Thresholds: the name of a profile, or a profile.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.
        layers: More evidence for filters that can use it, if the scene has it.
        stretch: Reflectances of grey levels 0 and 255, to compare `layers` with the image.

    Returns:
        uint8 (H, W), class codes; the scheme's nodata code (255) where there is no data or no
        threshold fits.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: The profile is unknown, has classes that the scheme lacks, or can't be used by
            the method "illumination" (`autolabel.filters.illumination.levels`).
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
    sky: Light | None = None,
) -> Labelled:
    """Label an image; return the label with the filtered image and the sky.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata.
        method: Filter, see `filter_image`.
        profile: Thresholds.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.
        layers: More evidence for filters that can use it, if the scene has it.
        stretch: Reflectances of grey levels 0 and 255.
        with_filtered: Also return the filtered image; this takes longer than the label alone.
        sky: Sky over these rows, if it is known already; only for filters that find it
            (`autolabel.filters.filter.LightSteps`).

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: The profile has classes that the scheme lacks, or the method can't use it.
    """
    _check(rgb, valid, method)
    chosen = find_filter(method)
    if valid is None and not chosen.changes_images:
        label = label_by_color(rgb, profile, classes, black_is_nodata=True)
        return Labelled(label, rgb if with_filtered else None, None)
    valid = _not_black(rgb) if valid is None else valid
    if chosen.light is not None:
        return chosen.light.label(rgb, valid, profile, classes, layers, stretch, with_filtered, sky)
    filtered = chosen.clear(rgb, valid, layers, stretch)
    label = label_by_color(filtered, profile, classes)
    _blank(label, valid, classes.nodata)
    return Labelled(label, filtered if with_filtered else None, None)


def _not_black(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    from autolabel.thresholds.brightness import not_black

    return not_black(rgb)


def _blank(label: NDArray[np.uint8], valid: NDArray[np.bool_], nodata: int) -> None:
    from autolabel.thresholds.brightness import blank

    blank(label, valid, nodata)


def _check(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, method: str) -> None:
    """Raise ValueError for a wrong image, a wrong mask or an unknown method."""
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

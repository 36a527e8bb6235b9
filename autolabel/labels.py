"""Labels for one image: filter, then thresholds."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from autolabel.published import published_filter
from autolabel.thresholds import Profile, get_profile, label_by_color
from polynya.classes import SEA_ICE, ClassScheme

Method = Literal["none", "published"]


def filter_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "published",
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Take thin cloud and shadow out of an image.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata.
        method: "none" returns the image as it is; "published" is the paper's filter
            (`autolabel.published`).
        valid: bool (H, W), True where there is data; default: where not all bands are 0.

    Returns:
        uint8 (H, W, 3), 0 where nodata.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
    """
    _check_image(rgb)
    if method == "none":
        return rgb
    if method != "published":
        raise ValueError(
            f"`method` must be one of {', '.join(get_args(Method))}. Received: method={method!r}"
        )
    filtered = published_filter(rgb)
    filtered[~_valid(rgb, valid)] = 0
    return filtered


def label_image(
    rgb: NDArray[np.uint8],
    *,
    method: Method = "none",
    profile: str | Profile = "ross-sea-summer",
    valid: NDArray[np.bool_] | None = None,
    classes: ClassScheme = SEA_ICE,
) -> NDArray[np.uint8]:
    """Label an image by colour thresholds, after a filter.

    Args:
        rgb: uint8 (H, W, 3), RGB, 0 where nodata.
        method: Filter, see `filter_image`.
        profile: Thresholds, by name or as they are.
        valid: bool (H, W), True where there is data; default: where not all bands are 0.
        classes: Scheme of the codes.

    Returns:
        uint8 (H, W), class codes, the scheme's nodata (255) where there is no data or no
        threshold holds.

    Raises:
        ValueError: Unknown method, or an image of another shape or type.
        RecipeError: Unknown profile, or one with classes that the scheme lacks.
    """
    ranges = get_profile(profile) if isinstance(profile, str) else profile
    labels = label_by_color(filter_image(rgb, method=method, valid=valid), ranges, classes)
    labels[~_valid(rgb, valid)] = classes.nodata
    return labels


def _valid(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if valid is None:
        return np.asarray(rgb.any(axis=2), np.bool_)
    if valid.shape != rgb.shape[:2]:
        raise ValueError(
            f"`valid` must have the image's shape {rgb.shape[:2]}. Received: {valid.shape}"
        )
    return valid


def _check_image(rgb: NDArray[np.uint8]) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(
            f"`rgb` must be a non-empty uint8 array (H, W, 3). Received: {rgb.dtype} {rgb.shape}"
        )

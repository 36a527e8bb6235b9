"""The filter `published`: the steps of its authors, with OpenCV.

It is the baseline to reproduce and to beat, so its known weaknesses stay: it mistakes broad thin
ice for background, brightens hazy water, and ignores nodata.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.filters.filter import Filter, Image, Mask, Stretch
from polynya.scenes.scene import SceneLayers

_WATER_UPPER = (185, 255, 30)
_DILATION = np.ones((7, 7), np.uint8)
_MEDIAN_SIZE = 155
_TRUNCATION = 235
_THIN_UPPER = 204
_PAINTED_THICK, _PAINTED_THIN, _PAINTED_WATER = 255, 155, 0


def published_filter(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace a scene by three grey levels: thick ice 255, thin ice 155, open water 0.

    Args:
        rgb: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (H, W, 3), grey.
    """
    water = cv2.inRange(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV), (0, 0, 0), _WATER_UPPER)
    painted = rgb.copy()
    painted[water > 0] = 255
    grey = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY)
    background = cv2.medianBlur(cv2.dilate(grey, _DILATION), _MEDIAN_SIZE)
    difference = cv2.subtract(np.full_like(grey, 255), cv2.absdiff(grey, background))
    _, kept = cv2.threshold(difference, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    stretched = _stretch(kept)
    _, truncated = cv2.threshold(stretched, _TRUNCATION, 255, cv2.THRESH_TRUNC)
    value = _stretch(truncated)

    thin = cv2.inRange(value, (0,), (_THIN_UPPER,))
    thick = cv2.bitwise_xor(cv2.bitwise_not(thin), water)
    result = np.zeros_like(grey)
    result[thick > 0] = _PAINTED_THICK
    result[thin > 0] = _PAINTED_THIN
    result[water > 0] = _PAINTED_WATER
    return np.asarray(cv2.merge((result, result, result)), np.uint8)


def _stretch(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stretched = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return np.asarray(stretched, np.uint8)


def _clear(rgb: Image, valid: Mask, layers: SceneLayers | None, stretch: Stretch) -> Image:
    filtered = published_filter(rgb)
    filtered[~valid] = 0
    return filtered


FILTER = Filter(
    name="published",
    title="published filter",
    clear=_clear,
    needs_whole=True,  # Its median, stretches and Otsu's threshold need the whole image.
)

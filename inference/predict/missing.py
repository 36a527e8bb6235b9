"""What a model sees where a scene has no data: the colours beside it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def fill_missing(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give each pixel without data the colours of the nearest pixel that has some.

    Left black, it would look like open water, and pixels beside a gap, a coast or the edge of the
    swath would be taken for water too (`python -m benchmarks.maps gaps` counts them). Nearest is
    meant to within some per cent, by OpenCV's distance transform with a mask of 5 x 5 (Borgefors,
    1986, Distance transformations in digital images).

    Args:
        image: uint8 (H, W, 3).
        valid: bool (H, W), True where there is data.

    Returns:
        uint8 (H, W, 3); the image itself where nothing is missing, or everything.
    """
    if valid.all() or not valid.any():
        return image
    columns = np.flatnonzero(~valid.all(axis=0))
    # Nothing beyond the whole column on either side is nearer than what is in that column.
    part = np.s_[:, max(columns[0] - 1, 0) : columns[-1] + 2]
    there = valid[part]
    _, nearest = cv2.distanceTransformWithLabels(
        (~there).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Labels are numbers of valid pixels, in an order that OpenCV doesn't promise.
    place = np.zeros(nearest.max() + 1, np.intp)
    place[nearest[there]] = np.flatnonzero(there)
    filled = image.copy()
    filled[part][~there] = image[part].reshape(-1, 3)[place[nearest[~there]]]
    return filled

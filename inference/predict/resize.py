"""Scenes in the size that a model learnt from, and probabilities back in the scene's own size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.importers.prepare import Placement, fit_numbers
from inference.predict.windows import (
    BAND_ROWS,
    Band,
    Forward,
    Image,
    Mask,
    Probabilities,
    ReadRows,
)

Size = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class ResizedScene:
    """A whole scene in another size."""

    image: Image
    """(h, w, bands), in the type of `windows.Image`."""
    seen: Mask
    """bool (h, w), True where any pixel below has data."""
    valid: Mask
    """bool (H, W), True where the scene has data."""

    def rows(self, start: int, stop: int) -> tuple[Image, Mask]:
        """Rows of the resized scene; see `windows.ReadRows`."""
        return self.image[start:stop], self.seen[start:stop]


def read_resized(read_rows: ReadRows, height: int, size: Size) -> ResizedScene:
    """Read all rows of a scene, and resize them as an import does (`imports.size`).

    Args:
        read_rows: Source of the scene's rows.
        height: Rows of the scene.
        size: Rows and columns that the model sees.
    """
    image, valid = read_rows(0, height)
    return ResizedScene(_resized(image, valid, size), _touched(valid, size), valid)


def _resized(image: Image, valid: Mask, size: Size) -> Image:
    """Resize an image; values of bands stay missing where nothing below has one."""
    there = valid[..., None] if image.dtype == np.uint8 else np.isfinite(image)
    resized = fit_numbers(image, there, Placement.stretched(*size))
    if image.dtype != np.uint8:
        for band in range(image.shape[2]):
            resized[~_touched(there[..., band], size), band] = np.nan
    return resized


def in_size(forward: Forward, size: Size) -> Forward:
    """Let a model see windows in another size, and bring its probabilities back.

    Images are bilinear where they become larger, and so are probabilities; where they become
    smaller, they are means.

    Args:
        forward: The model.
        size: Rows and columns that it sees.
    """

    def resized(images: Image) -> Probabilities:
        window = images.shape[1:3]
        everywhere = np.ones(window, np.bool_)
        found = forward(np.stack([_resized(image, everywhere, size) for image in images]))
        known, place = np.ones((*size, 1), np.bool_), Placement.stretched(*window)
        return np.stack([fit_numbers(one, known, place) for one in found])

    return resized


def in_scene_size(bands: Iterable[Band], valid: Mask) -> Iterator[Band]:
    """Bring the strips of a resized scene back to the size of the scene.

    Args:
        bands: All strips of the resized scene.
        valid: bool (H, W), True where the scene has data.

    Yields:
        Strips of the scene, from the top, of at most `BAND_ROWS` rows.
    """
    small = list(bands)
    probabilities = bilinear(
        np.concatenate([band.probabilities for band in small]),
        np.concatenate([band.valid for band in small]),
        valid.shape,
    )
    for row in range(0, len(valid), BAND_ROWS):
        rows = slice(row, row + BAND_ROWS)
        yield Band(row, valid[rows], probabilities[rows])


def bilinear(probabilities: Probabilities, valid: Mask, size: Size) -> Probabilities:
    """Resize probabilities by bilinear interpolation between valid pixels.

    Args:
        probabilities: float32 (h, w, C).
        valid: bool (h, w); other pixels don't count.
        size: Rows and columns of the result.

    Returns:
        float32 (rows, columns, C).
    """
    place = Placement.stretched(*size)
    return np.asarray(fit_numbers(probabilities, valid[..., None], place, bilinear=True))


def _touched(there: NDArray[np.bool_], size: Size) -> Mask:
    """Find the pixels of another size that have any of these pixels below them."""
    smaller = size[0] <= there.shape[0] and size[1] <= there.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    share = cv2.resize(there.astype(np.float32), (size[1], size[0]), interpolation=how)
    return np.asarray(share > 0, np.bool_)

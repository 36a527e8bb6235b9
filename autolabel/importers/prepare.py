"""Bring imported images and labels to one size, and let labels grow. Functions on arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autolabel.importers.rasters import Pixels
from polynya.errors import SceneError
from polynya.names import printable
from polynya.recipe.classes import ClassScheme
from polynya.recipe.imports import ImportOptions
from polynya.scenes.band_set import BandPixels

_LEAST_WEIGHT = 1e-3
"""Share of valid pixels under a resized pixel below which there is no mean of them."""


@dataclass(frozen=True)
class Placement:
    """Where a resized image is in an image of another size: at the upper left."""

    height: int
    """Rows of the result."""
    width: int
    inner_height: int
    """Rows of the resized image; the rest is padded."""
    inner_width: int

    @classmethod
    def stretched(cls, height: int, width: int) -> Placement:
        """The place of an image that is resized to a whole size, without padding."""
        return cls(height, width, height, width)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Index of the image in the result."""
        return slice(0, self.inner_height), slice(0, self.inner_width)


def place_image(height: int, width: int, options: ImportOptions, uri: str) -> Placement | None:
    """Find the size of an image in the shards; None if it stays as it is.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        options: Its keys `size` and `fit`.
        uri: Name of the image.

    Raises:
        SceneError: `fit` is pad and the image is larger than the size.
    """
    if options.size is None:
        return None
    rows, columns = options.size
    if options.fit == "stretch":
        return Placement.stretched(rows, columns)
    if options.fit == "pad":
        if height > rows or width > columns:
            raise SceneError(
                f"{printable(uri)} has {height} x {width} pixels, more than the {rows} x {columns}"
                " of 'imports.size'; set 'imports.fit' to keep, or a larger size."
            )
        return Placement(rows, columns, height, width)
    scale = min(rows / height, columns / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Placement(rows, columns, min(inner[0], rows), min(inner[1], columns))


def fit_pixels(pixels: Pixels, place: Placement, pad_is_valid: bool) -> Pixels:
    """Resize and pad an image.

    Numbers are means of the valid numbers below a pixel where the image becomes smaller, and
    bilinear where it becomes larger. A pixel is valid if the nearest one was.

    Args:
        pixels: The image.
        place: From `place_image`.
        pad_is_valid: Whether padded pixels count as data, which is black.
    """
    if pixels.inputs is None:
        image = fit_numbers(pixels.image, pixels.valid[..., None], place)
        valid = fit_nearest(pixels.valid, place, pad_is_valid)
        image[~valid] = 0
        return Pixels(image, valid, None)
    numbers = fit_numbers(pixels.inputs.numbers, pixels.inputs.valid, place)
    there = np.stack(
        [
            fit_nearest(pixels.inputs.valid[..., band], place, pad_is_valid)
            for band in range(numbers.shape[-1])
        ],
        axis=-1,
    )
    numbers[~there] = 0
    return Pixels.of_bands(BandPixels(numbers, there))


def fit_labels(labels: NDArray[np.uint8], place: Placement, padding: int) -> NDArray[np.uint8]:
    """Resize labels, each pixel from the nearest one, and pad them: uint8 (H, W)."""
    return fit_nearest(labels, place, padding)


def grow(
    labels: NDArray[np.uint8], classes: ClassScheme, radii: dict[str, int]
) -> NDArray[np.uint8]:
    """Let classes grow into others by discs; nodata stays.

    Args:
        labels: uint8 (H, W), labels of the classes.
        classes: Class scheme.
        radii: Pixels by class name; a later class covers an earlier one where both grow.

    Returns:
        uint8 (H, W).
    """
    grown = labels.copy()
    known = labels != classes.nodata
    for name, radius in radii.items():
        code = classes.names.index(name)
        reach = np.arange(-radius, radius + 1)
        disc = (reach[:, None] ** 2 + reach[None] ** 2 <= radius**2).astype(np.uint8)
        # What was there before, not what other classes have become.
        larger = cv2.dilate(classes.where(labels, code).astype(np.uint8), disc) != 0
        if classes.has_masks:
            grown[larger & known] |= 1 << code
        else:
            grown[larger & known] = code
    return grown


def fit_numbers(
    numbers: NDArray[Any], valid: NDArray[np.bool_], place: Placement, *, bilinear: bool = False
) -> NDArray[Any]:
    """Resize numbers and pad them with 0; see `fit_pixels`.

    Args:
        numbers: (H, W, B), any type.
        valid: bool (H, W, B or 1), False for numbers that don't count.
        place: Size of the result.
        bilinear: Also interpolate where the image becomes smaller, instead of taking means.

    Returns:
        (height, width, B), the type of `numbers`.
    """
    height, width = numbers.shape[:2]
    result = np.zeros((place.height, place.width, numbers.shape[2]), numbers.dtype)
    if (height, width) == (place.inner_height, place.inner_width):
        result[place.inner] = numbers
        return result
    smaller = place.inner_height <= height and place.inner_width <= width
    how = cv2.INTER_AREA if smaller and not bilinear else cv2.INTER_LINEAR
    size = (place.inner_width, place.inner_height)
    for band in range(numbers.shape[2]):
        there = valid[..., min(band, valid.shape[2] - 1)]
        weights = cv2.resize(there.astype(np.float32), size, interpolation=how)
        values = np.where(there, numbers[..., band], 0).astype(np.float32)
        means = cv2.resize(values, size, interpolation=how) / np.maximum(weights, _LEAST_WEIGHT)
        result[*place.inner, band] = means if numbers.dtype.kind == "f" else np.rint(means)
    return result


def fit_nearest(numbers: NDArray[Any], place: Placement, padding: int = 0) -> NDArray[Any]:
    """Resize (H, W) by taking the pixel at the centre of each new pixel, and pad it."""
    height, width = numbers.shape
    rows = ((np.arange(place.inner_height) + 0.5) * height / place.inner_height).astype(int)
    columns = ((np.arange(place.inner_width) + 0.5) * width / place.inner_width).astype(int)
    result = np.full((place.height, place.width), padding, numbers.dtype)
    result[place.inner] = numbers[np.ix_(rows, columns)]
    return result

"""Conversion of digital numbers to reflectance and to 8-bit colours."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from polynya.errors import SceneError
from polynya.names import printable

LARGEST_OFFSET = 1e6

SMALLEST_SCALE, LARGEST_SCALE = 1e-6, 0.1
"""Limits of the scale. With a smaller scale, all 65,536 numbers are within a reflectance of 0.07.
With a larger scale, fewer than 10 numbers are between 0 and 1. Products have 1e-5 to 0.01."""

LEAST_STRETCH, FARTHEST_STRETCH = 0.001, 10.0
"""Least width of a stretch, and greatest distance of its ends from 0, as reflectances."""

Scale = Annotated[float, Field(ge=SMALLEST_SCALE, le=LARGEST_SCALE)]
"""Reflectance per digital number."""
Offset = Annotated[float, Field(ge=-LARGEST_OFFSET, le=LARGEST_OFFSET)]
"""Reflectance at digital number 0."""


def check_scaling(
    scale: float, offset: float, uri: str, keys: tuple[str, str] = ("scene.scale", "scene.offset")
) -> None:
    """Refuse a scale or offset from the metadata of a file or product that gives no reflectance.

    With a scale that is almost 0, negative or no number, all pixels would silently get one class.

    Args:
        scale: Reflectance per digital number.
        offset: Reflectance at digital number 0.
        uri: Name of the file or product.
        keys: Recipe keys that replace scale and offset.

    Raises:
        SceneError: The scale isn't within its limits, or the offset is no finite number.
    """
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise SceneError(
            f"{printable(uri)} has the scale {scale:g}, which is no reflectance per number"
            f" ({SMALLEST_SCALE:g} to {LARGEST_SCALE:g}); set {keys[0]} in the recipe."
        )
    if not (math.isfinite(offset) and abs(offset) <= LARGEST_OFFSET):
        raise SceneError(
            f"{printable(uri)} has the offset {offset:g}, which is no reflectance; set {keys[1]} in"
            " the recipe."
        )


def check_reach(
    dtype: str, scale: float, offset: float, stretch: tuple[float, float], uri: str
) -> None:
    """Refuse a scale and offset that make all numbers darker or brighter than the stretch.

    Args:
        dtype: 'uint16' or 'int16'.
        scale: Reflectance per digital number.
        offset: Reflectance at digital number 0.
        stretch: Reflectances that become 0 and 255.
        uri: Name of the file.

    Raises:
        SceneError: All pixels would have one colour.
    """
    limits = np.iinfo(dtype)
    low, high = (float(number) * scale + offset for number in (limits.min, limits.max))
    if high <= stretch[0] or low >= stretch[1]:
        raise SceneError(
            f"{printable(uri)} has the scale {scale:g} and the offset {offset:g}, so all of its"
            f" numbers are reflectances of {low:g} to {high:g}, outside of the stretch"
            f" {stretch[0]:g} to {stretch[1]:g}; set scene.scale, scene.offset or scene.stretch in"
            " the recipe."
        )


def stretch_table(
    dtype: str, scale: float, offset: float, stretch: tuple[float, float]
) -> NDArray[np.uint8]:
    """8-bit value of every 16-bit number: a table of 64 KiB instead of float copies of pixels.

    Args:
        dtype: 'uint16' or 'int16'.
        scale: Reflectance per digital number.
        offset: Reflectance at digital number 0.
        stretch: Reflectances that become 0 and 255.

    Returns:
        uint8 (65536,), 1..255, indexed by the bit pattern of the number.
    """
    bits = np.arange(65536, dtype=np.uint16)
    numbers = bits.view(np.int16) if dtype == "int16" else bits
    return stretched(numbers, scale, offset, stretch)


def stretched(
    numbers: NDArray[Any], scale: float, offset: float, stretch: tuple[float, float]
) -> NDArray[np.uint8]:
    """Convert numbers of any type to 8-bit values: uint8 of the same shape, 1..255; 1 for NaN.

    Args:
        numbers: Array of any shape.
        scale: Reflectance per number.
        offset: Reflectance at 0.
        stretch: Reflectances that become 0 and 255.
    """
    low, high = stretch
    # Clip first, because large floats may overflow.
    reflectance = np.clip(np.nan_to_num(numbers * scale + offset, nan=low), low, high)
    # Round to 6 digits first to remove float noise at halves, so that equal reflectance gives equal
    # colours, with or without an offset in the product.
    levels = np.round((reflectance - low) / (high - low) * 255, 6)
    return np.clip(np.rint(levels), 1, 255).astype(np.uint8)


def physical_values(
    numbers: NDArray[Any], valid: NDArray[np.bool_], scales: Any, offsets: Any
) -> NDArray[np.float32]:
    """Physical values: number * scale + offset, NaN for missing values.

    Args:
        numbers: (..., B), digital numbers.
        valid: bool (..., B), False for missing values.
        scales: Scales of the B bands.
        offsets: Offsets of the B bands.

    Returns:
        float32 (..., B).
    """
    scale, offset = np.asarray(scales, np.float32), np.asarray(offsets, np.float32)
    values = numbers.astype(np.float32)
    if not ((scale == 1).all() and (offset == 0).all()):
        values = values * scale + offset
    values[~valid] = np.nan
    return values

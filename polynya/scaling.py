"""From digital numbers to reflectance, and to the 8 bits that are labelled."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from polynya.errors import SceneError
from polynya.scene_names import printable

LARGEST_OFFSET = 1e6

Scale = Annotated[float, Field(gt=0.0, le=1.0)]
"""Reflectance per digital number."""
Offset = Annotated[float, Field(ge=-LARGEST_OFFSET, le=LARGEST_OFFSET)]
"""Reflectance at digital number 0."""


def check_scaling(
    scale: float, offset: float, uri: str, keys: tuple[str, str] = ("scene.scale", "scene.offset")
) -> None:
    """Refuse a scale or offset out of a file's or product's metadata that gives no reflectance.

    With a scale of 0, below 0 or that is no number all pixels would silently be of one class.

    Args:
        scale: Reflectance per digital number.
        offset: Reflectance at digital number 0.
        uri: Whose they are.
        keys: Keys of the recipe that give others.

    Raises:
        SceneError: The scale isn't above 0 and at most 1, or the offset is no finite number.
    """
    if not (math.isfinite(scale) and 0.0 < scale <= 1.0):
        raise SceneError(
            f"{printable(uri)} has the scale {scale:g}, which is no reflectance per number (above 0"
            f" and at most 1); set {keys[0]} in the recipe."
        )
    if not (math.isfinite(offset) and abs(offset) <= LARGEST_OFFSET):
        raise SceneError(
            f"{printable(uri)} has the offset {offset:g}, which is no reflectance; set {keys[1]} in"
            " the recipe."
        )


def stretch_table(
    dtype: str, scale: float, offset: float, stretch: tuple[float, float]
) -> NDArray[np.uint8]:
    """8-bit value of every 16-bit number: 64 KiB instead of float copies.

    Args:
        dtype: 'uint16' or 'int16'.
        scale: Reflectance per digital number.
        offset: Reflectance at digital number 0.
        stretch: Reflectances that become 0 and 255.

    Returns:
        uint8 (65536,), 1..255, by the bit pattern of the number.
    """
    bits = np.arange(65536, dtype=np.uint16)
    numbers = bits.view(np.int16) if dtype == "int16" else bits
    low, high = stretch
    reflectance = numbers * scale + offset
    # Halves are told from float noise first, so that equal reflectance gives equal colours whether
    # a product has an offset or not.
    levels = np.round((reflectance - low) / (high - low) * 255, 6)
    return np.clip(np.rint(levels), 1, 255).astype(np.uint8)

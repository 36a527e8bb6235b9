"""Brightness of colours, and class codes that depend only on brightness; compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polynya.compiled import compiled

Bytes = NDArray[np.uint8]


def brightness(rgb: Bytes) -> Bytes:
    """V = max(R, G, B) of each pixel (OpenCV's definition of the value of HSV).

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        uint8 (H, W).
    """
    value = np.empty(rgb.shape[:2], np.uint8)
    _fill_brightness(np.ascontiguousarray(rgb), value)
    return value


@compiled
def _fill_brightness(rgb: Bytes, value: Bytes) -> None:
    for row in range(value.shape[0]):
        _fill_row(rgb[row].reshape(-1), value[row])


@compiled
def _fill_row(colors: Bytes, value: Bytes) -> None:
    for i in range(len(value)):
        red, green, blue = colors[3 * i], colors[3 * i + 1], colors[3 * i + 2]
        greater = red if red > green else green
        value[i] = greater if greater > blue else blue


@compiled
def codes_by_color(rgb: Bytes, base: int, starts: Bytes, added: Bytes, codes: Bytes) -> None:
    """Fill `codes`, uint8 (H, W), from the brightness of `rgb`, (H, W, 3), by a step function.

    Args:
        rgb: Colours, contiguous.
        base: Code of brightness 0.
        starts: (S,), brightness at which the code changes, ascending.
        added: (S,), number that is added to the code at each start, modulo 256.
        codes: Array to fill.
    """
    value = np.empty(codes.shape[1], np.uint8)
    for row in range(codes.shape[0]):
        _fill_row(rgb[row].reshape(-1), value)
        _step_row(value, base, starts, added, codes[row])


@compiled
def codes_by_brightness(value: Bytes, base: int, starts: Bytes, added: Bytes, codes: Bytes) -> None:
    """Fill `codes`, uint8 (H, W), from brightness, (H, W); see `codes_by_color`."""
    for row in range(codes.shape[0]):
        _step_row(value[row], base, starts, added, codes[row])


@compiled
def _step_row(value: Bytes, base: int, starts: Bytes, added: Bytes, codes: Bytes) -> None:
    # Compare and add in loops that do nothing else: the processor then does many pixels at once. A
    # table would be slower, because processors look up only one value at a time.
    code, none = np.uint8(base), np.uint8(0)
    first = 0
    if len(starts) >= 3:
        # The usual case: three steps, one of them for black.
        s1, s2, s3 = starts[0], starts[1], starts[2]
        a1, a2, a3 = added[0], added[1], added[2]
        for i in range(len(value)):
            v = value[i]
            codes[i] = (
                code + (a1 if v >= s1 else none) + (a2 if v >= s2 else none)
                + (a3 if v >= s3 else none)
            )  # fmt: skip
        first = 3
    else:
        for i in range(len(value)):
            codes[i] = code
    for k in range(first, len(starts)):
        start, step = starts[k], added[k]
        for i in range(len(value)):
            codes[i] += step if value[i] >= start else none


def not_black(rgb: Bytes) -> NDArray[np.bool_]:
    """Where not all bands are 0: bool (H, W)."""
    return brightness(rgb) > 0


@compiled
def blank(codes: Bytes, valid: NDArray[np.bool_], nodata: int) -> None:
    """Put `nodata` into `codes`, uint8 (H, W), where `valid` is False."""
    none = np.uint8(nodata)
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            codes[row, i] = codes[row, i] if valid[row, i] else none

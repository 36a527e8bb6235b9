"""Outlines of regions of pixels, as rings of pixel corners.

Whole scenes have regions with millions of corners. `rasterio.features.shapes` returns them as
Python tuples, with more than 100 bytes per corner; here a corner takes 8 bytes. Tests compare both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.compiled import compiled

_FIRST_CAPACITY = 4096


@dataclass(frozen=True)
class Rings:
    """Closed borders of regions."""

    corners: NDArray[np.int32]
    """int32 (K, 2): column and row of pixel corners, ring after ring; the last corner of a ring
    repeats the first."""
    offsets: NDArray[np.int64]
    """int64 (R + 1,): index in `corners` where each ring begins; the last is K."""
    regions: NDArray[np.int32]
    """int32 (R,): number of the region that each ring borders."""
    holes: NDArray[np.bool_]
    """bool (R,): whether the ring is the border of a hole."""


def trace_rings(regions: NDArray[np.int32], wanted: NDArray[np.bool_]) -> Rings:
    """Follow the borders of regions.

    Each region has one outer ring. If two pixels of a region touch only at a corner, the ring turns
    there so that it never touches itself. Then a hole may touch another ring at a corner, as OGC's
    simple features allow (06-103r4, 6.1.11.1).

    Args:
        regions: int32 (H, W), number of the 4-connected region of each pixel, 0 for no region.
        wanted: bool (N,), whether to trace the region with each number; `wanted[0]` is False.
    """
    corners = np.empty((_FIRST_CAPACITY, 2), np.int32)
    rings = np.empty((_FIRST_CAPACITY, 3), np.int64)
    seen = np.zeros(regions.shape, np.bool_)
    row = column = n_corners = n_rings = 0
    while True:
        row, column, n_corners, n_rings, done = _trace(
            regions, wanted, seen, row, column, corners, n_corners, rings, n_rings
        )
        if done:
            break
        # If a ring didn't fit, it is followed again from its first pixel.
        if n_rings == len(rings):
            rings = _grown(rings)
        else:
            corners = _grown(corners)
    offsets = np.append(rings[:n_rings, 0], n_corners)
    return Rings(
        corners[:n_corners],
        offsets,
        rings[:n_rings, 1].astype(np.int32),
        rings[:n_rings, 2] < 0,
    )


def _grown(values: NDArray[Any]) -> NDArray[Any]:
    # 1.5 times the size and not twice, because these are the largest arrays.
    larger = np.empty((len(values) + len(values) // 2, values.shape[1]), values.dtype)
    larger[: len(values)] = values
    return larger


@compiled
def _trace(
    regions: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    row: int,
    column: int,
    corners: NDArray[np.int32],
    n_corners: int,
    rings: NDArray[np.int64],
    n_rings: int,
) -> tuple[int, int, int, int, bool]:
    """Follow rings from a pixel on, until all rings are done or the arrays are full.

    Every ring has an upper edge of a pixel. Rings are found at these edges, which are marked in
    `seen`. The region is to the right of the direction of travel. Columns of `rings`: first corner,
    region, twice the signed area (positive for outer rings, because rows go down).

    Returns:
        Row and column to go on at, number of corners and rings so far, and whether all is done.
    """
    height, width = regions.shape
    while row < height:
        while column < width:
            region = regions[row, column]
            is_start = wanted[region] and not seen[row, column]
            if is_start and (row == 0 or regions[row - 1, column] != region):
                if n_rings == len(rings):
                    return row, column, n_corners, n_rings, False
                first = n_corners
                x, y, dx, dy = column, row, 1, 0
                area = 0
                last_dx, last_dy = 0, 0
                while True:
                    if dx != last_dx or dy != last_dy:
                        if n_corners + 1 >= len(corners):  # One more corner closes the ring.
                            seen[row, column] = False
                            return row, column, first, n_rings, False
                        corners[n_corners, 0], corners[n_corners, 1] = x, y
                        n_corners += 1
                        last_dx, last_dy = dx, dy
                    if dx == 1:
                        seen[y, x] = True
                    area += x * dy - y * dx
                    x, y = x + dx, y + dy
                    # Pixels ahead, on the left and right of the direction (dx, dy).
                    left_x, left_y = x + (dx + dy - 1) // 2, y + (dy - dx - 1) // 2
                    right_x, right_y = x + (dx - dy - 1) // 2, y + (dy + dx - 1) // 2
                    left = (
                        0 <= left_x < width
                        and 0 <= left_y < height
                        and regions[left_y, left_x] == region
                    )
                    right = (
                        0 <= right_x < width
                        and 0 <= right_y < height
                        and regions[right_y, right_x] == region
                    )
                    if left:  # Even if only a corner connects the pixels.
                        dx, dy = dy, -dx
                    elif not right:
                        dx, dy = -dy, dx
                    if x == column and y == row and dx == 1:
                        break
                corners[n_corners, 0], corners[n_corners, 1] = column, row
                n_corners += 1
                rings[n_rings, 0], rings[n_rings, 1], rings[n_rings, 2] = first, region, area
                n_rings += 1
            column += 1
        column = 0
        row += 1
    return row, column, n_corners, n_rings, True

"""Segments: patches of an image within which nothing but the light changes.

Borders of ice are sharp, but borders of cloud and shadow are soft. So sharp edges divide an image
into segments of one surface each, and a soft change of brightness inside a segment is a change of
light. All this works at half resolution, because finer detail says nothing about the light.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.compiled import compiled

SCALE = 2
"""Pixels of the image across one pixel of the segments."""

CELL = 16
"""Width, in segment pixels, of a cell of the grid on which light is estimated: 32 image pixels, or
320 m at 10 m. Cloud and shadow hardly change within a cell, and a cell often has several
surfaces."""

_DARK = 120
"""Brightness that separates dark from bright surfaces. Texture grows with brightness, so edges of
dark surfaces are found at smaller steps."""

_STEP_RANGE = (3, 14)
"""Least and greatest value of the edge threshold: the step between neighbouring pixels (grey
levels) above which there is an edge."""
_SOFT_PERCENT = 55
"""A step up to 2.5 times the threshold is no edge if it is part of a longer slope, such as the rim
of a cloud: if it is less than this percentage of the change over 7 pixels. At an edge, the step is
the whole change."""
_STEEPEST_SLOPE = 20
"""Greatest change over 3 pixels (grey levels) of a slope that is straight and therefore no edge."""
_STRAIGHTNESS = 0.4
"""How far a pixel of a straight slope may be from the mean around it: this many edge thresholds,
plus 1 grey level."""

_SQUARE3 = np.ones((3, 3), np.uint8)
_SQUARE5 = np.ones((5, 5), np.uint8)

Codes = NDArray[np.uint8]
Integers = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """Segments of an image of H x W pixels, h = ceil(H / 2), w = ceil(W / 2)."""

    label: Integers
    """(h, w), number of the segment; 0 on edges and where there is no data."""
    count: int
    """How many numbers are in use, including 0."""


@dataclass(frozen=True)
class CellParts:
    """The part of each segment in each cell: P pairs, ordered by cell, in row-major order."""

    grid: tuple[int, int]
    """Rows and columns of cells."""
    start: Integers
    """(cells + 1,), index of the first part of each cell."""
    segment: Integers
    """(P,), number of the segment."""
    pixels: Integers
    """(P,), number of pixels."""
    mean: NDArray[np.float64]
    """(P,), mean brightness, grey levels."""
    swir: NDArray[np.float64] | None
    """(P,), mean short-wave infrared, grey levels; None if the scene has none."""
    left: Integers
    """(P,), index of the same segment's part in the cell to the left; -1: none."""
    above: Integers
    """(P,), index of the same segment's part in the cell above; -1: none."""
    size: Floats
    """(S,), pixels of each segment in all cells; 0 for number 0."""

    @cached_property
    def cell(self) -> NDArray[np.intp]:
        """Number of the cell of each part, (P,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def adjoining(
        self, least_pixels: int, most_pixels: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Return pairs of parts of one segment in adjoining cells.

        Args:
            least_pixels: Pixels that both parts need.
            most_pixels: More pixels than these count as many.

        Returns:
            The indices of the parts, of those to the left of them and above, and the pixels that
            count, those of the smaller one of each pair; (E,) each.
        """
        here = np.concatenate([np.flatnonzero(side >= 0) for side in (self.left, self.above)])
        there = np.concatenate([side[side >= 0] for side in (self.left, self.above)])
        pixels = np.minimum(self.pixels[here], self.pixels[there])
        enough = pixels >= least_pixels
        weight = np.minimum(pixels[enough], most_pixels).astype(np.float64)
        return here[enough], there[enough].astype(np.intp), weight

    def cells_parts(self, cells: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the indices of all parts of some cells."""
        return ranges(self.start, cells)


def ranges(start: NDArray[np.integer], numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the indices from `start[n]` up to `start[n + 1]` for each n of `numbers`."""
    first = start[numbers].astype(np.intp)
    length = start[numbers + 1].astype(np.intp) - first
    before = np.cumsum(length) - length
    return np.repeat(first - before, length) + np.arange(length.sum())


def halve(value: Codes, valid: NDArray[np.bool_]) -> tuple[Codes, NDArray[np.bool_]]:
    """Return the mean of V over 2 x 2 pixels, and where all four pixels are valid.

    Args:
        value: uint8 (H, W).
        valid: bool (H, W).

    Returns:
        uint8 and bool (ceil(H / 2), ceil(W / 2)).
    """
    odd = (value.shape[0] % SCALE, value.shape[1] % SCALE)
    if any(odd):
        value = cv2.copyMakeBorder(value, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
    size = (value.shape[1] // SCALE, value.shape[0] // SCALE)
    half = np.asarray(cv2.resize(value, size, interpolation=cv2.INTER_AREA), np.uint8)
    if valid.all():
        return half, np.ones(half.shape, np.bool_)
    lost = (~valid).view(np.uint8)
    lost = cv2.copyMakeBorder(lost, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
    return half, cv2.resize(lost * 255, size, interpolation=cv2.INTER_AREA) == 0


def without_specks(half: Codes, seen: NDArray[np.bool_]) -> Codes:
    """Remove the noise of single pixels from brightness at half size.

    Args:
        half: uint8 (h, w), from `halve`.
        seen: bool (h, w), from `halve`.

    Returns:
        uint8 (h, w), at least 1; 0 where not seen.
    """
    smooth = np.asarray(cv2.medianBlur(np.maximum(half, 1), 3), np.uint8)
    if not seen.all():
        smooth[~seen] = 0
    return smooth


def find_segments(brightness: Codes) -> Segments:
    """Cut an image along its sharp edges.

    Args:
        brightness: uint8 (h, w), from `without_specks`.

    Returns:
        The connected components of the pixels that are not on an edge.
    """
    highest, lowest = cv2.dilate(brightness, _SQUARE3), cv2.erode(brightness, _SQUARE3)
    step = cv2.subtract(highest, lowest)
    reach = cv2.subtract(cv2.dilate(highest, _SQUARE5), cv2.erode(lowest, _SQUARE5))
    bend = cv2.dilate(cv2.absdiff(brightness, cv2.blur(brightness, (5, 5))), _SQUARE3)
    smooth = np.empty_like(brightness)
    dark = brightness < _DARK
    thresholds = np.where(
        np.arange(256) < _DARK,
        _edge_threshold(step[dark & (brightness > 0)]),
        _edge_threshold(step[~dark]),
    )
    _find_smooth(brightness, step, reach, bend, thresholds, smooth)
    count, label = cv2.connectedComponents(smooth, connectivity=4, ltype=cv2.CV_32S)
    return Segments(np.asarray(label, np.int32), count)


def _edge_threshold(steps: Codes) -> int:
    """Return the edge threshold: well above noise and texture of the smoothest third."""
    if not len(steps):
        return _STEP_RANGE[1]
    below = np.cumsum(np.bincount(steps[::9], minlength=256))
    noise = int(np.searchsorted(below, 0.3 * below[-1]))
    return min(max(2 * noise + 2, _STEP_RANGE[0]), _STEP_RANGE[1])


@compiled
def _find_smooth(
    brightness: Codes,
    step: Codes,
    reach: Codes,
    bend: Codes,
    thresholds: NDArray[np.int64],
    smooth: Codes,
) -> None:
    """Fill `smooth` with 1 where the image is even or changes softly, else with 0."""
    for y in range(step.shape[0]):
        for x in range(step.shape[1]):
            here = int(step[y, x])
            threshold = thresholds[brightness[y, x]]
            soft = (100 * here < _SOFT_PERCENT * int(reach[y, x])) & (2 * here <= 5 * threshold)
            straight = (here <= _STEEPEST_SLOPE) & (bend[y, x] <= _STRAIGHTNESS * threshold + 1.0)
            even = (here <= threshold) | soft | straight
            smooth[y, x] = np.uint8(even & (brightness[y, x] > 0))


@compiled
def at_pixels(
    label: Integers, kind: NDArray[np.int8], surface: Codes
) -> tuple[NDArray[np.int8], Codes]:
    """Give each pixel two numbers of its segment.

    Args:
        label: int32 (h, w), number of the segment.
        kind: int8 (S,), of each segment.
        surface: uint8 (S,), of each segment.

    Returns:
        int8 and uint8 (h, w).
    """
    kinds, surfaces = np.empty(label.shape, np.int8), np.empty(label.shape, np.uint8)
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            kinds[y, x], surfaces[y, x] = kind[label[y, x]], surface[label[y, x]]
    return kinds, surfaces


def cell_parts(brightness: Codes, segments: Segments, swir: Codes | None = None) -> CellParts:
    """Find the mean brightness of every segment in every cell, and link parts of adjoining cells.

    Args:
        brightness: uint8 (h, w).
        segments: Segments of the same image.
        swir: uint8 (h, w), short-wave infrared in grey levels, if the scene has it.
    """
    grid = (-(-brightness.shape[0] // CELL), -(-brightness.shape[1] // CELL))
    start, segment, pixels, total, infrared, left = _sum_parts(
        brightness, swir, segments.label, segments.count
    )
    above = _link_upwards(segment, start, segments.count, grid[1])
    size = np.bincount(segment, pixels, segments.count).astype(np.float64)
    short = None if swir is None else infrared / pixels
    return CellParts(grid, start, segment, pixels, total / pixels, short, left, above, size)


@compiled
def _sum_parts(
    brightness: Codes, swir: Codes | None, label: Integers, n_segments: int
) -> tuple[Integers, Integers, Integers, Floats, Floats, Integers]:
    height, width = label.shape
    rows, cols = (height + CELL - 1) // CELL, (width + CELL - 1) // CELL
    start = np.zeros(rows * cols + 1, np.int32)
    # Room for one part per pixel. Elements that are never written take no memory.
    segment_of, left = np.empty(label.size, np.int32), np.empty(label.size, np.int32)
    pixels, total = np.empty(label.size, np.int32), np.empty(label.size, np.float64)
    infrared = np.empty(label.size, np.float64)
    # For each segment, the last cell in which it was seen, and its part in that cell.
    seen = np.full(n_segments, -2, np.int32)
    part_of = np.zeros(n_segments, np.int32)
    n = 0
    for index in range(rows * cols):
        top, first = index // cols * CELL, index % cols * CELL
        for y in range(top, min(top + CELL, height)):
            for x in range(first, min(first + CELL, width)):
                segment = label[y, x]
                if segment == 0:
                    continue
                if seen[segment] != index:
                    is_left = first > 0 and seen[segment] == index - 1
                    left[n] = part_of[segment] if is_left else -1
                    seen[segment], part_of[segment] = index, n
                    segment_of[n], pixels[n], total[n], infrared[n] = segment, 0, 0.0, 0.0
                    n += 1
                part = part_of[segment]
                pixels[part] += 1
                total[part] += brightness[y, x]
                if swir is not None:
                    infrared[part] += swir[y, x]
        start[index + 1] = n
    return (
        start,
        segment_of[:n].copy(),
        pixels[:n].copy(),
        total[:n].copy(),
        infrared[:n].copy(),
        left[:n].copy(),
    )


@compiled
def _link_upwards(segment: Integers, start: Integers, n_segments: int, cols: int) -> Integers:
    above = np.full(len(segment), -1, np.int32)
    seen = np.full(n_segments, -2, np.int32)
    part_of = np.zeros(n_segments, np.int32)
    rows = (len(start) - 1) // cols
    for col in range(cols):
        for row in range(rows):
            for part in range(start[row * cols + col], start[row * cols + col + 1]):
                number = segment[part]
                if row > 0 and seen[number] == (row - 1) * cols + col:
                    above[part] = part_of[number]
                seen[number], part_of[number] = row * cols + col, part
    return above

"""Connected regions of one class or mask, such as floes, leads and ponds, and their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.compiled import compiled
from polynya.recipe.classes import ClassScheme

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Regions:
    """The regions of one class."""

    code: int
    """Class code."""
    numbers: NDArray[np.int32]
    """int32 (H, W), number of each pixel's region, from 1; 0 outside the class. The next class
    overwrites the array."""
    pixels: NDArray[np.int64]
    """int64 (N,), number of pixels of each region; 0 for number 0."""
    edges: NDArray[np.int64]
    """int64 (N,), number of pixel edges on the border of each region, with its holes."""


def regions_of(codes: Codes, classes: ClassScheme) -> Iterator[Regions]:
    """Find the regions of each class, one class after the other.

    Pixels are connected over edges, not over corners. So regions of different classes never cross
    each other; only masks may overlap. OpenCV finds the regions (Wu, Otoo and Suzuki 2009, two
    passes with union-find).

    Args:
        codes: uint8 (H, W), labels.
        classes: Scheme of the labels.
    """
    numbers = np.empty(codes.shape, np.int32)
    for code in classes.codes:
        count, numbers = cv2.connectedComponents(
            classes.where(codes, code).view(np.uint8), numbers, connectivity=4, ltype=cv2.CV_32S
        )
        pixels, edges = np.zeros(count, np.int64), np.zeros(count, np.int64)
        _count(numbers, pixels, edges)
        yield Regions(code, numbers, pixels, edges)


def cut_regions(regions: Regions, codes: Codes, nodata: int) -> NDArray[np.bool_]:
    """Find regions at the border of the scene or at nodata, which may be incomplete: bool (N,)."""
    return _find_cut(regions.numbers, codes, nodata, np.zeros(len(regions.pixels), np.bool_))


def add_values(
    sums: NDArray[np.float64], regions: Regions, row: int, values: NDArray[np.uint8]
) -> None:
    """Add the values of some rows to the sums of their regions.

    Args:
        sums: float64 (N,); changed in place.
        regions: Regions of one class.
        row: Number of the first row.
        values: uint8 (n, W).
    """
    _add(regions.numbers[row : row + len(values)], values, sums)


@compiled
def _count(numbers: NDArray[np.int32], pixels: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
    height, width = numbers.shape
    for row in range(height):
        for column in range(width):
            number = numbers[row, column]
            pixels[number] += 1
            edges[number] += (
                int(row == 0 or numbers[row - 1, column] != number)
                + int(row == height - 1 or numbers[row + 1, column] != number)
                + int(column == 0 or numbers[row, column - 1] != number)
                + int(column == width - 1 or numbers[row, column + 1] != number)
            )
    pixels[0] = edges[0] = 0


@compiled
def _find_cut(
    numbers: NDArray[np.int32], codes: Codes, nodata: int, cut: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    height, width = numbers.shape
    for row in range(height):
        for column in range(width):
            number = numbers[row, column]
            if number and not cut[number]:
                at_border = row in (0, height - 1) or column in (0, width - 1)
                cut[number] = (
                    at_border
                    or codes[row - 1, column] == nodata
                    or codes[row + 1, column] == nodata
                    or codes[row, column - 1] == nodata
                    or codes[row, column + 1] == nodata
                )
    return cut


@compiled
def _add(numbers: NDArray[np.int32], values: Codes, sums: NDArray[np.float64]) -> None:
    for row in range(numbers.shape[0]):
        for column in range(numbers.shape[1]):
            sums[numbers[row, column]] += values[row, column]

"""Small versions of large images for pictures, made block by block from parts in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Blocks:
    """Mean colours and most frequent codes in blocks of N x N pixels of a large image.

    Only the small image is in memory, so the large image may have any size.
    """

    def __init__(self, height: int, width: int, step: int) -> None:
        """Prepare blocks for an image of `height` x `width`; `step` is the edge of a block."""
        self._step = step
        self._shape = (-(-height // step), -(-width // step))
        self._sums: NDArray[np.int64] | None = None
        self._pixels = np.zeros(self._shape, np.int64)
        self._counts: dict[int, NDArray[np.int64]] = {}

    def add_image(self, row: int, col: int, image: NDArray[np.uint8]) -> None:
        """Add a part of the image.

        Args:
            row: Row of the part's upper left corner in the whole image.
            col: Column of the part's upper left corner in the whole image.
            image: uint8 (H, W, bands).
        """
        if self._sums is None:
            self._sums = np.zeros((*self._shape, image.shape[2]), np.int64)
        part, place = self._reduced(row, col, image, 255)
        self._sums[place] += part
        ones, _ = self._reduced(row, col, np.ones(image.shape[:2], np.uint8), 1)
        self._pixels[place] += ones

    def add_codes(self, row: int, col: int, codes: NDArray[np.uint8]) -> None:
        """Add a part of a label image, uint8 (H, W); see `add_image` for `row` and `col`."""
        for code in np.unique(codes).tolist():
            count, place = self._reduced(row, col, (codes == code).view(np.uint8), 1)
            self._counts.setdefault(code, np.zeros(self._shape, np.int64))[place] += count

    def image(self) -> NDArray[np.uint8]:
        """Mean colours: uint8 (h, w, bands), 0 for blocks without data."""
        assert self._sums is not None  # A part was added.
        means = self._sums / np.maximum(self._pixels, 1)[..., None]
        return np.asarray(np.rint(means), np.uint8)

    def codes(self, nodata: int) -> NDArray[np.uint8]:
        """Most frequent code of each block, uint8 (h, w); the lowest code if several are equal.

        Args:
            nodata: Code of blocks without data.
        """
        found = np.full(self._shape, nodata, np.uint8)
        most = np.zeros(self._shape, np.int64)
        for code in sorted(self._counts):
            better = self._counts[code] > most
            found[better] = code
            most = np.maximum(most, self._counts[code])
        return found

    def _reduced(
        self, row: int, col: int, part: NDArray[np.uint8], greatest: int
    ) -> tuple[NDArray[np.int64], tuple[slice, slice]]:
        """Sums over the blocks that a part touches, and the place of these blocks.

        Args:
            row: Row of the part's upper left corner.
            col: Column of the part's upper left corner.
            part: uint8 (H, W) or (H, W, bands).
            greatest: Greatest possible number in the part.
        """
        starts, place = zip(*map(self._touched, (row, col), part.shape), strict=False)
        ends = [*starts[0][1:], len(part)]
        # Whole rows are added in the smallest type that holds the sums, which is much faster than
        # `reduceat` over rows.
        small = np.min_scalar_type(greatest * self._step)
        bands = [
            part[start:end].sum(axis=0, dtype=small)
            for start, end in zip(starts[0], ends, strict=True)
        ]
        sums = np.add.reduceat(np.stack(bands), starts[1], axis=1, dtype=np.int64)
        return sums, (place[0], place[1])

    def _touched(self, first: int, size: int) -> tuple[NDArray[np.int64], slice]:
        """Positions in a part where blocks begin, along one axis, and the numbers of the blocks."""
        numbers = (first + np.arange(size)) // self._step
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        return starts, slice(int(numbers[0]), int(numbers[-1]) + 1)

"""Small versions of a large picture, cut into tiles, for a page that pans and zooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from polynya.grid import Tile

TILE = 256
"""Rows and columns of a tile."""
_COARSEST = 1024
"""Greatest height and width of the coarsest level: it is always in the page, whole."""
_KEPT = 2048
"""Greatest height and width of the finest level that is kept in memory."""
_STRIP_ROWS = 256
"""Rows that are read at once to make levels; they take a fraction of a second."""

Pixels = NDArray[np.uint8]
"""(H, W, 4): red, green, blue, and 255 for pixels with data, else 0."""
Read = Callable[[Tile, int], Pixels]
"""Reads a part of the picture, one pixel of each step x step pixels; rounds up."""


class Pyramid:
    """A picture at steps of 1, 2, 4, ... pixels.

    Level z holds every 2**z-th pixel of each row and column. Fine levels are read when they are
    asked for. If that takes long for coarse levels, `build` reads the picture once and keeps them.
    """

    def __init__(self, height: int, width: int, read: Read, *, is_fast: bool) -> None:
        """Prepare the levels of a picture.

        Args:
            height: Rows of the picture.
            width: Columns of the picture.
            read: Reads a part of it.
            is_fast: Whether `read` reads parts with a large step as fast as those with a small one.
        """
        self.height, self.width = height, width
        self._read = read
        longest = max(height, width)
        self.coarsest = _levels(longest, _COARSEST)
        """Number of the coarsest level."""
        self._kept_level = _levels(longest, _KEPT)
        self._kept: Pixels | None = None
        self._done = 0
        if not is_fast and self._kept_level > 0:
            step = 2**self._kept_level
            self._kept = np.zeros((-(-height // step), -(-width // step), 4), np.uint8)

    @property
    def progress(self) -> float:
        """Share of the picture whose coarse levels can be seen, 0..1."""
        return 1.0 if self._kept is None else self._done / self.height

    def build(self) -> None:
        """Make the coarse levels; raises SceneError if the picture can't be read."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Make the coarse levels strip by strip; tiles of finished strips can be read meanwhile.

        Yields:
            After each strip.

        Raises:
            SceneError: The picture can't be read.
        """
        if self._kept is None:
            return
        step = 2**self._kept_level
        for row in range(0, self.height, _STRIP_ROWS):
            strip = Tile(row, 0, min(_STRIP_ROWS, self.height - row), self.width)
            part = self._read(strip, step)
            self._kept[row // step : row // step + len(part)] = part
            self._done = row + strip.height
            yield

    def whole(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the coarsest level: colours, uint8 (H, W, 3), and pixels with data, bool (H, W).

        Raises:
            SceneError: The picture can't be read.
        """
        step = 2**self.coarsest
        if self._kept is None:
            pixels = self._read(Tile(0, 0, self.height, self.width), step)
        else:
            jump = 2 ** (self.coarsest - self._kept_level)
            pixels = self._kept[::jump, ::jump]
        return np.ascontiguousarray(pixels[..., :3]), pixels[..., 3] > 0

    def tile(self, level: int, row: int, col: int) -> Pixels | None:
        """Return a tile; tiles at the right and lower end are smaller.

        Args:
            level: Number of the level, 0 for all pixels.
            row: Number of the tile from above.
            col: Number of the tile from the left.

        Returns:
            The pixels; None if there is no such tile.

        Raises:
            SceneError: The picture can't be read.
        """
        if not 0 <= level <= self.coarsest:
            return None
        step = 2**level
        top, left, size = row * TILE * step, col * TILE * step, TILE * step
        if not (0 <= top < self.height and 0 <= left < self.width):
            return None
        part = Tile(top, left, min(size, self.height - top), min(size, self.width - left))
        if self._kept is None or level < self._kept_level:
            return self._read(part, step)
        jump = 2 ** (level - self._kept_level)
        first = (top // step * jump, left // step * jump)
        rows, cols = (slice(start, start + TILE * jump, jump) for start in first)
        return self._kept[rows, cols]


def every(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the middle pixel of each step x step pixels, as GDAL takes it; (H, W, ...)."""
    if step == 1:
        return pixels
    rows, cols = (
        np.minimum(np.arange(-(-size // step)) * step + step // 2, size - 1)
        for size in pixels.shape[:2]
    )
    return pixels[rows[:, None], cols]


def _levels(size: int, greatest: int) -> int:
    """Number of halvings until a size is at most `greatest`."""
    count = 0
    while -(-size // 2**count) > greatest:
        count += 1
    return count

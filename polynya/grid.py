"""The tile grid: how a scene is cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Tile:
    """A rectangle of a scene, in pixels."""

    row: int
    """Offset of the first row."""
    col: int
    """Offset of the first column."""
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the tile in an (H, W, ...) array of its scene."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )


def tile_grid(height: int, width: int, size: int) -> list[Tile]:
    """Cut a scene into square tiles that cover it exactly once.

    Tiles of the last row and column are smaller if the scene's size is no multiple of `size`: no
    pixel is lost and none is added.

    Args:
        height: Rows of the scene.
        width: Columns of the scene.
        size: Edge of a tile in pixels.

    Returns:
        Tiles in row-major order.
    """
    return [
        Tile(row, col, min(size, height - row), min(size, width - col))
        for row in range(0, height, size)
        for col in range(0, width, size)
    ]

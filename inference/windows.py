"""Overlapping windows over a scene, blended into finished bands of rows.

A model sees one window at a time, and knows least about a window's border, where half of the
context is missing. So windows overlap, and their probabilities are averaged with weights that fall
towards the border. Rows are finished from top to bottom and handed on: memory depends on the width
of a scene, not on its area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Probabilities = NDArray[np.float32]

ReadRows = Callable[[int, int], tuple[Image, Mask]]
"""Rows from start up to stop: uint8 (N, W, 3) and bool (N, W); each row is asked for once."""

Forward = Callable[[Image], Probabilities]
"""Class probabilities of a batch of windows: uint8 (B, S, S, 3) to float32 (B, S, S, C)."""


@dataclass(frozen=True)
class Windows:
    """How a scene is cut into overlapping windows."""

    size: int
    """Edge of a window in pixels."""
    overlap: float
    """Share of a window that it has in common with the next one, 0 to less than 1."""
    batch_size: int
    """Windows per call of the model."""

    def starts(self, length: int) -> list[int]:
        """Offsets of the windows along one side of a scene.

        The last window ends with the scene, so the last row and column are covered whatever the
        size; a side shorter than a window has the one window at 0.
        """
        last = max(length - self.size, 0)
        stride = max(1, round(self.size * (1.0 - self.overlap)))
        return [*range(0, last, stride), last]

    def weights(self) -> NDArray[np.float32]:
        """Blend weights along one side of a window: Hann at pixel centres, so none is zero.

        w(i) = sin^2(pi (i + 1/2) / size); at an overlap of one half they add up to 1 everywhere.

        Returns:
            float32 (size,).
        """
        centres = np.arange(self.size) + 0.5
        return np.asarray(np.sin(np.pi * centres / self.size) ** 2, np.float32)

    def weight_sums(self, length: int) -> NDArray[np.float32]:
        """Sum of the weights of all windows along one side of a scene, float32 (length,)."""
        sums = np.zeros(max(length, self.size), np.float32)
        for start in self.starts(length):
            sums[start : start + self.size] += self.weights()
        return sums[:length]


@dataclass(frozen=True)
class Band:
    """Finished rows of a scene."""

    row: int
    """Offset of the first row."""
    valid: Mask
    """bool (N, W), True where the scene has data."""
    probabilities: Probabilities
    """float32 (N, W, C), adding up to 1 where valid; 0 where no window was needed."""

    def codes(self, nodata: int) -> Image:
        """Most probable class of each valid pixel, `nodata` elsewhere: uint8 (N, W)."""
        codes: Image = self.probabilities.argmax(axis=2).astype(np.uint8)
        codes[~self.valid] = nodata
        return codes


def blend_bands(
    read_rows: ReadRows,
    forward: Forward,
    *,
    height: int,
    width: int,
    n_classes: int,
    windows: Windows,
) -> Iterator[Band]:
    """Run a model over a scene and blend its windows.

    Windows without a valid pixel are skipped. Scenes smaller than a window are continued by
    reflection, so the model always sees full windows.

    Args:
        read_rows: Source of the scene's rows.
        forward: The model.
        height: Rows of the scene.
        width: Columns of the scene.
        n_classes: Channels of the model's output.
        windows: Size, overlap, batch size.

    Yields:
        Bands that follow each other from row 0 to the last, one for each row of windows.
    """
    size = windows.size
    rows, columns = windows.starts(height), windows.starts(width)
    weights: Probabilities = windows.weights()[:, None, None] * windows.weights()[:, None]
    row_sums, column_sums = windows.weight_sums(height), windows.weight_sums(width)

    image = np.zeros((0, width, 3), np.uint8)
    valid = np.zeros((0, width), np.bool_)
    sums = np.zeros((size, max(width, size), n_classes), np.float32)
    for top, next_top in zip(rows, [*rows[1:], height], strict=True):
        bottom = min(top + size, height)
        new_image, new_valid = read_rows(top + len(image), bottom)
        image, valid = np.concatenate([image, new_image]), np.concatenate([valid, new_valid])
        _add_windows(sums, image, valid, columns, weights, forward, windows)

        # No later window reaches above the next row of windows: these rows are finished. Every
        # window over a valid pixel was run, so the sum of weights is known without counting.
        done = next_top - top
        totals: Probabilities = row_sums[top:next_top, None, None] * column_sums[:, None]
        yield Band(top, valid[:done], sums[:done, :width] / totals)
        image, valid = image[done:], valid[done:]
        sums[: size - done] = sums[done:]
        sums[size - done :] = 0


def _add_windows(
    sums: Probabilities,
    image: Image,
    valid: Mask,
    columns: list[int],
    weights: NDArray[np.float32],
    forward: Forward,
    windows: Windows,
) -> None:
    """Add the weighted probabilities of one row of windows."""
    size = windows.size
    padding = [(0, max(0, size - side)) for side in valid.shape]
    image = np.pad(image, [*padding, (0, 0)], mode="symmetric")
    wanted = [left for left in columns if valid[:, left : left + size].any()]
    for first in range(0, len(wanted), windows.batch_size):
        batch = wanted[first : first + windows.batch_size]
        stack = np.stack([image[:, left : left + size] for left in batch])
        for left, probabilities in zip(batch, forward(stack), strict=True):
            sums[:, left : left + size] += probabilities * weights

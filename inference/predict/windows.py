"""Overlapping windows over a scene, blended into finished strips of rows.

A model sees one window at a time. It is least certain at a window's border, where half of the
context is missing. So windows overlap, and their probabilities are averaged with weights that fall
towards the border, or borders are left out. Strips are finished from top to bottom, so memory
depends on the width of a scene, not on its area. A strip is a `Band` in the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.predict.missing import fill_missing
from inference.predict.prefetch import ahead
from polynya.recipe.inference import Blend

Codes = NDArray[np.uint8]
Image = NDArray[Any]
"""8-bit colours as uint8, 0 where nodata; or values of bands as float32, NaN where missing."""
Mask = NDArray[np.bool_]
Probabilities = NDArray[np.float32]

BAND_ROWS = 256
"""Greatest number of rows of a strip. Several strips are in memory at once."""

ReadRows = Callable[[int, int], tuple[Image, Mask]]
"""Function that reads rows from start up to stop: (N, W, bands) and bool (N, W). Each row is read
once."""

Forward = Callable[[Image], Probabilities]
"""Function from a batch of windows (B, S, S, bands) to class probabilities float32 (B, S, S, C)."""


@dataclass(frozen=True)
class Axis:
    """Windows along one side of a scene."""

    length: int
    """Length of the scene in pixels."""
    size: int
    """Size of a window in pixels."""
    overlap: float
    """Overlap of a window with the next one, as a share of the window: 0 to less than 1."""
    blend: Blend = "hann"
    """Kind of blending where windows overlap."""

    @property
    def starts(self) -> list[int]:
        """Offsets of the windows.

        The last window ends at the end of the scene, so windows cover the last pixel for any
        length. A side shorter than a window has one window at 0.
        """
        last = max(self.length - self.size, 0)
        stride = max(1, round(self.size * (1.0 - self.overlap)))
        return [*range(0, last, stride), last]

    def weights(self, start: int) -> NDArray[np.float32]:
        """Compute the blend weights of the window at an offset, at pixel centres.

        "hann": half a Hann window rises over the overlap on each side, with ones between. If the
        overlap is one half, this is a Hann window. With d the distance of a pixel's centre from the
        nearer border and t the overlap in pixels, at most half a window,
        w = sin^2(pi / 2 min(d / t, 1)). Weights are never zero, and the weights of windows with the
        regular overlap add up to 1.

        "trimmed": the outer half of the overlap has no weight, except along the scene's borders,
        where there is no other window.

        Returns:
            float32 (size,).
        """
        centres = np.arange(self.size) + 0.5
        if self.blend == "trimmed":
            margin = int(self.size * self.overlap / 2)
            low = 0 if start == 0 else margin
            high = self.size if start + self.size >= self.length else self.size - margin
            return np.asarray((centres > low) & (centres < high), np.float32)
        taper = self.size * min(self.overlap, 0.5)
        if taper == 0:
            return np.ones(self.size, np.float32)
        distance = np.minimum(centres, self.size - centres)
        return np.asarray(np.sin(np.pi / 2 * np.minimum(distance / taper, 1.0)) ** 2, np.float32)

    def weight_sums(self) -> NDArray[np.float32]:
        """Sum the weights of all windows, float32 (length,)."""
        sums = np.zeros(max(self.length, self.size), np.float32)
        for start in self.starts:
            sums[start : start + self.size] += self.weights(start)
        return sums[: self.length]


def fitted(axis: Axis, multiple: int) -> Axis:
    """Find the window size that covers the scene with the fewest pixels in total.

    With full-size windows, the last window may overlap the previous one almost completely, or reach
    beyond the scene.

    Args:
        axis: The largest allowed windows, and their overlap.
        multiple: The new size is a multiple of this number of pixels.

    Returns:
        Windows of at least two thirds of the size, or one smaller window if one is enough. The
        overlap is at least as wide. If possible, it is also a multiple of `multiple`: then a
        network with strides sees the same cells from both windows.
    """
    common = round(axis.size * axis.overlap)
    whole = -(-common // multiple) * multiple
    common = whole if 2 * whole <= axis.size else common
    fewest = len(Axis(axis.length, axis.size, common / axis.size, axis.blend).starts)

    def size_of(count: int) -> int:
        least = -(-(axis.length + (count - 1) * common) // count)
        return min(axis.size, -(-least // multiple) * multiple)

    counts = range(fewest, 2 * fewest)
    large = [n for n in counts if n == fewest or 3 * size_of(n) >= 2 * axis.size]
    count = min(large, key=lambda n: n * size_of(n))
    size = size_of(count)
    return Axis(axis.length, size, common / size if count > 1 else axis.overlap, axis.blend)


@dataclass(frozen=True)
class Windows:
    """The overlapping windows of a scene."""

    rows: Axis
    columns: Axis
    batch_size: int
    """Windows per call of the model."""

    def spans(self) -> list[tuple[int, int]]:
        """First row and end of the strip that each row of windows finishes."""
        starts = self.rows.starts
        return list(zip(starts, [*starts[1:], self.rows.length], strict=True))


@dataclass(frozen=True)
class Band:
    """A strip: finished rows of a scene."""

    row: int
    """Offset of the first row."""
    valid: Mask
    """bool (N, W), True where the scene has data."""
    probabilities: Probabilities
    """float32 (N, W, C). For classes, they add up to 1 where valid; for masks, each is in 0..1.
    They are 0 where no window was needed."""

    def codes(
        self, nodata: int, weights: Sequence[float] = (), thresholds: Sequence[float] = ()
    ) -> Codes:
        """Find the label of each valid pixel, `nodata` elsewhere: uint8 (N, W).

        The label is the most probable class. With thresholds, it has one bit per mask, set if the
        mask is probable enough (`polynya.recipe.classes.ClassScheme`).

        Args:
            nodata: Code of pixels without data.
            weights: Factor on the probability of each class; default 1.
            thresholds: Least probability of each mask; empty for classes that exclude each other.
        """
        if thresholds:
            codes: Codes = np.zeros(self.valid.shape, np.uint8)
            for code, threshold in enumerate(thresholds):
                codes[self.probabilities[..., code] >= np.float32(threshold)] |= 1 << code
            codes[~self.valid] = nodata
            return codes
        weighted = self.probabilities
        if weights:
            weighted = weighted * np.asarray(weights, np.float32)
        codes = weighted.argmax(axis=2).astype(np.uint8)
        codes[~self.valid] = nodata
        return codes


def blend_bands(
    read_rows: ReadRows,
    forward: Forward,
    windows: Windows,
    *,
    n_classes: int,
    part: range | None = None,
) -> Iterator[Band]:
    """Run a model on a scene, or on some rows of it, and blend its windows.

    Windows without a valid pixel are skipped. In other windows, pixels without data get the nearest
    colours (a model of named bands fills missing values itself). Scenes smaller than a window are
    extended by reflection, so the model always sees full windows. The rows of the next windows are
    read while the model works.

    Args:
        read_rows: Source of the scene's rows.
        forward: The model.
        windows: Positions of the windows, and kind of blending.
        n_classes: Channels of the model's output.
        part: Numbers of the spans to predict, in `Windows.spans`; default all. Their content is the
            same to the last bit, because all windows that reach into them are run.

    Yields:
        Strips from top to bottom, of at most `BAND_ROWS` rows.
    """
    rows, columns = windows.rows, windows.columns
    spans = windows.spans()
    wanted = part if part is not None else range(len(spans))
    first_row = spans[wanted.start][0]
    # Windows that start above the first strip reach into it.
    begin = next(i for i, start in enumerate(rows.starts) if start + rows.size > first_row)
    row_sums, column_sums = rows.weight_sums(), columns.weight_sums()

    top = spans[begin][0]
    image: Image | None = None
    valid = np.zeros((0, columns.length), np.bool_)
    sums = np.zeros((rows.size, max(columns.length, columns.size), n_classes), np.float32)
    blocks = ahead(_new_rows(read_rows, rows, begin, wanted.stop))
    for index, (new_image, new_valid) in zip(range(begin, wanted.stop), blocks, strict=True):
        image = new_image if image is None else np.concatenate([image, new_image])
        valid = np.concatenate([valid, new_valid])
        top, next_top = spans[index]
        _add_windows(sums, image, valid, rows.weights(top), forward, windows)

        # No later window reaches these rows, so they are finished. Every window over a valid pixel
        # was run, so the sum of weights is known without counting.
        done = next_top - top
        if index >= wanted.start:
            for first in range(0, done, BAND_ROWS):
                part_rows = slice(first, min(first + BAND_ROWS, done))
                totals = _spread(row_sums[top:next_top][part_rows], column_sums, n_classes)
                known = sums[part_rows, : columns.length] / totals
                yield Band(top + first, valid[part_rows], known)
        image, valid = image[done:], valid[done:]
        sums[: rows.size - done] = sums[done:]
        sums[rows.size - done :] = 0


def _new_rows(
    read_rows: ReadRows, rows: Axis, begin: int, stop: int
) -> Iterator[tuple[Image, Mask]]:
    """Read, for each row of windows, the rows of the scene that were not read before."""
    starts = rows.starts
    known = starts[begin]
    for start in starts[begin:stop]:
        bottom = min(start + rows.size, rows.length)
        yield read_rows(known, bottom)
        known = bottom


def _add_windows(
    sums: Probabilities,
    image: Image,
    valid: Mask,
    row_weights: NDArray[np.float32],
    forward: Forward,
    windows: Windows,
) -> None:
    """Add the weighted probabilities of one row of windows."""
    columns = windows.columns
    size = (windows.rows.size, columns.size)
    padding = [(0, max(0, full - side)) for full, side in zip(size, valid.shape, strict=True)]
    if image.dtype == np.uint8:
        image = fill_missing(image, valid)
    image = np.pad(image, [*padding, (0, 0)], mode="symmetric")
    wanted = [left for left in columns.starts if valid[:, left : left + columns.size].any()]
    batches = [
        wanted[first : first + windows.batch_size]
        for first in range(0, len(wanted), windows.batch_size)
    ]
    stacks = (np.stack([image[:, left : left + columns.size] for left in b]) for b in batches)
    # The model works on the next windows while the current ones are added.
    for batch, results in zip(batches, ahead(map(forward, stacks)), strict=True):
        for left, probabilities in zip(batch, results, strict=True):
            weights = _spread(row_weights, columns.weights(left), probabilities.shape[2])
            sums[:, left : left + columns.size] += probabilities * weights


def _spread(
    rows: NDArray[np.float32], columns: NDArray[np.float32], channels: int
) -> Probabilities:
    """Compute products of weights, float32 (H, W, C).

    They are repeated for all channels, because broadcasting over a short last axis is several times
    slower in NumPy.
    """
    products = rows[:, None] * np.repeat(columns, channels)
    return np.asarray(products.reshape(len(rows), len(columns), channels), np.float32)

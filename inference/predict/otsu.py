"""Thresholds of probabilities by Otsu's method, for each scene and each mask.

N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems,
Man, and Cybernetics 9 (1979) 62-66. As in scikit-image's `threshold_otsu`, the histogram has 256
bins from the least to the greatest probability of the scene, the threshold is the middle of a bin,
and what is greater is under the mask.

The range of a scene is only known at its end, so its probabilities are kept until then: small
scenes in memory, larger ones in a temporary file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Band, Codes
from polynya.errors import OutputError, reason_of
from polynya.recipe.classes import ClassScheme
from training.ballots import HALF

BINS = 256

_LEAST_RANGE = 1e-4
"""Range of a scene's probabilities up to which they count as equal: blending and rounding make as
much of equal ones."""
_IN_MEMORY = 2**28
"""Greatest number of bytes of a scene's probabilities in memory."""

Floats = NDArray[np.float32]


def thresholded(classes: ClassScheme) -> tuple[int, ...]:
    """Channels that have a threshold: each mask, or the second of two classes."""
    return classes.codes if classes.has_masks else (1,)


def otsu_threshold(counts: NDArray[np.int64], centres: NDArray[Any]) -> float:
    """Find the bin up to which values are one class, so that the variance between both is greatest.

    The variance between the classes is w1 w2 (m1 - m2)^2 with the shares w and the means m of the
    values up to a bin and of those above it. The first of equal ones counts.

    Args:
        counts: (N,), values in each bin; the first and the last bin have some.
        centres: (N,), middle of each bin.

    Returns:
        The middle of the bin.
    """
    weighted = counts * centres.astype(np.float64)
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    means_below = np.cumsum(weighted)[:-1] / below
    means_above = np.cumsum(weighted[::-1])[::-1][1:] / above
    between = below.astype(np.float64) * above * (means_below - means_above) ** 2
    return float(centres[between.argmax()])


def otsu_labels(band: Band, thresholds: Iterable[float], classes: ClassScheme) -> Codes:
    """Label the pixels with a probability greater than their mask's threshold: uint8 (N, W).

    Args:
        band: Probabilities of a strip.
        thresholds: Threshold of each of `thresholded`.
        classes: Masks, or two classes.
    """
    values = band.probabilities[..., thresholded(classes)]
    return _labels(np.where(band.valid[..., None], values, np.nan), thresholds, classes)


def otsu_thresholds(band: Band, classes: ClassScheme) -> tuple[float, ...]:
    """Find the thresholds of an image in one piece; see `OtsuLabels.thresholds`."""
    kept = OtsuLabels(classes)
    kept.add(band)
    return kept.thresholds()


def _labels(values: Floats, thresholds: Iterable[float], classes: ClassScheme) -> Codes:
    """Labels of values (N, W, K), NaN where there is no data."""
    codes: Codes = np.zeros(values.shape[:2], np.uint8)
    for place, threshold in enumerate(thresholds):
        # A bit of a mask; of two classes, code 1.
        codes[values[..., place] > np.float32(threshold)] |= 1 << place
    codes[np.isnan(values[..., 0])] = classes.nodata
    return codes


class OtsuLabels:
    """Labels of a scene, whose thresholds are known when all of its strips are."""

    def __init__(self, classes: ClassScheme) -> None:
        self._classes = classes
        self._channels = thresholded(classes)
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (kept open)
        self._shapes: list[tuple[int, tuple[int, ...]]] = []
        self._low = np.full(len(self._channels), np.inf, np.float32)
        self._high = np.full(len(self._channels), -np.inf, np.float32)

    def add(self, band: Band) -> None:
        """Keep the probabilities of a strip.

        Raises:
            OutputError: They don't fit into the folder of temporary files.
        """
        values = band.probabilities[..., self._channels].astype(np.float32)
        known = values[band.valid]
        if len(known):
            self._low = np.minimum(self._low, known.min(axis=0))
            self._high = np.maximum(self._high, known.max(axis=0))
        values[~band.valid] = np.nan
        self._shapes.append((band.row, values.shape))
        try:
            self._file.write(values.tobytes())
        except OSError as error:
            raise OutputError(
                f"The probabilities of the scene can't be kept ({reason_of(error)}); Otsu's method"
                " needs 4 bytes a pixel and mask for temporary files: make room, or set TMPDIR."
            ) from None

    def thresholds(self) -> tuple[float, ...]:
        """Threshold of each of `thresholded`; 0.5 where all probabilities are equal.

        NaN if the scene has no valid pixel.
        """
        counts = np.zeros((len(self._channels), BINS), np.int64)
        # Not as Python's numbers, with which NumPy would find edges that are an ulp off.
        ranges: list[Any] = list(zip(self._low, self._high, strict=True))
        edges = [np.zeros(0, np.float32)] * len(self._channels)
        divided = [bool(high - low > _LEAST_RANGE) for low, high in ranges]
        for _, values in self._strips():
            known = values[~np.isnan(values[..., 0])]
            for place in np.flatnonzero(divided):
                found, edges[place] = np.histogram(known[:, place], BINS, ranges[place])
                counts[place] += found
        return tuple(
            otsu_threshold(counts[place], (edges[place][:-1] + edges[place][1:]) / 2)
            if divided[place]
            else (HALF if math.isfinite(low) else math.nan)
            for place, (low, _) in enumerate(ranges)
        )

    def labels(self, thresholds: Iterable[float]) -> Iterator[tuple[int, Codes]]:
        """Yield the first row and the labels, uint8 (N, W), of each strip."""
        thresholds = tuple(thresholds)
        for row, values in self._strips():
            yield row, _labels(values, thresholds, self._classes)

    def _strips(self) -> Iterator[tuple[int, Floats]]:
        self._file.seek(0)
        for row, shape in self._shapes:
            content = self._file.read(4 * math.prod(shape))
            yield row, np.frombuffer(content, np.float32).reshape(shape)

"""The product `entropy`: how uncertain the model is, as a raster of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Band, Probabilities
from inference.products.cog import RasterRows, cog_rows
from inference.products.paths import COG, ProductFile
from inference.products.probability import share_layout, stored
from inference.products.product import Codes, Product, Target, Writer

_MEAN = "mean_entropy"


def entropy(probabilities: Probabilities) -> NDArray[np.float32]:
    """Compute the Shannon entropy of each pixel's probabilities, divided by its maximum, ln C.

    0: one class has all the probability; 1: all classes have the same. (Shannon 1948, A
    Mathematical Theory of Communication, section 6.)

    Args:
        probabilities: float32 (N, W, C), adding up to 1.

    Returns:
        float32 (N, W).
    """
    return _information(probabilities) / np.float32(np.log(probabilities.shape[2]))


def mask_entropy(probabilities: Probabilities) -> NDArray[np.float32]:
    """Compute the mean over masks of the entropy of p and 1 - p, divided by its maximum, ln 2.

    Args:
        probabilities: float32 (N, W, C), each in 0..1.

    Returns:
        float32 (N, W).
    """
    inside = np.clip(probabilities, 0, 1)
    both = _information(inside) + _information(1 - inside)
    return both / np.float32(np.log(2) * probabilities.shape[2])


def _information(probabilities: Probabilities) -> NDArray[np.float32]:
    """Sum -p ln p over the last axis: float32 (N, W)."""
    total = np.zeros(probabilities.shape[:2], np.float32)
    for of_class in np.moveaxis(probabilities, -1, 0):
        # p ln p goes to 0 as p goes to 0.
        total -= of_class * np.log(np.maximum(of_class, np.finfo(np.float32).tiny))
    return total


class _EntropyWriter(Writer):
    def __init__(self, rows: RasterRows, has_masks: bool) -> None:
        self._rows = rows
        self._entropy = mask_entropy if has_masks else entropy
        self._sum, self._count = 0.0, 0

    def add(self, band: Band) -> None:
        values = self._entropy(band.probabilities)
        self._rows.write(band.row, stored(values, band.valid))
        self._sum += float(values[band.valid].sum(dtype=np.float64))
        self._count += int(band.valid.sum())

    def finish(self, codes: Codes) -> dict[str, str]:
        return {_MEAN: f"{self._sum / self._count:.6f}" if self._count else ""}


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    layout = share_layout(target.scene, ["normalised entropy"])
    with cog_rows(target.path(_FILE), layout, target.tags) as rows:
        yield _EntropyWriter(rows, target.classes.has_masks)


_FILE = ProductFile("_entropy.tif", "entropy", "Normalised entropy of the probabilities", COG)
PRODUCT = Product(
    name="entropy",
    about="how undecided the model is",
    files=(_FILE,),
    open=_open,
    columns=(_MEAN,),
    needs_probabilities=True,
)

"""The product `probability`: probabilities of the classes as a raster of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Band
from inference.products.cog import RasterLayout, RasterRows, cog_rows
from inference.products.paths import COG, ProductFile
from inference.products.product import Product, Target, Writer
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene

STEP = 0.004
"""Value of one step of a stored number: 250 means 1."""
NODATA = 255
PROBABILITY_ENDING = "_probability.tif"
_STEPS = 250


def probability_layout(scene: Scene, classes: ClassScheme) -> RasterLayout:
    """Make the layout: one band per class, in the order of the codes."""
    return share_layout(scene, [f"probability of {name}" for name in classes.names])


def share_layout(scene: Scene, bands: Sequence[str]) -> RasterLayout:
    """Make the layout of a scene's raster with bands of shares from `stored`."""
    return RasterLayout.of_scene(
        scene, bands, dtype="uint8", nodata=NODATA, resampling="AVERAGE", scale=STEP
    )


def stored(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Store shares as bytes, rounded to the nearest step (error at most 0.002); 255 if not valid.

    Args:
        values: float32 (N, W) or (N, W, C), 0 to 1.
        valid: bool (N, W).
    """
    steps = np.rint(np.clip(values, 0, 1) * np.float32(_STEPS)).astype(np.uint8)
    steps[~valid] = NODATA
    return steps


class ProbabilityWriter(Writer):
    """Writes the probabilities of all classes."""

    def __init__(self, rows: RasterRows) -> None:
        self._rows = rows

    def add(self, band: Band) -> None:
        self._rows.write(band.row, stored(band.probabilities, band.valid))


@contextmanager
def _open(target: Target) -> Iterator[Writer]:
    layout = probability_layout(target.scene, target.classes)
    with cog_rows(target.path(_FILE), layout, target.tags) as rows:
        target.rows[PRODUCT.name] = rows
        yield ProbabilityWriter(rows)


_FILE = ProductFile(PROBABILITY_ENDING, "probability", "Probability of each class", COG)
PRODUCT = Product(
    name="probability",
    about="probability of each class, one band per class",
    files=(_FILE,),
    open=_open,
    needs_probabilities=True,
)

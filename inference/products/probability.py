"""Probabilities of classes, and how undecided they are, as rasters of bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.predict.windows import Probabilities
from inference.products.cog import RasterLayout
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene

STEP = 0.004
"""What one step of a stored number is worth: 250 is 1."""
NODATA = 255
_STEPS = 250


def probability_layout(scene: Scene, classes: ClassScheme) -> RasterLayout:
    """A band a class, in the order of the codes."""
    return _layout(scene, [f"probability of {name}" for name in classes.names])


def entropy_layout(scene: Scene) -> RasterLayout:
    """One band."""
    return _layout(scene, ["normalised entropy"])


def _layout(scene: Scene, bands: list[str]) -> RasterLayout:
    return RasterLayout.of_scene(
        scene, bands, dtype="uint8", nodata=NODATA, resampling="AVERAGE", scale=STEP
    )


def stored(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Shares as bytes: the nearest step, so at most half a step (0.002) off; 255 where not valid.

    Args:
        values: float32 (N, W) or (N, W, C), 0 to 1.
        valid: bool (N, W).
    """
    steps = np.rint(np.clip(values, 0, 1) * np.float32(_STEPS)).astype(np.uint8)
    steps[~valid] = NODATA
    return steps


def entropy(probabilities: Probabilities) -> NDArray[np.float32]:
    """Shannon entropy of each pixel's probabilities over its greatest possible value, ln C.

    0: one class has all the probability; 1: all classes have the same. (Shannon 1948, A
    Mathematical Theory of Communication, section 6.)

    Args:
        probabilities: float32 (N, W, C), adding up to 1.

    Returns:
        float32 (N, W).
    """
    total = np.zeros(probabilities.shape[:2], np.float32)
    for of_class in np.moveaxis(probabilities, -1, 0):
        # p ln p goes to 0 with p.
        total -= of_class * np.log(np.maximum(of_class, np.finfo(np.float32).tiny))
    return total / np.float32(np.log(probabilities.shape[2]))

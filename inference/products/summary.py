"""The summary of a scene: area and share of each class, and numbers from its products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.ground.areas import PixelAreas, class_areas, label_areas, pixel_areas
from inference.predict.otsu import thresholded
from inference.products.registry import product_columns
from polynya.recipe.classes import ClassScheme
from polynya.scenes.scene import Scene


def summarise(codes: NDArray[np.uint8], scene: Scene, classes: ClassScheme) -> dict[str, str]:
    """Compute one row of numbers for a map.

    Args:
        codes: uint8 (H, W), labels.
        scene: Scene, for the size of pixels on the ground.
        classes: Scheme of the codes.

    Returns:
        Text by column: height, width, valid_share (0 to 1), and for each class `<name>_share` of
        the valid pixels and `<name>_km2`, which is empty if the ground is unknown. For masks that
        overlap, the shares may add up to more than 1.
    """
    counts = classes.count(codes)
    valid = np.count_nonzero(codes != classes.nodata)
    row = {
        "height": str(scene.height),
        "width": str(scene.width),
        "valid_share": f"{valid / codes.size:.6f}",
    }
    areas = pixel_areas(scene)
    found = [math.nan] * len(counts) if areas is None else _areas(codes, classes, areas)
    for name, count, area in zip(classes.names, counts, found, strict=True):
        row[f"{name}_share"] = f"{count / valid:.6f}" if valid else ""
        row[f"{name}_km2"] = f"{area / 1e6:.6f}" if math.isfinite(area) else ""
    return row


def threshold_columns(thresholds: Sequence[float], classes: ClassScheme) -> dict[str, str]:
    """Text of the thresholds that Otsu's method found, by column `<name>_threshold`.

    Args:
        thresholds: Of each of `inference.predict.otsu.thresholded`; NaN without valid pixels.
        classes: Scheme of the masks, or of the two classes.
    """
    names = [classes.names[code] for code in thresholded(classes)] if thresholds else []
    return {
        f"{name}_threshold": f"{threshold:.6f}" if math.isfinite(threshold) else ""
        for name, threshold in zip(names, thresholds, strict=True)
    }


def _areas(
    codes: NDArray[np.uint8], classes: ClassScheme, areas: PixelAreas
) -> NDArray[np.float64]:
    """Compute the area of each class or mask, float64 (C,), square metres."""
    if not classes.has_masks:
        return class_areas(codes, classes.codes, areas)
    of_labels = label_areas(codes, areas)
    labels = np.arange(classes.n_labels, dtype=np.uint8)
    return np.array([of_labels[labels[classes.where(labels, c)]].sum() for c in classes.codes])


def has_data(row: Mapping[str, str], classes: ClassScheme) -> bool:
    """Whether a row of `summarise` is of a scene with valid pixels."""
    return any(row.get(f"{name}_share") for name in classes.names)


def summary_columns(classes: ClassScheme, has_thresholds: bool = False) -> list[str]:
    """List the keys of a row in order: from `summarise`, of thresholds, then from products."""
    of_classes = [f"{name}_{what}" for name in classes.names for what in ("share", "km2")]
    zeros = [0.0] * len(thresholded(classes)) if has_thresholds else []
    thresholds = threshold_columns(zeros, classes)
    return ["height", "width", "valid_share", *of_classes, *thresholds, *product_columns()]

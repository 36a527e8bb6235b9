"""Scores of a segmentation, all from one confusion matrix.

Confusion matrices of tiles, batches, ranks and scenes are added; scores are never averaged, except
in `image_dice`. Classes that exclude each other have one matrix (C, C); masks that may overlap have
one matrix (2, 2) each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme
from training.metrics.base import Metric, defined_mean
from training.metrics.registry import confusion_metrics

Scores = dict[str, Any]
"""Values of metrics by name: a float, or float64 (C,)."""


def confusion_matrix(
    truth: NDArray[Any], predicted: NDArray[Any], n_classes: int, ignore: int
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        truth: Integer, any shape; class codes 0..C-1 or `ignore`.
        predicted: Integer, the same shape.
        n_classes: C.
        ignore: Code that is not a class; a pixel is not counted if it has this code on either side.

    Returns:
        int64 (C, C): rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, or a code is neither a class nor `ignore`.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            "`truth` and `predicted` must have the same shape. "
            f"Received: truth.shape={truth.shape}, predicted.shape={predicted.shape}"
        )
    counted = (truth != ignore) & (predicted != ignore)
    t = truth[counted].astype(np.int64)
    p = predicted[counted].astype(np.int64)
    for name, codes in (("truth", t), ("predicted", p)):
        if codes.size and (codes.min() < 0 or codes.max() >= n_classes):
            raise ValueError(
                f"`{name}` must hold codes 0..{n_classes - 1} or {ignore}. "
                f"Received: {name} from {codes.min()} to {codes.max()}"
            )
    counts = np.bincount(t * n_classes + p, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def confusion_of(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: ClassScheme
) -> NDArray[np.int64]:
    """Count pixels by true and predicted label of a scheme.

    Args:
        truth: uint8, any shape: labels of the scheme or its nodata.
        predicted: uint8, the same shape.
        classes: The scheme.

    Returns:
        For exclusive classes int64 (C, C), see `confusion_matrix`. For masks int64 (C, 2, 2): one
        matrix per mask; the row says whether the truth has the mask, the column whether the
        prediction has it. Pixels that are nodata on either side are not counted.

    Raises:
        ValueError: The shapes differ, or a value is neither a label nor nodata.
    """
    n = classes.n_labels
    by_label = confusion_matrix(truth, predicted, n, classes.nodata)
    if not classes.has_masks:
        return by_label
    has = np.arange(n) >> np.arange(classes.n_classes)[:, None] & 1
    side = np.stack([1 - has, has], axis=1)
    counts: NDArray[np.int64] = side @ by_label @ side.swapaxes(1, 2)
    return counts


def empty_confusion(classes: ClassScheme) -> NDArray[np.int64]:
    """Result of `confusion_of` for no pixels: zeros."""
    n = classes.n_classes
    return np.zeros((n, 2, 2) if classes.has_masks else (n, n), np.int64)


def scores(confusion: NDArray[Any]) -> Scores:
    """Compute all metrics of a confusion matrix; see their modules for the formulas.

    A score that is undefined (0 / 0, for example the recall of a class that doesn't occur) is NaN.
    A mean is taken over the classes with a defined score; it is NaN if there is none.

    Args:
        confusion: Integer (C, C), rows are the truth, columns the prediction; or (C, 2, 2) for
            masks (`confusion_of`). The scores of a mask are those of the pixels under the mask.

    Returns:
        By name: `accuracy`, `frequency_weighted_iou` and `matthews` are floats; `precision`,
        `recall`, `f1` and `iou` float64 (C,), with their means over classes as `mean_precision` and
        so on.
    """
    confusion = np.asarray(confusion, np.float64)
    return values_of(dict.fromkeys(confusion_metrics(), confusion))


def values_of(sums: Mapping[Metric, NDArray[np.float64]]) -> Scores:
    """Compute values by name from sums, with `mean_` and the name for means over classes."""
    found: Scores = {}
    for metric, total in sums.items():
        value = metric.value(total)
        found[metric.name] = value
        if metric.per_class:
            found[metric.overall] = defined_mean(value)
    return found


def image_dice(confusions: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Compute Dice of each class in each image: 2 TP / (2 TP + FP + FN).

    Dice is 1 where the class is neither in the truth nor in the prediction, so a map is rewarded
    for leaving out what is not there (Kaggle, "Understanding Clouds from Satellite Images",
    evaluation page). Its mean over images and classes is the score mean_dice.

    Args:
        confusions: One result of `confusion_of` per image.

    Returns:
        float64 (N, C).
    """
    return np.stack([np.nan_to_num(scores(confusion)["f1"], nan=1.0) for confusion in confusions])

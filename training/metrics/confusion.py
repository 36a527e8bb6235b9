"""Scores of a segmentation, all from one confusion matrix.

Confusion matrices of tiles, batches, ranks and scenes are added; scores are never averaged, except
in `image_dice`. Classes that exclude each other have one matrix (C, C); masks that may overlap have
one matrix (2, 2) each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from polynya.recipe.classes import ClassScheme


class Scores(TypedDict):
    """Result of `scores`; arrays are float64 (C,), one value per class."""

    accuracy: float
    """Share of correct pixels; for masks, share of correct pairs of a pixel and a mask."""
    mean_iou: float
    mean_f1: float
    frequency_weighted_iou: float
    """Mean of the classes' IoU, each weighted by its share of the truth."""
    matthews: float
    """Matthews correlation coefficient, -1..1; for masks, the mean of the masks' own."""
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    iou: NDArray[np.float64]


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
    """Compute accuracy, and precision, recall, F1 and IoU of each class.

    With TP the diagonal, FP the rest of a column and FN the rest of a row:
    precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN),
    IoU = TP / (TP + FP + FN), accuracy = sum of TP / sum of all.

    The frequency-weighted IoU is sum_c n_c IoU_c / sum_c n_c with n_c the true pixels of a class
    (J. Long et al., 2015). The Matthews coefficient is that of several classes: with s all pixels,
    r the right ones, t_c the true and p_c the predicted pixels of a class,
    (r s - sum t_c p_c) / sqrt((s^2 - sum p_c^2) (s^2 - sum t_c^2)) (J. Gorodkin, 2004).

    A score that is undefined (0 / 0, for example the recall of a class that doesn't occur) is NaN.
    A mean is taken over the classes with a defined score; it is NaN if there is none.

    Args:
        confusion: Integer (C, C), rows are the truth, columns the prediction; or (C, 2, 2) for
            masks (`confusion_of`). The scores of a mask are those of the pixels under the mask.
    """
    confusion = np.asarray(confusion, np.float64)
    if confusion.ndim == 3:
        right = confusion.trace(axis1=1, axis2=2).sum()
        true_positive = confusion[:, 1, 1]
        false_positive, false_negative = confusion[:, 0, 1], confusion[:, 1, 0]
    else:
        right = confusion.trace()
        true_positive = np.diag(confusion)
        false_positive = confusion.sum(axis=0) - true_positive
        false_negative = confusion.sum(axis=1) - true_positive
    iou = _ratio(true_positive, true_positive + false_positive + false_negative)
    f1 = _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative)
    return Scores(
        accuracy=float(_ratio(right, confusion.sum())),
        mean_iou=_defined_mean(iou),
        mean_f1=_defined_mean(f1),
        frequency_weighted_iou=_weighted_mean(iou, true_positive + false_negative),
        matthews=_defined_mean(np.array([_matthews(c) for c in confusion]))
        if confusion.ndim == 3
        else _matthews(confusion),
        precision=_ratio(true_positive, true_positive + false_positive),
        recall=_ratio(true_positive, true_positive + false_negative),
        f1=f1,
        iou=iou,
    )


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


def _matthews(confusion: NDArray[np.float64]) -> float:
    """Correlation of truth and prediction; NaN where one of them is the same everywhere."""
    true, predicted, pixels = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    above = confusion.trace() * pixels - true @ predicted
    below = (pixels**2 - predicted @ predicted) * (pixels**2 - true @ true)
    return float(_ratio(above, np.sqrt(below)))


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(_ratio((np.nan_to_num(values) * weights).sum(), weights.sum()))


def _ratio(numerator: Any, denominator: Any) -> NDArray[np.float64]:
    denominator = np.asarray(denominator, np.float64)
    undefined = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _defined_mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")

"""Scores from one confusion matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.metrics.confusion import confusion_matrix, scores


def test_rows_are_truth_and_columns_prediction() -> None:
    truth = np.array([[0, 0, 1], [2, 2, 2]], np.uint8)
    predicted = np.array([[0, 1, 1], [2, 0, 2]], np.uint8)
    assert confusion_matrix(truth, predicted, 3, ignore=255).tolist() == [
        [1, 1, 0],
        [0, 1, 0],
        [1, 0, 2],
    ]


def test_ignored_pixels_count_nowhere_on_either_side() -> None:
    truth = np.array([0, 255, 1, 1], np.uint8)
    predicted = np.array([0, 0, 255, 1], np.uint8)
    assert confusion_matrix(truth, predicted, 2, ignore=255).tolist() == [[1, 0], [0, 1]]
    assert confusion_matrix(truth[1:2], predicted[1:2], 2, ignore=255).sum() == 0


def test_matrices_of_parts_add_up_to_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, (2, 6, 32, 32)).astype(np.uint8)
    parts = [confusion_matrix(t, p, 4, ignore=3) for t, p in zip(truth, predicted, strict=True)]
    whole = confusion_matrix(truth, predicted, 4, ignore=3)
    assert np.array_equal(np.sum(parts, axis=0), whole)


def test_codes_that_are_no_class_and_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`predicted` must hold codes 0..2 or 255"):
        confusion_matrix(np.zeros(2, np.uint8), np.array([0, 3], np.uint8), 3, ignore=255)
    with pytest.raises(ValueError, match="same shape"):
        confusion_matrix(np.zeros(2, np.uint8), np.zeros(3, np.uint8), 3, ignore=255)


def test_scores_follow_their_formulas() -> None:
    found = scores(np.array([[6, 2, 0], [1, 7, 2], [0, 1, 1]]))
    assert found["accuracy"] == pytest.approx(14 / 20)
    assert found["precision"].tolist() == pytest.approx([6 / 7, 7 / 10, 1 / 3])
    assert found["recall"].tolist() == pytest.approx([6 / 8, 7 / 10, 1 / 2])
    assert found["f1"].tolist() == pytest.approx([12 / 15, 14 / 20, 2 / 5])
    assert found["iou"].tolist() == pytest.approx([6 / 9, 7 / 13, 1 / 4])
    assert found["mean_iou"] == pytest.approx((6 / 9 + 7 / 13 + 1 / 4) / 3)
    assert found["mean_f1"] == pytest.approx((12 / 15 + 14 / 20 + 2 / 5) / 3)


def test_weighted_overlap_and_correlation_are_those_of_their_definitions() -> None:
    from sklearn.metrics import jaccard_score, matthews_corrcoef

    rng = np.random.default_rng(3)
    truth = rng.choice(4, 500, p=(0.5, 0.3, 0.15, 0.05))
    predicted = np.where(rng.random(500) < 0.7, truth, rng.integers(0, 4, 500))
    found = scores(confusion_matrix(truth, predicted, 4, ignore=255))
    assert found["matthews"] == pytest.approx(matthews_corrcoef(truth, predicted))
    weighted = jaccard_score(truth, predicted, average="weighted")
    assert found["frequency_weighted_iou"] == pytest.approx(weighted)

    # Two masks; the second is nowhere, so its correlation is undefined.
    masks = np.array([[[5, 1], [2, 4]], [[12, 0], [0, 0]]])
    truth_of = [0] * 6 + [1] * 6
    predicted_of = [0] * 5 + [1] + [0] * 2 + [1] * 4
    found = scores(masks)
    assert found["matthews"] == pytest.approx(matthews_corrcoef(truth_of, predicted_of))
    assert found["frequency_weighted_iou"] == pytest.approx(4 / 7)
    always = scores(np.array([[3, 0], [2, 0]]))
    assert math.isnan(always["matthews"])
    assert always["frequency_weighted_iou"] == pytest.approx(3 / 5 * 3 / 5)


def test_undefined_scores_are_nan_and_left_out_of_means() -> None:
    found = scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert math.isnan(found["recall"][2])
    assert math.isnan(found["iou"][2])
    assert found["mean_iou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    nothing = scores(np.zeros((3, 3), int))
    assert math.isnan(nothing["accuracy"])
    assert math.isnan(nothing["mean_iou"])

"""Weights and scores of folds, on numbers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np

from inference.studies.folds import FoldResult, fold_table, fold_weights
from polynya.recipe.classes import SEA_ICE, ClassScheme, LabelClass


def test_weights_go_from_a_fifth_to_one_by_the_distance_of_scores() -> None:
    assert fold_weights([0.5, 0.75, 1.0]) == [0.2, 0.6000000000000001, 1.0]
    assert fold_weights([0.75, 0.25, 0.5, 0.25]) == [1.0, 0.2, 0.6000000000000001, 0.2]
    assert fold_weights([0.7, 0.7, 0.7]) == [1.0, 1.0, 1.0]
    nan = math.nan
    assert fold_weights([nan, 0.5, 1.0]) == [0.2, 0.2, 1.0]
    assert fold_weights([nan, 0.5, 0.5]) == [0.2, 1.0, 1.0]
    assert fold_weights([nan, nan]) == [1.0, 1.0]


def test_the_table_has_each_fold_their_spread_and_one_confusion_of_all() -> None:
    first = np.diag([8, 0, 0]) + np.array([[0, 2, 0], [0, 0, 0], [0, 0, 0]])
    second = np.diag([10, 20, 0])
    results = [FoldResult(0, 3, first), FoldResult(1, 4, second)]
    table = fold_table(results, [0.2, 1.0], SEA_ICE)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["0", "1", "mean", "standard deviation", "together"]
    # Thin ice has a score in both folds, as it is said to be where water is.
    assert [rows[name]["right"] for name in rows] == ["80.00", "100.00", "90.00", "14.14", "95.00"]
    # Together: 18 of 20 pixels of water, and 20 of 22 where thin ice is or is said to be.
    assert rows["together"]["mean IoU"] == f"{100 * (18 / 20 + 20 / 22) / 2:.2f}"
    assert (rows["together"]["tiles"], rows["1"]["weight"]) == ("7", "1.0000")
    # Thick ice is nowhere: no score, rather than 0.
    assert rows["together"]["IoU Thick/snow-covered ice"] == ""


def test_masks_have_a_table_too() -> None:
    masks = tuple(
        LabelClass(code=code, name=name, title=name, color=(code, 2, 3))
        for code, name in enumerate("ab")
    )
    classes = ClassScheme(name="two", kind="masks", classes=masks)
    one = np.array([[[5, 1], [1, 3]], [[6, 0], [0, 4]]])
    table = fold_table([FoldResult(0, 1, one), FoldResult(1, 1, one)], [1.0, 1.0], classes)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["mean"]["mean IoU"] == rows["together"]["mean IoU"] == "80.00"
    assert rows["standard deviation"]["mean IoU"] == "0.00"

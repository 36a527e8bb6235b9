"""The answer of a learning curve, and its table, on made-up scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.studies.curve import CurvePoint, answer, curve_table
from polynya.recipe.classes import SEA_ICE


def _point(groups: int, *scores: float) -> CurvePoint:
    ious = np.tile([0.5, 0.25, np.nan], (len(scores), 1))
    return CurvePoint(groups, groups / 8, (4 * groups,) * len(scores), scores, ious)


@pytest.mark.parametrize(
    ("fewer", "most", "said"),
    [
        ((0.60, 0.62), (0.80, 0.82), "Not enough labels: the gain of 20.00 % mean IoU from 4 to 8"),
        (
            (0.60, 0.70),
            (0.66, 0.72),
            "told from chance: the change of +4.00 %",
        ),
        ((0.60, 0.70), (0.64, 0.62), "the change of -2.00 %"),
        ((0.80, 0.82), (0.60, 0.62), "More labels made it worse: the loss of 20.00 %"),
        ((math.nan, 0.6), (0.6, 0.7), "Nobody can tell"),
    ],
)
def test_the_answer_calls_a_gain_within_the_spread_that(
    fewer: tuple[float, ...], most: tuple[float, ...], said: str
) -> None:
    sentence = answer([_point(1, 0.1, 0.1), _point(4, *fewer), _point(8, *most)])
    assert said in sentence
    assert sentence.count(".  ") == 0
    assert sentence.endswith(".")


def test_the_spread_is_that_of_a_difference_of_two_trainings() -> None:
    # Standard deviations of 3 and 4 %: a difference has 5 %.
    low, high = (np.sqrt(0.5) * np.array([-1, 1]) * spread for spread in (0.03, 0.04))
    points = [_point(4, *(0.5 + low)), _point(8, *(0.5499 + high))]
    assert "within the spread of trainings (5.00 %)" in answer(points)
    points = [_point(4, *(0.5 + low)), _point(8, *(0.5501 + high))]
    assert "is more than the spread of trainings (5.00 %)" in answer(points)


def test_the_table_has_a_row_for_each_size() -> None:
    table = curve_table([_point(2, 0.5, 0.6), _point(8, math.nan, 0.7)], SEA_ICE)
    first, last = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (first["groups"], first["share"], first["tiles"]) == ("2", "25.00", "8")
    assert (first["mean IoU"], first["standard deviation"]) == ("55.00", "7.07")
    assert (first["least"], first["greatest"], first["IoU Open water"]) == (
        "50.00",
        "60.00",
        "50.00",
    )
    assert (last["mean IoU"], last["standard deviation"]) == ("70.00", "")
    assert last["IoU Thick/snow-covered ice"] == ""

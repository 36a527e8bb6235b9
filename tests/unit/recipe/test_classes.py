"""The class scheme."""

import numpy as np
import pytest
from pydantic import ValidationError

from polynya.recipe.classes import SEA_ICE, ClassScheme, LabelClass


def test_sea_ice_has_the_papers_codes_and_colours():
    assert SEA_ICE.codes == (0, 1, 2)
    assert SEA_ICE.names == ("open_water", "thin_ice", "thick_ice")
    assert SEA_ICE.colormap() == {
        0: (0, 255, 0, 255),
        1: (0, 0, 255, 255),
        2: (255, 0, 0, 255),
        255: (0, 0, 0, 0),
    }


def test_paint_gives_each_code_its_colour_and_nodata_black():
    codes = np.array([[0, 1], [2, 255]], np.uint8)
    painted = SEA_ICE.paint(codes)
    assert painted.tolist() == [[[0, 255, 0], [0, 0, 255]], [[255, 0, 0], [0, 0, 0]]]


def test_count_leaves_nodata_out():
    assert SEA_ICE.count(np.array([[0, 2, 2, 255]], np.uint8)) == [1, 0, 2]


@pytest.mark.parametrize(
    ("codes", "names", "colors", "nodata", "problem"),
    [
        ((0, 2), ("a", "b"), ((1, 1, 1), (2, 2, 2)), 255, "codes must be 0..1"),
        ((0, 1), ("a", "a"), ((1, 1, 1), (2, 2, 2)), 255, "names must differ"),
        ((0, 1), ("a", "b"), ((1, 1, 1), (1, 1, 1)), 255, "colours must differ"),
        ((0, 1), ("a", "b"), ((1, 1, 1), (2, 2, 2)), 1, "also a class"),
    ],
)
def test_ambiguous_schemes_are_refused(codes, names, colors, nodata, problem):
    classes = tuple(
        LabelClass(code=code, name=name, title=name, color=color)
        for code, name, color in zip(codes, names, colors, strict=True)
    )
    with pytest.raises(ValidationError, match=problem):
        ClassScheme(name="test", classes=classes, nodata=nodata)

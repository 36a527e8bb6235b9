"""The class scheme."""

import numpy as np
import pytest
from pydantic import ValidationError

from helpers.schemes import scheme_of
from polynya.recipe.classes import SEA_ICE, ClassScheme, LabelClass
from polynya.recipe.recipe import Recipe


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
        ((0, 1), ("a", "b"), ((1, 1, 1), (2, 2, 2)), 1, "also a label"),
    ],
)
def test_ambiguous_schemes_are_refused(codes, names, colors, nodata, problem):
    classes = tuple(
        LabelClass(code=code, name=name, title=name, color=color)
        for code, name, color in zip(codes, names, colors, strict=True)
    )
    with pytest.raises(ValidationError, match=problem):
        ClassScheme(name="test", classes=classes, nodata=nodata)


def test_labels_of_masks_have_a_bit_for_each():
    scheme = scheme_of(3, "masks")
    one = np.array([[True, True, False, True]])
    two = np.array([[True, False, False, True]])
    none = np.zeros((1, 4), np.bool_)
    valid = np.array([[True, True, True, False]])
    labels = scheme.labels_of([one, none, two], valid)
    assert labels.tolist() == [[5, 1, 0, 255]]
    assert scheme.count(labels) == [2, 0, 1]
    assert scheme.where(labels, 0).tolist() == [[True, True, False, False]]
    assert scheme.where(labels, 2).tolist() == [[True, False, False, False]]
    # The mean of (200, 0, 0) and (0, 0, 50); one mask alone; none; nodata.
    assert scheme.paint(labels)[0].tolist() == [[100, 0, 25], [200, 0, 0], [64, 64, 64], [0, 0, 0]]


def test_one_mask_is_enough_and_eight_are_too_many():
    assert scheme_of(1, "masks").n_labels == 2
    assert scheme_of(7, "masks").n_labels == 128
    with pytest.raises(ValidationError, match="at most 7 masks"):
        scheme_of(8, "masks")
    with pytest.raises(ValidationError, match="also a label"):
        scheme_of(3, "masks", nodata=7)
    with pytest.raises(ValidationError, match="set the key 'kind' to masks"):
        ClassScheme(name="one", classes=scheme_of(1, "masks").classes)


def test_the_digest_of_older_recipes_stays():
    assert Recipe().digest("classes") == "2216fea7e250d5e6"


def test_planes_hold_each_mask_and_nodata():
    scheme = scheme_of(3, "masks")
    labels = np.array([[0, 1, 6], [7, 255, 2]], np.uint8)
    assert scheme.planes(labels).tolist() == [
        [[0, 1, 0], [1, 255, 0]],
        [[0, 0, 1], [1, 255, 1]],
        [[0, 0, 1], [1, 255, 0]],
    ]


def test_every_label_has_a_colour():
    assert SEA_ICE.label_colors() == SEA_ICE.colormap()
    assert scheme_of(1, "masks").label_colors() == {
        0: (64, 64, 64, 255),
        1: (200, 0, 0, 255),
        255: (0, 0, 0, 0),
    }
    colors = scheme_of(2, "masks").label_colors()
    assert colors[3] == (100, 50, 0, 255)
    assert list(colors) == [0, 1, 2, 3, 255]

"""Run-length codes: to masks and back, and which of them are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polynya.errors import LabelError
from polynya.run_length import csv_text, decode, encode

masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def test_the_example_of_the_clouds_is_two_runs_in_columns_189_and_190():
    mask = decode("264918 937 266318 937", 1400, 2100, "train.csv, line 2,")
    expected = np.zeros((1400, 2100), bool)
    expected[317 : 317 + 937, 189:191] = True
    assert (mask == expected).all()
    assert encode(mask) == "264918 937 266318 937"


@given(masks, st.sampled_from(["columns", "rows"]))
def test_masks_come_back(mask, order):
    assert (decode(encode(mask, order), *mask.shape, "x", order) == mask).all()


def test_codes_count_from_one_down_the_columns_or_along_the_rows():
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)
    assert encode(mask) == "2 3"
    assert encode(mask, "rows") == "2 1 4 2"
    for empty in ("", " ", "-1"):
        assert not decode(empty, 2, 3, "x").any()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 3 2 2", "the run 2 2 overlaps the run at 1"),
        ("1 1 1 1", "the run 1 1 overlaps the run at 1"),
        ("5 1 2 1", "the run 2 1 comes after the run at 5, so they are unsorted"),
        ("5 3", "the run 5 3 leaves the image of 2 x 3 pixels"),
        ("0 2", "the run 0 2 leaves the image"),
        ("-3 9", "the run -3 9 leaves the image"),
        ("2 0", "the run 2 0 has no pixel"),
        ("2", "the last start has no length"),
        ("2 x", "it has a part that is no whole number"),
        ("1 1.5", "it has a part that is no whole number"),
    ],
)
def test_wrong_codes_are_refused_with_row_and_reason(code, reason):
    with pytest.raises(LabelError) as error:
        decode(code, 2, 3, "train.csv, line 7,")
    assert str(error.value).startswith("train.csv, line 7, has a wrong run-length code: ")
    assert reason in str(error.value)
    assert str(error.value).endswith("; fix the row, or leave it out.")


def test_a_table_is_written_as_kaggle_has_it():
    text = csv_text([("a.jpg", "Fish", "1 3"), ("a.jpg", "Flower", "")])
    assert text == "Image_Label,EncodedPixels\na.jpg_Fish,1 3\na.jpg_Flower,\n"

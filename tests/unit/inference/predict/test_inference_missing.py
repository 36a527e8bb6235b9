"""Pixels without data are seen in the colours beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.predict.missing import fill_missing
from inference.predict.windows import Axis, Windows, blend_bands


def test_each_gap_gets_the_colours_of_the_nearest_pixel():
    image = np.zeros((1, 7, 3), np.uint8)
    image[0, 0], image[0, 5] = (10, 20, 30), (200, 210, 220)
    valid = np.array([[True, False, False, False, False, True, False]])
    filled = fill_missing(image, valid)
    assert filled[0, :, 0].tolist() == [10, 10, 10, 200, 200, 200, 200]
    assert filled[0, 4].tolist() == [200, 210, 220]
    assert image[0, 1].tolist() == [0, 0, 0], "the scene itself stays"


@pytest.mark.parametrize("everywhere", [True, False])
def test_an_image_without_gaps_or_without_data_is_handed_on(everywhere):
    image = np.full((4, 5, 3), 7, np.uint8)
    assert fill_missing(image, np.full((4, 5), everywhere)) is image


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_what_has_data_stays_and_what_fills_is_near(seed, height, width):
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) < rng.random() + 0.01
    row, column = np.indices(valid.shape).astype(np.uint8)
    image = np.dstack([row, column, np.full_like(row, 99)])
    image[~valid] = 0
    filled = fill_missing(image, valid)
    assert (filled[valid] == image[valid]).all()
    if not valid.any():
        return
    seen = np.argwhere(valid)
    for place in np.argwhere(~valid):
        taken = filled[tuple(place)]
        assert taken[2] == 99
        nearest = np.sqrt(((seen - place) ** 2).sum(axis=1)).min()
        assert np.sqrt(((taken[:2] - place) ** 2).sum()) <= 1.1 * nearest


def test_the_model_sees_no_gap_and_the_map_keeps_it():
    image = np.full((8, 8, 3), 50, np.uint8)
    valid = np.ones((8, 8), np.bool_)
    valid[2:5, 3:6] = False
    image[~valid] = 0
    seen = []

    def forward(windows):
        seen.append(windows.copy())
        return np.ones((*windows.shape[:3], 2), np.float32) / 2

    axis = Axis(8, 8, 0.0)
    (band,) = blend_bands(
        lambda start, stop: (image[start:stop], valid[start:stop]), forward,
        Windows(axis, axis, 1), n_classes=2,
    )  # fmt: skip
    assert (np.concatenate(seen) == 50).all()
    assert (band.valid == valid).all()

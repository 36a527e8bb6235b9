"""Windows cover every pixel, blend to what a slow sum gives, and skip what has no data."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inference.predict.windows import Axis, Windows, blend_bands, fitted

SIZES = st.integers(1, 700)
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9])
BLENDS = st.sampled_from(["hann", "trimmed"])


def brightness_model(images: np.ndarray) -> np.ndarray:
    """Three classes by brightness, pixel by pixel: (B, S, S, 3) to (B, S, S, 3)."""
    value = images.mean(axis=3) / 255.0
    weights = np.stack([1.0 - value, 0.5 + 0 * value, value], axis=-1)
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def position_model(images: np.ndarray) -> np.ndarray:
    """Differs within a window, so that a wrong place or weight shows."""
    batch, size = images.shape[:2]
    ramp = np.linspace(0.1, 0.8, size)
    first = np.broadcast_to(ramp[:, None] * ramp[::-1], (batch, size, size))
    second = images[..., 0] / 255.0 * (1 - first)
    return np.stack([first, second, 1 - first - second], axis=-1).astype(np.float32)


def random_scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a nodata wedge, a nodata block and some nodata pixels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    valid = rows + columns * rng.uniform(0, 2) > rng.uniform(0, 1.2) * height
    top, left = rng.integers(0, height), rng.integers(0, width)
    valid[top : top + 90, left : left + 90] = False
    valid &= rng.random((height, width)) > 0.02
    image[~valid] = 0
    return image, valid


def square(shape, size, overlap, batch_size=1, blend="hann"):
    """Square windows over a scene of (H, W) pixels."""
    return Windows(*(Axis(length, size, overlap, blend) for length in shape), batch_size)


def blend(image, valid, forward, windows, part=None):
    """All bands of a scene: probabilities (H, W, C), codes (H, W), and the bands."""
    bands = list(
        blend_bands(
            lambda start, stop: (image[start:stop], valid[start:stop]),
            forward,
            windows,
            n_classes=3,
            part=part,
        )
    )
    probabilities = np.concatenate([band.probabilities for band in bands])
    return probabilities, np.concatenate([band.codes(255) for band in bands]), bands


def slow_blend(image, forward, windows):
    """Every window on its own into a whole-scene sum, in float64."""
    height, width = image.shape[:2]
    rows, columns = windows.rows, windows.columns
    size = rows.size
    padding = [(0, max(0, size - height)), (0, max(0, size - width)), (0, 0)]
    padded = np.pad(image, padding, mode="symmetric")
    sums = np.zeros((*padded.shape[:2], 3))
    totals = np.zeros((*padded.shape[:2], 1))
    for top in rows.starts:
        for left in columns.starts:
            weights = np.outer(rows.weights(top), columns.weights(left)).astype(float)[..., None]
            place = (slice(top, top + size), slice(left, left + size))
            sums[place] += forward(padded[place][None])[0] * weights
            totals[place] += weights
    return (sums / totals)[:height, :width]


@settings(deadline=None)
@given(SIZES, st.integers(1, 128), OVERLAPS, BLENDS)
@example(1, 1, 0.0, "hann")
@example(300, 1, 0.9, "trimmed")
def test_starts_cover_every_pixel_and_reach_the_last(length, size, overlap, blend):
    axis = Axis(length, size, overlap, blend)
    starts = axis.starts
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] == max(length - size, 0)
    steps = np.diff(starts)
    assert (steps <= size).all()
    assert (axis.weight_sums() > 0).all()


def test_starts_by_hand():
    assert Axis(10, 4, 0.5).starts == [0, 2, 4, 6]
    assert Axis(11, 4, 0.5).starts == [0, 2, 4, 6, 7]
    assert Axis(8, 4, 0.0).starts == [0, 4]
    assert Axis(3, 4, 0.0).starts == [0]
    assert Axis(6, 4, 0.9).starts == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 256])
def test_weights_are_positive_symmetric_and_highest_in_the_middle(size):
    weights = Axis(size * 3, size, 0.5).weights(0)
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    np.testing.assert_allclose(weights, weights[::-1], rtol=1e-5)
    assert weights.argmax() in (size // 2, (size - 1) // 2)


@pytest.mark.parametrize(("size", "overlap"), [(64, 0.5), (64, 0.25), (128, 0.125)])
def test_weights_of_windows_that_overlap_add_up_to_one(size, overlap):
    taper = round(size * overlap)
    sums = Axis(size + 6 * (size - taper), size, overlap).weight_sums()
    np.testing.assert_allclose(sums[taper:-taper], 1, rtol=1e-5)


def test_trimmed_windows_leave_out_half_of_the_overlap_but_not_at_the_scenes_borders():
    axis = Axis(20, 8, 0.5, "trimmed")
    assert axis.starts == [0, 4, 8, 12]
    np.testing.assert_array_equal(axis.weights(0), [1, 1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(axis.weights(4), [0, 0, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(axis.weights(12), [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(axis.weight_sums(), np.ones(20))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    SIZES, SIZES, st.sampled_from([33, 64, 128]), OVERLAPS, BLENDS, st.integers(1, 7),
    st.integers(0, 99),
)  # fmt: skip
@example(1, 1, 64, 0.5, "hann", 8, 0)
@example(1, 700, 64, 0.5, "trimmed", 8, 0)
@example(700, 1, 33, 0.0, "hann", 1, 1)
@example(64, 64, 64, 0.9, "trimmed", 3, 2)
def test_every_valid_pixel_gets_one_class_and_none_is_invented(
    height, width, size, overlap, blending, batch_size, seed
):
    image, valid = random_scene(height, width, seed)
    windows = square((height, width), size, min(overlap, 0.75), batch_size, blending)
    probabilities, codes, bands = blend(image, valid, brightness_model, windows)
    assert codes.shape == (height, width)
    assert [band.row for band in bands] == windows.rows.starts
    assert ((codes == 255) == ~valid).all()
    np.testing.assert_allclose(probabilities[valid].sum(axis=1), 1, rtol=1e-4)
    # The model works pixel by pixel, so blending must change nothing but rounding.
    alone = brightness_model(image[None])[0]
    np.testing.assert_allclose(probabilities[valid], alone[valid], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([0.0, 0.3, 0.5, 0.7]), BLENDS)
def test_bands_are_what_a_sum_over_the_whole_scene_gives(height, width, overlap, blending):
    image, valid = random_scene(height, width, seed=height * width)
    windows = square((height, width), 32, overlap, 3, blending)
    probabilities, _, _ = blend(image, valid, position_model, windows)
    expected = slow_blend(image, position_model, windows)
    np.testing.assert_allclose(probabilities[valid], expected[valid], atol=1e-5)


def test_a_constant_model_gives_a_constant_map():
    def constant(images):
        return np.broadcast_to(np.float32([0.2, 0.7, 0.1]), (*images.shape[:3], 3))

    image, valid = random_scene(201, 133, seed=5)
    probabilities, codes, _ = blend(image, valid, constant, square(valid.shape, 48, 0.5, 4))
    np.testing.assert_allclose(probabilities[valid], [[0.2, 0.7, 0.1]] * valid.sum(), atol=1e-6)
    assert set(np.unique(codes)) == {1, 255}


def test_windows_without_a_valid_pixel_are_not_run():
    seen = []

    def counting(images):
        seen.append(len(images))
        return brightness_model(images)

    image, valid = np.full((64, 128, 3), 9, np.uint8), np.zeros((64, 128), bool)
    valid[40, 100] = True
    _, codes, _ = blend(image, valid, counting, square((64, 128), 32, 0.0, 2))
    assert seen == [1]
    assert codes[40, 100] == 0
    assert (codes == 255).sum() == codes.size - 1

    seen.clear()
    _, codes, _ = blend(image, np.zeros((64, 128), bool), counting, square((64, 128), 32, 0.5, 2))
    assert seen == []
    assert (codes == 255).all()


def test_batches_are_no_larger_than_asked():
    seen = []

    def counting(images):
        seen.append(images.shape)
        return brightness_model(images)

    image = np.full((32, 320, 3), 9, np.uint8)
    blend(image, np.ones((32, 320), bool), counting, square((32, 320), 32, 0.5, 8))
    assert [shape[0] for shape in seen] == [8, 8, 3]
    assert {shape[1:] for shape in seen} == {(32, 32, 3)}


def test_rows_are_asked_for_once_and_in_order():
    asked = []
    image, valid = random_scene(203, 40, seed=1)

    def read_rows(start, stop):
        asked.append((start, stop))
        return image[start:stop], valid[start:stop]

    list(blend_bands(read_rows, brightness_model, square((203, 40), 32, 0.75, 4), n_classes=3))
    assert asked[0] == (0, 32)
    assert asked[-1][1] == 203
    assert all(stop == start for (_, stop), (start, _) in pairwise(asked))


@pytest.mark.slow
def test_memory_depends_on_the_width_and_not_on_the_height():
    width = 640

    def peak(height):
        rows = np.full((32, width, 3), 9, np.uint8), np.ones((32, width), bool)
        tracemalloc.start()
        for _ in blend_bands(
            lambda start, stop: (rows[0][: stop - start], rows[1][: stop - start]),
            brightness_model,
            square((height, width), 32, 0.5, 4),
            n_classes=3,
        ):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    # What grows with the height is far less than a byte per pixel: the list of windows, and what
    # is kept of each thread where coverage is measured.
    low, high = 640, 6400
    assert peak(high) - peak(low) < 0.5 * (high - low) * width


@settings(max_examples=25, deadline=None)
@given(SIZES, st.sampled_from([0.0, 0.3, 0.5, 0.8]), BLENDS, st.data())
def test_a_part_of_the_bands_has_the_bits_of_the_whole(height, overlap, blending, data):
    image, valid = random_scene(height, 70, seed=height)
    windows = square((height, 70), 32, overlap, 2, blending)
    whole = blend(image, valid, position_model, windows)[2]
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    part = blend(image, valid, position_model, windows, range(start, stop))[2]
    assert [(band.row, len(band.valid)) for band in part] == [
        (band.row, len(band.valid)) for band in whole[start:stop]
    ]
    for one, other in zip(part, whole[start:stop], strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.valid, other.valid)


def test_an_error_of_the_source_comes_through():
    def broken(start, stop):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(blend_bands(broken, brightness_model, square((90, 40), 32, 0.5), n_classes=3))


@given(
    length=st.integers(1, 3000),
    multiple=st.sampled_from([1, 16, 32, 64]),
    cells=st.integers(1, 20),
    overlap=st.floats(0.0, 0.9),
)
def test_fitted_windows_are_no_larger_and_cover_everything(length, multiple, cells, overlap):
    axis = Axis(length, cells * multiple, overlap)
    found = fitted(axis, multiple)
    assert found.size <= axis.size
    assert found.size % multiple == 0
    assert found.starts[-1] + found.size >= length
    common = round(axis.size * overlap)
    steps = np.diff(found.starts)
    assert (steps <= max(1, found.size - common)).all()


def test_windows_of_a_satellite_scene_waste_little():
    axis = fitted(Axis(10980, 896, 0.0625), 32)
    assert (axis.size, len(axis.starts), axis.starts[1]) == (800, 15, 736)

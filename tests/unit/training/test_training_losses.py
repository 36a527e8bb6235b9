"""The loss as a sum and a count."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from training.losses.crossentropy import SMALLEST_PROBABILITY, masked_crossentropy


def _case(seed: int, batch: int, nodata_share: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (batch, 8, 8)).astype(np.uint8)
    labels[rng.random(labels.shape) < nodata_share] = 255
    raw = rng.random((batch, 8, 8, 3)).astype(np.float32)
    return labels, raw / raw.sum(axis=-1, keepdims=True)


def _numbers(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    total, count = masked_crossentropy(labels, ops.convert_to_tensor(probabilities), nodata=255)
    return float(total), float(count)


def test_sum_is_the_negative_log_probability_of_the_label() -> None:
    labels, probabilities = _case(0, batch=2, nodata_share=0.3)
    valid = labels != 255
    expected = -np.log(np.take_along_axis(probabilities[valid], labels[valid][:, None], axis=1))
    total, count = _numbers(labels, probabilities)
    assert total == pytest.approx(float(expected.sum()), rel=1e-5)
    assert count == valid.sum()


def test_parts_with_different_shares_of_nodata_add_up() -> None:
    parts = [_case(seed, 1, share) for seed, share in enumerate((0.0, 0.9, 1.0, 0.4))]
    sums = np.array([_numbers(*part) for part in parts]).sum(axis=0)
    whole = _numbers(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    assert sums == pytest.approx(whole, rel=1e-6)


def test_only_nodata_gives_zero_and_zero() -> None:
    labels, probabilities = _case(0, batch=1, nodata_share=1.0)
    assert _numbers(labels, probabilities) == (0.0, 0.0)


def test_a_certain_error_is_finite() -> None:
    probabilities = np.array([[[[1.0, 0.0, 0.0]]]], np.float32)
    total, count = _numbers(np.array([[[1]]], np.uint8), probabilities)
    assert total == pytest.approx(-np.log(SMALLEST_PROBABILITY))
    assert count == 1


def test_nan_is_not_hidden() -> None:
    labels, probabilities = _case(0, batch=1, nodata_share=0.0)
    probabilities[0, 3, 3] = np.nan
    total, _ = _numbers(labels, probabilities)
    assert np.isnan(total)

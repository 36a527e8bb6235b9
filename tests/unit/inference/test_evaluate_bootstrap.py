"""Intervals by bootstrap over scenes, and what differences of two methods show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from inference.evaluate.bootstrap import Draws, by_unit, interval, verdict
from inference.studies.gains import NOISE, UNKNOWN


def mean(sums):
    """Second sum over the first, as one score."""
    return np.array([sums[1] / sums[0]])


def test_two_units_have_a_distribution_that_is_known():
    # Scores 0 and 1: a sample has the mean 0, 1/2 or 1 with chances 1/4, 1/2 and 1/4.
    draws = Draws.make(2, 4000, seed=1)
    values = draws.values(np.array([[10.0, 0.0], [10.0, 10.0]]), mean)[:, 0]
    assert values.shape == (4000,)
    for score, chance in ((0, 0.25), (0.5, 0.5), (1, 0.25)):
        assert (values == score).mean() == pytest.approx(chance, abs=0.03)
    assert interval(values) == (0, 1)
    assert len(draws.counts) == 3  # Only distinct samples are computed.


def test_the_interval_is_that_of_scipy():
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.7, 1, 20)
    sums = np.column_stack([np.full(20, 100.0), 100 * shares])
    own = interval(Draws.make(20, 5000, seed=0).values(sums, mean)[:, 0])
    other = bootstrap((shares,), np.mean, n_resamples=5000, method="percentile", rng=rng)
    np.testing.assert_allclose(own, other.confidence_interval, atol=3e-3)
    again = interval(Draws.make(20, 5000, seed=0).values(sums, mean)[:, 0])
    assert again == own != interval(Draws.make(20, 5000, seed=1).values(sums, mean)[:, 0])


def test_scenes_count_and_not_pixels():
    # A thousand times the pixels of the same scenes tell nothing more.
    sums = np.array([[10.0, 9], [10, 8], [10, 10], [10, 5]])
    draws = Draws.make(4, 500, seed=0)
    few, many = (interval(draws.values(factor * sums, mean)[:, 0]) for factor in (1, 1000))
    np.testing.assert_allclose(few, many)


def test_pairing_removes_what_is_hard_for_both():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.5, 1, 15)
    first, second = (np.column_stack([np.ones(15), hard + gain]) for gain in (0.01, 0.0))
    draws = Draws.make(15, 800, seed=0)
    a, b = draws.values(first, mean)[:, 0], draws.values(second, mean)[:, 0]
    apart = interval(a)[0] - interval(b)[1]
    assert apart < 0  # Intervals by themselves overlap,
    np.testing.assert_allclose(interval(a - b), (0.01, 0.01))  # and every scene shows the gain.


def test_verdicts():
    assert verdict((0.01, 0.02), 5) == "better"
    assert verdict((-0.02, -0.01), 5) == "worse"
    assert verdict((0.01, 0.02), 5, less_is_better=True) == "worse"
    assert verdict((-0.01, 0.02), 5) == NOISE
    assert verdict((0.01, 0.02), 1) == verdict((np.nan, np.nan), 5) == UNKNOWN


def test_undefined_scores_and_units():
    assert interval(np.array([np.nan, 0.5, 0.5])) == (0.5, 0.5)
    assert np.isnan(interval(np.array([np.nan, np.nan, 0.5]))).all()
    sums = by_unit(["b", "a", "b"], np.array([[1.0], [2], [4]]))
    assert sums.tolist() == [[2], [5]]

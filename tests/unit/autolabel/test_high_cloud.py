"""Haze of high cloud that the cirrus band shows."""

import numpy as np
import pytest

from autolabel import label_image
from autolabel.filters.illumination.finding import without_cloud
from autolabel.filters.illumination.high_cloud import solve_high_cloud
from autolabel.filters.illumination.levels import Levels
from data_samples.spectral import make_spectral
from helpers.scenes.hazy_floes import CLOUD, bump, cells, ground_of, surfaces

CLOUD_CIRRUS = 0.3
"""The cirrus band of opaque cloud, reflectance."""


def noise(shape):
    return np.random.default_rng(8).normal(0.001, 0.0004, shape)


def under(haze):
    """V and the cirrus band of floes under high cloud; nothing of the ground is in the band."""
    value = surfaces()[0]
    return value * (1 - haze) + CLOUD * haze, CLOUD_CIRRUS * haze + noise(haze.shape)


def test_haze_is_as_dense_as_it_is():
    haze = 0.4 * bump(300, 320)
    value, cirrus = under(haze)
    ground = ground_of(value, cirrus=cirrus)
    # W is taken to be the least V of thick ice; so water needs more haze to look as it does.
    expected = cells(haze) * (CLOUD - 14) / (Levels().bright - 14)
    solved = ground.seen.reshape(expected.shape)
    assert np.corrcoef(solved.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.abs(solved - expected).mean() < 0.02
    assert solved.mean() < 1.05 * expected.mean()  # Too little haze does less harm than too much.
    parts = without_cloud(ground).parts
    dark = (parts.pixels > 60) & (parts.mean < 150)
    nearest = np.abs(parts.mean[dark, None] - [14, 70]).min(axis=1)
    assert np.percentile(nearest, 95) < 10


@pytest.mark.parametrize("what", ["clear", "dry air", "growing ice", "another swath", "low cloud"])
def test_what_is_no_high_cloud_is_none(what):
    value = surfaces()[0]
    cirrus = noise(value.shape)
    if what == "growing ice":
        value = np.where(value == 70, 20 + 120 * bump(320, 320, 150.0), value)
    elif what == "dry air":  # Light of the ground comes through, more of brighter ice.
        value = np.where(value == 70, 20 + 120 * bump(320, 320, 150.0), value)
        cirrus = cirrus + 0.045 * value / 255
    elif what == "another swath":
        cirrus[:, 300:] += 0.02
    elif what == "low cloud":
        value = under(0.4 * bump(300, 320))[0]
    ground = ground_of(value, cirrus=cirrus)
    assert ground.seen is None
    assert without_cloud(ground) is ground


def test_a_band_without_any_data_says_nothing():
    ground = ground_of(surfaces()[0])
    nothing = np.full(ground.haze.size, np.nan)
    assert solve_high_cloud(ground.observed, nothing, Levels()) is None


@pytest.mark.parametrize("sky", ["cloud", "both"])
def test_labels_of_young_ice_under_cirrus_get_better_and_clear_ones_stay(sky):
    def right(kind, layers):
        scene = make_spectral(2006, (768, 768), kind, structure="young")
        assert scene.light.cloud_kind == "cirrus"
        codes = label_image(
            scene.observed,
            valid=scene.valid,
            layers=scene.layers if layers else None,
            stretch=scene.stretch,
        )
        return np.mean((codes == scene.truth)[scene.valid])

    assert right(sky, True) > right(sky, False) + 0.005
    assert right("clear", True) == right("clear", False)

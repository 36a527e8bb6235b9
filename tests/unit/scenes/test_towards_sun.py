"""The direction of the sun over images on the map projections of the poles and elsewhere."""

from dataclasses import replace

import pytest

from polynya.scenes.beside.sun import towards_sun
from polynya.scenes.reading import open_scene

POLAR = "EPSG:3413"
"""Polar stereographic: at 45 degrees west north is up, at 45 degrees east it is to the left."""


@pytest.fixture
def scene(tmp_path):
    from data_samples import make_scene, write_scene

    written = write_scene(make_scene(1, 0, (64, 96), "clear"), tmp_path)[0]
    return open_scene(written)


def placed(scene, crs, x, y):
    """Put the middle of the scene at a place."""
    return replace(scene, crs=crs, transform=(10.0, 0.0, x - 480.0, 0.0, -10.0, y + 320.0))


@pytest.mark.parametrize(
    ("crs", "x", "y", "azimuth", "expected"),
    [
        (POLAR, 0.0, -2e6, 0.0, (-1.0, 0.0)),
        (POLAR, 0.0, -2e6, 90.0, (0.0, 1.0)),
        (POLAR, 2e6, 0.0, 0.0, (0.0, -1.0)),
        (POLAR, 2e6, 0.0, 270.0, (1.0, 0.0)),
        (POLAR, 0.0, 2e6, 180.0, (-1.0, 0.0)),
        ("EPSG:32633", 5e5, 8e6, 225.0, (0.7071, -0.7071)),
        ("EPSG:3031", 0.0, -2e6, 0.0, (1.0, 0.0)),
    ],
)
def test_the_sun_is_where_the_projection_has_it(scene, crs, x, y, azimuth, expected):
    assert towards_sun(placed(scene, crs, x, y), azimuth) == pytest.approx(expected, abs=1e-3)


def test_a_scene_without_place_has_north_at_the_top(scene):
    flat = replace(scene, crs=None, transform=None)
    assert towards_sun(flat, 90.0) == pytest.approx((0.0, 1.0))


def test_unknown_suns_and_places_have_no_direction(scene):
    assert towards_sun(scene, None) is None
    assert towards_sun(placed(scene, "EPSG:32633", 1e12, 1e12), 10.0) is None
    local = 'LOCAL_CS["a lake",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    assert towards_sun(replace(scene, crs=local), 10.0) is None


def test_a_mirrored_image_has_a_mirrored_sun(scene):
    upward = replace(scene, crs="EPSG:32633", transform=(10.0, 0.0, 5e5, 0.0, 10.0, 8e6))
    assert towards_sun(upward, 0.0) == pytest.approx((1.0, 0.0), abs=1e-3)

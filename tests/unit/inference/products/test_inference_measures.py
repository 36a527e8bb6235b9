"""Areas and lengths on the ground, against geodesic polygons and areas between parallels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pyproj import CRS, Geod

from helpers.maps.made_maps import LOCAL, ROTATED, ROTATED_POLE, make_scene
from inference.ground.areas import class_areas, pixel_areas, sum_areas
from inference.ground.coordinates import ground_of, why_without_ground
from inference.ground.lengths import Lengths, pixel_size
from inference.products.summary import summarise
from polynya.recipe.classes import SEA_ICE
from polynya.scenes.place import ControlPoints, is_usable

ED50 = "+proj=utm +zone=31 +ellps=intl +towgs84=-87,-98,-121"
KILOMETRES = "+proj=stere +lat_0=90 +lat_ts=70 +datum=WGS84 +units=km"
GRADS = (0.0003, 0.0, 5.0, 0.0, -0.0001, 55.0)
GRIDS = {
    "polar stereographic": ("EPSG:3031", (10.0, 0, -3e5, 0, -10.0, -12e5)),
    "at the pole": ("EPSG:3413", (500.0, 0, 0, 0, -500.0, 1e5)),
    "Mercator at 73 degrees": ("EPSG:3857", (10.0, 0, -5e6, 0, -10.0, 12.1e6)),
    "large pixels on Mercator": ("EPSG:3857", (5e4, 0, 0, 0, -5e4, 1.5e7)),
    "UTM": ("EPSG:32633", (10.0, 0, 8e5, 0, -10.0, 8e6)),
    "rotated": ("EPSG:32622", tuple(ROTATED)[:6]),
    "sheared": ("EPSG:3413", (10.0, 4.0, 5e5, 0.0, -10.0, -1e6)),
    "rows go north": ("EPSG:3031", (10.0, 0, -3e5, 0, 10.0, -12e5)),
    "US survey feet": ("EPSG:2263", (10.0, 0, 9e5, 0, -10.0, 2e5)),
    "kilometres": (KILOMETRES, (1.0, 0, 900.0, 0, -1.0, 900.0)),
    "degrees": ("EPSG:4326", (0.01, 0, -60.0, 0, -0.01, 80.0)),
    "degrees, rotated": ("EPSG:4326", (0.01, 0.003, 10.0, 0.002, -0.01, 70.0)),
    "grads": ("EPSG:4807", GRADS),
    "below a projection grads": ("EPSG:27572", (10.0, 0, 6e5, 0, -10.0, 22e5)),
    "another ellipsoid": ("EPSG:23031", (10.0, 0, 6e5, 0, -10.0, 6e6)),
    "with a shift of datum": (ED50, (10.0, 0, 6e5, 0, -10.0, 6e6)),
    "with heights": ("EPSG:7415", (10.0, 0, 155000.0, 0, -10.0, 463000.0)),
    "geographic with heights": ("EPSG:4979", (0.01, 0, -60.0, 0, -0.01, 80.0)),
    "northing before easting": ("EPSG:2180", (10.0, 0, 5e5, 0, -10.0, 5e5)),
    "westing and southing": ("EPSG:2053", (10.0, 0, 5e3, 0, -10.0, 3e6)),
    "rotated pole": (ROTATED_POLE, (0.1, 0, -10.0, 0, -0.1, 10.0)),
    "equal-area": ("EPSG:6933", (1000.0, 0, 0, 0, -1000.0, 6e6)),
    "the Moon": ("IAU_2015:30100", (0.01, 0, 10.0, 0, -0.01, 20.0)),
    "tiny pixels": ("EPSG:2056", (0.001, 0, 2.6e6, 0, -0.001, 1.2e6)),
}


def border(scene, points=500):
    """Longitude and latitude of many points round a scene."""
    share = np.arange(points) / points
    zero, one = np.zeros(points), np.ones(points)
    columns = np.concatenate([zero, share, one, 1 - share]) * scene.width
    rows = np.concatenate([share, one, 1 - share, zero]) * scene.height
    return ground_of(scene).lon_lat(columns, rows).T


@pytest.mark.parametrize(("crs", "transform"), GRIDS.values(), ids=GRIDS.keys())
def test_areas_and_lengths_are_geodesic_in_every_coordinate_system(crs, transform):
    scene = make_scene(90, 120, crs, tuple(map(float, transform)))
    ground = ground_of(scene)
    geod = Geod(a=ground.axis, es=ground.eccentricity2)
    area, length = geod.polygon_area_perimeter(*border(scene))
    codes = np.zeros((90, 120), np.uint8)
    assert class_areas(codes, (0,), pixel_areas(scene)) == pytest.approx([abs(area)], rel=1e-4)
    corners = np.array([[0, 0], [0, 90], [120, 90], [120, 0], [0, 0]], np.int32)
    assert Lengths.of(scene).steps(corners).sum() == pytest.approx(length, rel=1e-4)


def test_the_ellipsoid_is_that_of_the_coordinate_system():
    for crs in ("EPSG:4807", "EPSG:27572", "EPSG:23031", "EPSG:7415", "IAU_2015:30100"):
        assert ground_of(make_scene(crs=crs)).axis == CRS(crs).get_geod().a


def test_the_whole_globe_in_degrees_and_on_mercator():
    globe = make_scene(180, 360, "EPSG:4326", (1.0, 0.0, -180.0, 0.0, -1.0, 90.0))
    assert pixel_areas(globe).by_row.sum() * 360 == pytest.approx(5.10065621724e14, rel=1e-9)
    # Poles in the middle of pixels: nothing lies beyond them.
    larger = make_scene(181, 360, "EPSG:4326", (1.0, 0.0, -180.0, 0.0, -1.0, 90.5))
    assert pixel_areas(larger).by_row.sum() * 360 == pytest.approx(5.10065621724e14, rel=1e-9)
    edge = 20037508.342789244
    mercator = make_scene(256, 256, "EPSG:3857", (edge / 128, 0.0, -edge, 0.0, -edge / 128, edge))
    belt = make_scene(1, 1, "EPSG:4326", (360.0, 0.0, -180.0, 0.0, -170.1022575961, 85.05112877980))
    of_belt = pixel_areas(belt).by_row.sum()
    codes = np.zeros((256, 256), np.uint8)
    assert class_areas(codes, (0,), pixel_areas(mercator))[0] == pytest.approx(of_belt, rel=1e-3)


def test_where_a_map_is_equal_area_pixels_are_as_large_as_on_it():
    for crs in ("EPSG:6931", "EPSG:6932", "EPSG:6933", "EPSG:3035", "EPSG:5070"):
        assert (pixel_areas(make_scene(3, 4, crs)).by_row == 100).all()
    feet = make_scene(1, 1, "EPSG:2263", (10.0, 0.0, 1e6, 0.0, -10.0, 2e5))
    assert pixel_areas(feet).rows(0, 1)[0, 0] == pytest.approx(100 * (1200 / 3937) ** 2, rel=1e-4)


def test_classes_and_regions_add_up_on_maps_whose_pixels_differ():
    scene = make_scene(700, 500, "EPSG:3857", (1000.0, 0.0, 0.0, 0.0, -1000.0, 1.3e7))
    codes = np.random.default_rng(0).integers(0, 3, (700, 500)).astype(np.uint8)
    areas = pixel_areas(scene)
    each = np.concatenate([areas.rows(row, row + 35) for row in range(0, 700, 35)])
    np.testing.assert_allclose(each, areas.rows(0, 700), rtol=1e-9)
    expected = [each[codes == code].sum() for code in range(3)]
    np.testing.assert_allclose(class_areas(codes, (0, 1, 2), areas), expected, rtol=1e-9)
    np.testing.assert_allclose(sum_areas(codes.astype(np.int32), areas, 3), expected, rtol=1e-9)


def test_pixels_off_the_earth_have_no_area_and_those_at_the_limb_their_own():
    crs = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +datum=WGS84 +units=m"
    scene = make_scene(200, 200, crs, (55e3, 0.0, -5.5e6, 0.0, -55e3, 5.5e6))
    each = pixel_areas(scene).rows(0, 200)
    assert np.isnan(each[0, 0])
    assert each[100, 100] == pytest.approx(55e3**2, rel=1e-2)
    seen = np.isfinite(each)
    # Of a pixel near the limb, from the corners that are the same as a polygon's.
    row, column = 100, int(np.flatnonzero(seen[100]).max())
    corners = np.array([[column, row], [column, row + 1], [column + 1, row + 1], [column + 1, row]])
    lon, lat = ground_of(scene).lon_lat(*corners.T.astype(float)).T
    assert each[row, column] == pytest.approx(
        abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]), rel=0.01
    )
    codes = np.where(seen, 0, 1).astype(np.uint8)
    row = summarise(codes, scene, SEA_ICE)
    assert float(row["open_water_km2"]) > 1.5e8
    assert row["thin_ice_km2"] == ""


def test_control_points_give_areas_and_lengths():
    lon, lat = np.array([170.0, 170.03]), np.array([-70.0, -70.006])
    points = tuple(
        (float(c), float(r), lon[c // 96], lat[r // 64], 0.0) for r in (0, 64) for c in (0, 96)
    )
    scene = replace(
        make_scene(64, 96, crs=None), transform=None, control=ControlPoints(points, "EPSG:4326")
    )
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon[[0, 0, 1, 1]], lat[[0, 1, 1, 0]])
    codes = np.zeros((64, 96), np.uint8)
    assert class_areas(codes, (0,), pixel_areas(scene)) == pytest.approx([abs(area)], rel=1e-4)
    assert pixel_size(scene) == pytest.approx((10.46, 11.93), rel=1e-3)
    assert why_without_ground(scene) == ""


WITHOUT = {
    "transform": (
        replace(make_scene(), transform=None, place_problem="no geotransform"),
        "no geotransform",
    ),
    "CRS": (
        replace(make_scene(crs=None), place_problem="no coordinate system"),
        "no coordinate system",
    ),
    "ground": (make_scene(crs=LOCAL), "isn't one of the ground"),
    "geocentric": (make_scene(crs="EPSG:4978"), "isn't one of the ground"),
    "heights": (make_scene(crs="EPSG:5773"), "isn't one of the ground"),
    "unknown": (make_scene(crs="EPSG:999999"), "PROJ doesn't know"),
}


@pytest.mark.parametrize(("scene", "reason"), WITHOUT.values(), ids=WITHOUT.keys())
def test_without_a_place_there_are_no_numbers_and_it_is_told(scene, reason):
    assert pixel_areas(scene) is None
    assert Lengths.of(scene) is None
    assert pixel_size(scene) is None
    assert reason in why_without_ground(scene)
    row = summarise(np.zeros((40, 60), np.uint8), scene, SEA_ICE)
    assert [row[f"{name}_km2"] for name in SEA_ICE.names] == ["", "", ""]


def test_a_photograph_lacks_nothing_and_the_moon_only_a_place_on_the_earth():
    assert why_without_ground(replace(make_scene(crs=None), transform=None)) == ""
    moon = make_scene(crs="IAU_2015:30100", transform=(0.01, 0.0, 10.0, 0.0, -0.01, 20.0))
    assert "can't be brought to longitude and latitude on the Earth" in why_without_ground(moon)
    assert pixel_size(moon) is not None


@pytest.mark.parametrize(
    "transform",
    [
        (10.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (10.0, 10.0, 0.0, 10.0, 10.0, 0.0),
        (math.nan, 0.0, 0.0, 0.0, -10.0, 0.0),
        (10.0, 0.0, math.inf, 0.0, -10.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_transforms_that_give_pixels_no_area_are_not_used(transform):
    assert not is_usable(transform)
    assert is_usable((1e-9, 0.0, 0.0, 0.0, -1e-9, 0.0))
    assert is_usable((0.0, 10.0, 0.0, 10.0, 0.0, 0.0))

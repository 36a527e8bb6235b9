"""Outlines of scenes on the globe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from helpers.maps.made_maps import LOCAL, ROTATED_POLE, box_scene, make_scene
from inference.ground.areas import pixel_areas
from inference.ground.footprint import scene_footprint
from polynya.scenes.place import ControlPoints

MERCATOR = 20037508.342789244
SINUSOIDAL = "+proj=sinu +R=6371007.181"
FULL_DISK = "+proj=geos +h=35785831 +lon_0={} +sweep=y +datum=WGS84 +units=m"


def ellipsoid_area(geometry):
    """Square metres between the parallels through longitudes of a GeoJSON geometry."""
    edges = np.linspace(*np.array(geometry.bounds)[[1, 3]], 2001)
    a, e2 = 6378137.0, 0.0066943799901413165
    e, sine = np.sqrt(e2), np.sin(np.radians(edges))
    zones = a**2 * (1 - e2) / 2 * (sine / (1 - e2 * sine**2) + np.arctanh(e * sine) / e)
    middles = (edges[1:] + edges[:-1]) / 2
    lines = [shapely.LineString([(-181, lat), (181, lat)]) for lat in middles]
    widths = shapely.length(shapely.intersection(geometry, lines))
    return float((np.radians(widths) * np.diff(zones)).sum())


def area_of(scene):
    areas = pixel_areas(scene)
    rows = (areas.rows(row, row + 1) for row in range(scene.height))
    return sum(np.nansum(np.broadcast_to(row, (1, scene.width))) for row in rows)


def check(footprint):
    """What RFC 7946 asks for; the geometry."""
    geometry = shape(footprint.geometry)
    assert geometry.is_valid
    west, south, east, north = geometry.bounds
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
    for part in getattr(geometry, "geoms", [geometry]):
        assert part.exterior.is_ccw
    assert footprint.bbox[1::2] == [south, north]
    return geometry


WHERE = {
    "ordinary": (box_scene(10, 50, 20, 40, "EPSG:4326"), [10, 40, 20, 50]),
    "rows go north": (box_scene(10, 40, 20, 50, "EPSG:4326"), [10, 40, 20, 50]),
    "across the antimeridian": (box_scene(175, 50, 190, 40, "EPSG:4326"), [175, 40, -170, 50]),
    "0 to 360, east of 180": (box_scene(180, 50, 190, 40, "EPSG:4326"), [-180, 40, -170, 50]),
    "up to 180": (box_scene(170, 50, 180, 40, "EPSG:4326"), [170, 40, 180, 50]),
    "from -180": (box_scene(-180, 50, -170, 40, "EPSG:4326"), [-180, 40, -170, 50]),
    "west of -180": (box_scene(-190, 50, -180, 40, "EPSG:4326"), [170, 40, 180, 50]),
    "half the globe": (box_scene(180, 90, 360, -90, "EPSG:4326"), [-180, -90, 0, 90]),
    "the globe from 0": (box_scene(0, 90, 360, -90, "EPSG:4326"), [-180, -90, 180, 90]),
    "the globe from -180": (box_scene(-180, 90, 180, -90, "EPSG:4326"), [-180, -90, 180, 90]),
    "poles in the middle of pixels": (
        box_scene(-180.5, 90.5, 179.5, -90.5, "EPSG:4326"),
        [-180, -90, 180, 90],
    ),
    "a cap in degrees": (box_scene(-180, 90, 180, 60, "EPSG:4326"), [-180, 60, 180, 90]),
    "Mercator of the globe": (
        box_scene(-MERCATOR, MERCATOR, MERCATOR, -MERCATOR, "EPSG:3857"),
        [-180, -85.0511288, 180, 85.0511288],
    ),
    "Mercator of the Pacific": (
        box_scene(-1e6, 1e6, 5e6, -1e6, "EPSG:3832"),
        [141.0168472, -9.0058826, -165.0842358, 9.0058826],
    ),
    "equal-area globe": (
        box_scene(-17367530.44, 7314540.83, 17367530.44, -7314540.83, "EPSG:6933"),
        [-180, -85.0445664, 180, 85.0445664],
    ),
    "pole at the upper left corner": (
        box_scene(0, 0, 5e5, -5e5, "EPSG:3413"),
        [-45, 83.4793, 45, 90],
    ),
    "pole at the lower left corner": (
        box_scene(0, 5e5, 5e5, 0, "EPSG:3995"),
        [90, 83.4987, 180, 90],
    ),
    "pole at the upper right corner": (
        box_scene(-5e5, 0, 0, -5e5, "EPSG:3412"),
        [-180, -90, -90, -83.4794],
    ),
    "pole at a corner of UPS": (box_scene(2e6, 2e6, 25e5, 15e5, "EPSG:5041"), [0, 83.6373, 90, 90]),
    "pole on the left side": (box_scene(0, 5e5, 1e6, -5e5, "EPSG:3976"), [0, -90, 180, -79.7058]),
    "pole on the lower side": (box_scene(-1e6, 1e6, 1e6, 0, "EPSG:6931"), [90, 77.3105, -90, 90]),
    "turned, pole at a corner": (
        make_scene(100, 100, "EPSG:3413", (7e3, 7e3, 0.0, 7e3, -7e3, 0.0)),
        [0, 77.1284, 90, 90],
    ),
    "pole inside": (box_scene(-1e6, 1e6, 1e6, -1e6), [-180, -90, 180, -77.0374]),
    "pole inside, off the middle": (
        box_scene(-1e5, 1e6, 2e6, -3e6),
        [-180, -90, 180, -57.6673],
    ),
    "pole inside an equal-area map": (
        box_scene(-1e6, 1e6, 1e6, -1e6, "EPSG:3571"),
        [-180, 77.3105, 180, 90],
    ),
    "turned round the pole": (
        make_scene(100, 100, "EPSG:3413", (7e3, 7e3, -7e5, 7e3, -7e3, 0.0)),
        [-180, 83.5447, 180, 90],
    ),
    "a hemisphere": (box_scene(-6e6, 6e6, 6e6, -6e6, "EPSG:3413"), [-180, 21.0603, 180, 90]),
    "an edge on the antimeridian": (
        box_scene(0, -1e6, 1e5, -11e5),
        [174.2894, -80.8153, 180, -79.8597],
    ),
    "a rotated pole": (
        box_scene(-20, 20, 20, -20, ROTATED_POLE),
        [-29.5648, 27.8662, 65.5648, 70.75],
    ),
    # Longitudes from Paris, 2.3372 degrees; the datum lies some 50 m beside.
    "grads": (box_scene(10, 50, 20, 40, "EPSG:4807"), [11.337, 36.0, 20.337, 45.0]),
}


@pytest.mark.parametrize(("scene", "bbox"), WHERE.values(), ids=WHERE.keys())
def test_footprints_lie_where_the_scene_does_and_are_as_large(scene, bbox):
    footprint = scene_footprint(scene)
    geometry = check(footprint)
    np.testing.assert_allclose(footprint.bbox, bbox, atol=4e-4)
    if scene.crs != "EPSG:4807":
        assert ellipsoid_area(geometry) == pytest.approx(area_of(scene), rel=1e-3)


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom", "bbox"),
    [
        (-5.5e6, 5.5e6, 5.5e6, -5.5e6, [-81.29, -81.32, 81.29, 81.32]),
        (0, 5.5e6, 5.5e6, 0, [0, 0, 81.29, 81.32]),
    ],
)
def test_the_limb_is_the_outline_where_corners_are_off_the_earth(left, top, right, bottom, bbox):
    scene = box_scene(left, top, right, bottom, FULL_DISK.format(0))
    footprint = scene_footprint(scene)
    check(footprint)
    np.testing.assert_allclose(footprint.bbox, bbox, atol=0.02)
    west, _, east, _ = scene_footprint(replace(scene, crs=FULL_DISK.format(140.7))).bbox
    assert (west - 140.7, (east - 140.7) % 360) == pytest.approx((bbox[0], bbox[2]), abs=0.02)


def test_a_tile_whose_corner_is_off_a_sinusoidal_map():
    footprint = scene_footprint(box_scene(0, 10007554.677, 1111950.52, 8895604.157, SINUSOIDAL))
    geometry = check(footprint)
    np.testing.assert_allclose(footprint.bbox, [0, 80, 180, 90], atol=1e-4)
    # Its right side is the parallel circle's part of 10 degrees of the equator's length.
    assert geometry.contains(shapely.Point(57, 80.5))
    assert not geometry.contains(shapely.Point(70, 80.5))


@pytest.mark.parametrize("size", [0.1, 10.0, 1000.0])
def test_small_scenes_have_outlines_of_their_size(size):
    for crs, x, y in (("EPSG:32633", 5e5, 8e6), ("EPSG:3413", -size / 2, size / 2)):
        scene = make_scene(1, 1, crs, (size, 0.0, x, 0.0, -size, y))
        geometry = check(scene_footprint(scene))
        back = shapely.get_coordinates(geometry)
        height = np.ptp(back[:, 1]) * 111_600
        assert height == pytest.approx(
            size if y > 1e6 else size / np.sqrt(2), rel=0.01 if y > 1e6 else 0.05
        )


def test_control_points_place_a_scene_also_at_the_antimeridian_and_round_a_pole():
    corners = ((0, 0), (100, 0), (0, 100), (100, 100), (50, 50))
    lon, lat = (178.0, -178.0, 178.0, -178.0, 180.0), (71.0, 71.0, 70.0, 70.0, 70.5)
    points = tuple((c, r, x, y, 0.0) for (c, r), x, y in zip(corners, lon, lat, strict=True))
    scene = replace(
        make_scene(100, 100, crs=None), transform=None, control=ControlPoints(points, "EPSG:4326")
    )
    footprint = scene_footprint(scene)
    check(footprint)
    np.testing.assert_allclose(footprint.bbox, [178, 70, -178, 71], atol=0.03)
    at_pole = tuple(
        (c, r, x, 85.0, 0.0) for (c, r), x in zip(corners[:4], (0, 90, -90, 180), strict=True)
    )
    scene = replace(scene, control=ControlPoints(at_pole, "EPSG:4326"))
    assert scene_footprint(scene).bbox == pytest.approx([-180, 85, 180, 90], abs=0.01)


WITHOUT = {
    "no CRS": make_scene(crs=None),
    "no transform": replace(make_scene(), transform=None),
    "control points without CRS": replace(
        make_scene(crs=None),
        transform=None,
        control=ControlPoints(((0.0, 0.0, 1.0, 1.0, 0.0),) * 4),
    ),
    "control points on a line": replace(
        make_scene(crs=None),
        transform=None,
        control=ControlPoints(
            tuple((i, i, 10.0 + i, 20.0 + i, 0.0) for i in range(4)), "EPSG:4326"
        ),
    ),
    "engineering": make_scene(crs=LOCAL),
    "the Moon": box_scene(10, 20, 11, 19, "IAU_2015:30100"),
    "geocentric": make_scene(crs="EPSG:4978"),
    "heights": make_scene(crs="EPSG:5773"),
    "off the Earth": box_scene(7e6, 9e6, 8e6, 8e6, FULL_DISK.format(0)),
    "no CRS at all": make_scene(crs="EPSG:999999"),
    # Its halves can't be told from the rest of the Earth.
    "a globe of several parts": box_scene(-2e7, 8683259, 2e7, -8683259, "+proj=igh +datum=WGS84"),
}


@pytest.mark.parametrize("scene", WITHOUT.values(), ids=WITHOUT.keys())
def test_no_footprint_where_there_is_none(scene):
    assert scene_footprint(scene) is None

"""What a file says of its place, and what becomes of it in the products."""

from __future__ import annotations

import json
import math
import warnings

import geopandas
import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

from helpers.maps.made_maps import make, random_codes, write_all
from helpers.maps.stac_validator import validate
from inference.products.class_map import write_map
from polynya.recipe.classes import SEA_ICE
from polynya.scenes.reading import open_scene

POINTS = [
    GroundControlPoint(row=row, col=column, x=170 + column / 3200, y=-70 - row / 10_000, z=3.0)
    for row in (0, 64)
    for column in (0, 96)
]
POLYNOMIALS = RPC(
    height_off=1.0, height_scale=500.0, lat_off=-70.0, lat_scale=0.1, long_off=170.0,
    long_scale=0.1, line_off=32.0, line_scale=32.0, samp_off=48.0, samp_scale=48.0,
    line_num_coeff=[0.0, 0.0, 1.0, *[0.0] * 17], line_den_coeff=[1.0, *[0.0] * 19],
    samp_num_coeff=[0.0, 1.0, *[0.0] * 18], samp_den_coeff=[1.0, *[0.0] * 19],
    err_bias=0.5, err_rand=0.25,
)  # fmt: skip


def opened(path, gcps=None, rpcs=None, **georeference):
    """A scene of 64 x 96 pixels whose file says so much of its place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", height=64, width=96, count=3, dtype="uint8", **georeference
        ) as target:
            target.write(np.moveaxis(ice_image(64, 96), -1, 0))
            if gcps:
                target.gcps = gcps
            if rpcs:
                target.rpcs = rpcs
        return open_scene(str(path))


def place_in(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as source:
            return source.crs, source.transform, source.gcps, source.rpcs


def test_a_coordinate_system_without_geotransform_is_no_place(tmp_path):
    scene = opened(tmp_path / "scene.tif", crs="EPSG:3031")
    assert (scene.crs, scene.transform, scene.has_place) == ("EPSG:3031", None, False)
    assert "no geotransform; set one (gdal_edit.py -a_ullr" in scene.place_problem
    paths, _, _ = make(tmp_path / "out", random_codes(64, 96), scene, "polygons", "concentration")
    frame = geopandas.read_parquet(paths.named("_polygons.parquet"))
    assert frame.crs is None
    assert frame["area_m2"].isna().all()
    assert frame["perimeter_m"].isna().all()
    assert frame.total_bounds.tolist() == [0, -64, 96, 0]
    crs, transform, _, _ = place_in(paths.named("_concentration.tif"))
    assert (crs, transform) == (None, rasterio.Affine(100, 0, 0, 0, -100, 0))


@pytest.mark.parametrize(
    "transform",
    [
        rasterio.Affine(10, 0, 1, 0, 0, 2),
        rasterio.Affine(math.nan, 0, 1, 0, -10, 2),
        rasterio.Affine(10, 0, math.inf, 0, -10, 2),
        rasterio.Affine(10, 20, 0, 10, 20, 0),
    ],
)
def test_a_geotransform_whose_pixels_have_no_area_is_no_place(tmp_path, transform):
    scene = opened(tmp_path / "scene.tif", crs="EPSG:3031", transform=transform)
    assert (scene.transform, scene.has_place) == (None, False)
    assert "gives pixels no area" in scene.place_problem


def test_a_geotransform_without_coordinate_system_is_kept_and_told(tmp_path):
    scene = opened(tmp_path / "scene.tif", transform=rasterio.Affine(2, 0, 5, 0, -2, 7))
    assert (scene.transform, scene.has_place) == ((2, 0, 5, 0, -2, 7), False)
    assert "no coordinate system; set it (gdal_edit.py -a_srs" in scene.place_problem
    plain = opened(tmp_path / "photo.tif")
    assert (plain.crs, plain.transform, plain.control, plain.place_problem) == (
        None,
        None,
        None,
        "",
    )


def test_ground_control_points_go_with_map_and_products(tmp_path):
    scene = opened(tmp_path / "scene.tif", gcps=(POINTS, CRS.from_epsg(4326)))
    assert (scene.crs, scene.transform, scene.place_problem) == (None, None, "")
    codes = random_codes(64, 96)
    write_map(tmp_path / "map.tif", codes, scene, SEA_ICE, {})
    products = ("probability", "entropy", "polygons", "concentration")
    paths, _, _ = make(tmp_path / "out", codes, scene, *products, concentration={"cell": 330})
    for file, cell in (
        (tmp_path / "map.tif", (1, 1)),
        (paths.named("_probability.tif"), (1, 1)),
        (paths.named("_entropy.tif"), (1, 1)),
        # On the ground pixels are 11.2 m high and 11.9 m wide.
        (paths.named("_concentration.tif"), (30, 28)),
    ):
        crs, transform, (points, of_points), _ = place_in(file)
        assert (crs, transform.is_identity) == (None, True)
        assert of_points == CRS.from_epsg(4326)
        found = [(p.row * cell[0], p.col * cell[1], p.x, p.y, p.z) for p in points]
        expected = [(p.row, p.col, p.x, p.y, p.z) for p in POINTS]
        assert np.array(found) == pytest.approx(np.array(expected))
    frame = geopandas.read_parquet(paths.named("_polygons.parquet"))
    assert frame.crs is None
    assert (frame["area_m2"] / frame["pixels"]).to_numpy() == pytest.approx(133.1, rel=1e-3)


def test_rational_polynomials_go_with_the_map_and_areas_stay_empty(tmp_path):
    scene = opened(tmp_path / "scene.tif", rpcs=POLYNOMIALS)
    assert "gdalwarp -rpc" in scene.place_problem
    write_map(tmp_path / "map.tif", random_codes(64, 96), scene, SEA_ICE, {})
    assert place_in(tmp_path / "map.tif")[3] == POLYNOMIALS
    paths, _, _ = make(tmp_path / "out", random_codes(64, 96), scene, "concentration")
    assert place_in(paths.named("_concentration.tif"))[3] is None


def test_control_points_without_coordinate_system_are_told(tmp_path):
    scene = opened(tmp_path / "scene.tif", gcps=(POINTS, CRS()))
    assert "no coordinate system; warp it with one (gdalwarp -tps" in scene.place_problem
    write_map(tmp_path / "map.tif", random_codes(64, 96), scene, SEA_ICE, {})
    assert len(place_in(tmp_path / "map.tif")[2][0]) == 4


@pytest.mark.parametrize(
    "georeference",
    [
        {"crs": "EPSG:3031"},
        {"gcps": (POINTS, CRS.from_epsg(4326))},
        {"rpcs": POLYNOMIALS},
        {"crs": "IAU_2015:30100", "transform": rasterio.Affine(1e-3, 0, 10, 0, -1e-3, 20)},
        {
            "crs": 'LOCAL_CS["drone",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]',
            "transform": rasterio.Affine(10, 0, 0, 0, -10, 640),
        },
        {"crs": "EPSG:4978", "transform": rasterio.Affine(10, 0, 0, 0, -10, 640)},
    ],
    ids=["no geotransform", "control points", "RPC", "Moon", "engineering", "geocentric"],
)
def test_items_are_valid_and_have_a_geometry_only_where_there_is_a_place(tmp_path, georeference):
    scene = opened(tmp_path / "scene.tif", **georeference)
    paths = write_all(tmp_path / "out", scene, random_codes(64, 96), ("polygons", "concentration"))
    content = json.loads(paths.item.read_text())
    validate(content)
    placed = "gcps" in georeference
    assert (content["geometry"] is not None) == ("bbox" in content) == placed
    if scene.transform is None:
        assert content["properties"]["proj:code"] is None
        assert "proj:transform" not in content["properties"]
    known = "gcps" in georeference or georeference.get("crs") == "IAU_2015:30100"
    assert (content["properties"].get("polynya:open_water_km2") is not None) == known

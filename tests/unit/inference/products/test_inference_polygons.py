"""Regions, their outlines, and the files these go into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod
from rasterio.features import geometry_mask, shapes
from rasterio.transform import Affine
from shapely.geometry import shape

from helpers.maps.inference_commands import names
from helpers.maps.made_maps import ROTATED, make_scene, random_codes
from inference.ground.areas import pixel_areas
from inference.products.polygons import polygons as polygons_module
from inference.products.polygons.outlines import trace_rings
from inference.products.polygons.polygons import write_polygons
from inference.products.polygons.regions import cut_regions, regions_of
from inference.products.polygons.vectors import VectorFiles, layer_name
from polynya.errors import OutputError
from polynya.native import import_apart
from polynya.recipe.classes import SEA_ICE

pyogrio = import_apart("pyogrio")

AT_POLE = (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)
DEGREES = (0.01, 0.0, -60.0, 0.0, -0.01, 80.0)


def noise(height, width, seed=0, shares=(0.3, 0.4, 0.2, 0.1)):
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width), p=shares)


def write(folder, codes, scene, **options):
    """Polygons of a map, read back from both files, and what was counted."""
    folder.mkdir(exist_ok=True)
    files = VectorFiles(folder / "p.gpkg", folder / "p.parquet", scene.crs, {"source": "s.tif"})
    counts = write_polygons(files, codes, scene, SEA_ICE, **options)
    package = pyogrio.read_dataframe(files.geopackage)
    parquet = geopandas.read_parquet(files.geoparquet)
    assert package.drop(columns="geometry").equals(parquet.drop(columns="geometry"))
    assert shapely.equals(package.geometry.values, parquet.geometry.values).all()
    return parquet, counts


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31),
)
def test_rings_are_those_of_rasterio_and_valid(height, width, share, seed):
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    count, regions = cv2.connectedComponents(mask, connectivity=4)
    wanted = np.ones(count, np.bool_)
    wanted[0] = False
    rings = trace_rings(regions, wanted)
    found: dict[int, list] = {}
    for index, region in enumerate(rings.regions):
        ring = rings.corners[rings.offsets[index] : rings.offsets[index + 1]]
        assert (ring[0] == ring[-1]).all()
        assert rings.holes[index] == (int(region) in found)
        found.setdefault(int(region), []).append(ring)
    made = {region: shapely.Polygon(parts[0], parts[1:]) for region, parts in found.items()}
    expected = {int(v): shape(g) for g, v in shapes(regions, mask=regions > 0)}
    assert set(made) == set(expected)
    for region, polygon in made.items():
        assert shapely.is_valid(polygon)
        assert polygon.symmetric_difference(expected[region]).area == 0


def test_only_wanted_regions_are_outlined_and_buffers_grow():
    codes = noise(300, 300)
    regions = next(islice(regions_of(codes, SEA_ICE), 1, None))
    wanted = regions.pixels == regions.pixels.max()
    assert set(trace_rings(regions.numbers, wanted).regions) == set(np.flatnonzero(wanted))
    everything = regions.pixels > 0
    assert len(trace_rings(regions.numbers, everything).corners) > 4096
    nothing = trace_rings(regions.numbers, np.zeros(len(wanted), np.bool_))
    assert (len(nothing.corners), nothing.offsets.tolist()) == (0, [0])


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3031", None),
        ("EPSG:32622", tuple(ROTATED)[:6]),
        ("EPSG:3031", (10.0, 0.0, -300000.0, 0.0, 10.0, -1200000.0)),  # Rows go north.
        ("EPSG:4326", DEGREES),
        ("EPSG:2263", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)),
        ("EPSG:3857", (1000.0, 0.0, 0.0, 0.0, -1000.0, 1.3e7)),
    ],
)
def test_areas_add_up_to_the_map_and_nodata_is_in_no_polygon(tmp_path, crs, transform):
    codes, scene = noise(60, 70), make_scene(60, 70, crs, transform)
    frame, counts = write(tmp_path, codes, scene)
    areas = np.broadcast_to(pixel_areas(scene).rows(0, 60), codes.shape)
    assert CRS(frame.crs) == CRS(crs)
    assert frame.geometry.is_valid.all()
    assert shapely.is_ccw(frame.geometry.exterior.values).all()
    for code, name in enumerate(SEA_ICE.names):
        of_class = frame[frame["class"] == name]
        assert (of_class["code"] == code).all()
        assert of_class["pixels"].sum() == (codes == code).sum()
        expected = areas[codes == code].sum()
        assert of_class["area_m2"].sum() == pytest.approx(expected, rel=1e-12)
        inside = ~geometry_mask(
            of_class.geometry, codes.shape, Affine(*scene.transform), all_touched=False
        )
        np.testing.assert_array_equal(inside, codes == code)
    assert (counts.polygons, counts.dropped_regions, counts.dropped_pixels) == (len(frame), 0, 0)
    geod = CRS(crs).get_geod()
    on_ground = frame.geometry.segmentize(1000).to_crs(CRS(crs).geodetic_crs)
    largest = frame["pixels"].nlargest(20).index
    for polygon, row in zip(on_ground[largest], frame.loc[largest].itertuples(), strict=True):
        area, _ = geod.geometry_area_perimeter(polygon)
        assert row.area_m2 == pytest.approx(area, rel=1e-4)
        assert row.perimeter_m == pytest.approx(geod.geometry_length(polygon.boundary), rel=1e-4)


def test_one_floe_with_a_hole_has_the_numbers_of_paper_and_pencil(tmp_path):
    codes = np.zeros((10, 12), np.uint8)
    codes[2:8, 3:9] = 2
    codes[4:6, 5:6] = 255
    # An equal-area map: lengths are true at its pole only.
    frame, _ = write(tmp_path, codes, make_scene(10, 12, "EPSG:6932", AT_POLE))
    floe = frame[frame["class"] == "thick_ice"].iloc[0]
    assert (floe["pixels"], floe["area_m2"]) == (34, 3400)
    assert floe["perimeter_px"] == 24 + 6
    assert floe["perimeter_m"] == pytest.approx(300, rel=1e-6)
    assert len(floe.geometry.interiors) == 1
    assert shapely.is_ccw(floe.geometry.exterior)
    assert floe.geometry.bounds == (30, -80, 90, -20)
    water = frame[frame["class"] == "open_water"].iloc[0]
    assert (floe["cut"], water["cut"]) == (True, True)  # The floe by the missing pixels.


def test_regions_that_touch_border_or_nodata_are_cut():
    codes = np.zeros((9, 9), np.uint8)
    codes[2, 2] = codes[4, 4] = codes[8, 5] = codes[6, 7] = 1
    codes[4, 5] = 255
    regions = next(islice(regions_of(codes, SEA_ICE), 1, None))
    assert cut_regions(regions, codes, 255).tolist() == [False, False, True, False, True]


def test_pixels_that_touch_at_a_corner_are_two_regions(tmp_path):
    codes = np.array([[1, 0], [0, 1]], np.uint8)
    frame, counts = write(tmp_path, codes, make_scene(2, 2))
    assert counts.polygons == len(frame) == 4


def test_a_perimeter_in_degrees_is_geodesic(tmp_path):
    codes = np.full((3, 3), 255, np.uint8)
    codes[1, 1] = 0
    frame, _ = write(tmp_path, codes, make_scene(3, 3, "EPSG:4326", DEGREES))
    expected = Geod(ellps="WGS84").geometry_length(frame.geometry.iloc[0])
    assert frame["perimeter_m"].iloc[0] == pytest.approx(expected, rel=1e-9)


def test_small_regions_are_left_out_and_counted(tmp_path):
    codes, scene = noise(80, 80), make_scene(80, 80)
    everything, _ = write(tmp_path / "all", codes, scene)
    frame, counts = write(tmp_path / "large", codes, scene, min_pixels=5)
    small = everything[everything["pixels"] < 5]
    assert frame["pixels"].min() >= 5
    assert (counts.dropped_regions, counts.dropped_pixels) == (len(small), small["pixels"].sum())
    assert frame["pixels"].sum() + counts.dropped_pixels == (codes != 255).sum()


def test_a_region_of_speckle_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    codes, scene = noise(80, 80, shares=(0.1, 0.1, 0.8, 0)), make_scene(80, 80)
    everything, _ = write(tmp_path / "all", codes, scene)
    monkeypatch.setattr(polygons_module, "_MOST_EDGES", 300)
    frame, counts = write(tmp_path / "some", codes, scene)
    tangled = everything[everything["perimeter_px"] > 300]
    assert len(tangled) == counts.dropped_regions == 1
    assert counts.dropped_pixels == tangled["pixels"].sum()
    assert len(frame) == len(everything) - 1
    assert "thick_ice have outlines of more than 300" in capsys.readouterr().err


def test_mean_probability_is_that_of_the_own_class(tmp_path):
    codes, scene = random_codes(40, 48), make_scene(40, 48)
    stored = np.random.default_rng(1).integers(0, 251, (3, 40, 48)).astype(np.uint8)

    def probability(code):
        yield 0, stored[code, :17]
        yield 17, stored[code, 17:]

    frame, _ = write(tmp_path, codes, scene, probability=probability, step=0.004)
    for row in frame.itertuples():
        inside = ~geometry_mask([row.geometry], codes.shape, Affine(*scene.transform))
        assert row.mean_probability == pytest.approx(stored[row.code][inside].mean() * 0.004)


def test_without_crs_coordinates_are_pixels_and_metres_are_empty(tmp_path):
    scene = make_scene(20, 24, crs=None)
    scene = type(scene)(**{**vars(scene), "transform": None})
    codes = random_codes(20, 24)
    frame, _ = write(tmp_path, codes, scene)
    assert frame.crs is None
    assert frame["area_m2"].isna().all()
    assert frame["perimeter_m"].isna().all()
    assert frame["mean_probability"].isna().all()
    assert frame.total_bounds[0] >= 0
    assert frame.total_bounds[1] >= -20
    assert frame.total_bounds[3] <= 0
    assert (frame.geometry.area == frame["pixels"]).all()
    assert (frame.geometry.length == frame["perimeter_px"]).all()
    metadata = pq.read_metadata(tmp_path / "p.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["crs"] is None
    assert geo["columns"]["geometry"]["bbox"] == frame.total_bounds.tolist()
    assert metadata[b"source"] == b"s.tif"
    assert "Undefined Cartesian" in pyogrio.read_info(tmp_path / "p.gpkg")["crs"]


def test_a_map_without_a_class_gives_files_without_features(tmp_path):
    frame, counts = write(tmp_path, np.full((5, 5), 255, np.uint8), make_scene(5, 5))
    assert len(frame) == counts.polygons == 0


def test_batches_don_t_change_the_polygons_and_bytes_are_the_same(tmp_path, monkeypatch):
    codes, scene = noise(90, 90), make_scene(90, 90)
    whole, _ = write(tmp_path / "a", codes, scene)
    write(tmp_path / "b", codes, scene)
    for name in ("p.gpkg", "p.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    monkeypatch.setattr(polygons_module, "_EDGES_AT_ONCE", 100)
    parts, _ = write(tmp_path / "c", codes, scene)
    assert parts.equals(whole)


def test_compiled_loops_do_what_python_does(tmp_path):
    """The same polygons without the compiler; also, coverage sees inside the loops."""
    codes, scene = noise(70, 90), make_scene(70, 90)
    values = np.random.default_rng(3).integers(0, 251, codes.shape).astype(np.uint8)
    write(tmp_path / "compiled", codes, scene, probability=lambda code: [(0, values)])
    np.savez(tmp_path / "given.npz", codes=codes, values=values)
    root = Path(__file__).parent
    tests = root.parents[2]
    program = f"""
import sys
from pathlib import Path
import numpy as np
sys.path[:0] = [{str(root)!r}, {str(tests)!r}]
from test_inference_polygons import make_scene, write
folder = Path({str(tmp_path)!r})
given = np.load(folder / "given.npz")
codes, values = given["codes"], given["values"]
options = dict(probability=lambda code: [(0, values)])
write(folder / "python", codes, make_scene(70, 90), **options)
"""
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        timeout=300,
    )
    for name in ("p.gpkg", "p.parquet"):
        made = [(tmp_path / way / name).read_bytes() for way in ("compiled", "python")]
        assert made[0] == made[1]


@pytest.mark.parametrize(
    "stem",
    [
        "gpkg_2020",
        "GPKG2",
        "-x",
        ".x",
        "sqlite_sequence",
        "ogr_x",
        "rtree_x",
        "ø",
        "x y",
        "a" * 200,
        "",
    ],
)
def test_names_that_no_table_can_have_give_the_layer_a_general_one(stem):
    assert layer_name(stem) == "polygons"


@pytest.mark.parametrize(
    "name",
    ["gpkg_2020", "-x", ".x", "select", "2020-06-05.x", "sqlite_a", "a" * 200, "sqlite_sequence"],
)
def test_polygons_of_scenes_of_any_name_can_be_read(tmp_path, name):
    for stem in (name, f"{name}_polygons"):
        files = VectorFiles(tmp_path / f"{stem}.gpkg", tmp_path / f"{stem}.parquet", None, {})
        counts = write_polygons(files, random_codes(9, 9), make_scene(9, 9, crs=None), SEA_ICE)
        info = pyogrio.read_info(files.geopackage)
        assert info["features"] == counts.polygons
        assert info["layer_name"] in (stem, "polygons")
        assert len(geopandas.read_parquet(files.geoparquet)) == counts.polygons


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ('LOCAL_CS["drone",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]', AT_POLE),
        ("IAU_2015:30100", DEGREES),
        ("EPSG:7415", (10.0, 0.0, 155000.0, 0.0, -10.0, 463000.0)),
        ("EPSG:4807", DEGREES),
    ],
)
def test_both_files_keep_every_kind_of_coordinate_system(tmp_path, crs, transform):
    text = rasterio.crs.CRS.from_user_input(crs).to_string()
    frame, _ = write(tmp_path, random_codes(20, 24), make_scene(20, 24, text, transform))
    assert CRS(frame.crs).name == CRS(text).name
    package = pyogrio.read_info(tmp_path / "p.gpkg")
    assert CRS(package["crs"]).name.split(" ")[0] == CRS(text).name.split(" ")[0]


def test_a_file_that_lost_polygons_is_not_written(tmp_path, monkeypatch):
    read_info = pyogrio.read_info
    monkeypatch.setattr(pyogrio, "read_info", lambda *a, **k: {**read_info(*a, **k), "features": 1})
    files = VectorFiles(tmp_path / "p.gpkg", tmp_path / "p.parquet", None, {})
    with pytest.raises(OutputError, match="p.gpkg can't be written: it has 1 of 4 polygons"):
        write_polygons(files, np.array([[0, 1], [1, 0]], np.uint8), make_scene(2, 2), SEA_ICE)
    assert not names(tmp_path)


def test_a_folder_that_can_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    files = VectorFiles(tmp_path / "no" / "p.gpkg", tmp_path / "no" / "p.parquet", None, {})
    with pytest.raises(OutputError, match="can't be written"):
        write_polygons(files, random_codes(9, 9), make_scene(9, 9), SEA_ICE)
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None

    def full(*_, **__):
        raise pyogrio.errors.DataSourceError("disk full")

    monkeypatch.setattr(pyogrio, "write_arrow", full)
    files = VectorFiles(tmp_path / "p.gpkg", tmp_path / "p.parquet", None, {})
    with pytest.raises(OutputError, match="p.gpkg can't be written .disk full."):
        write_polygons(files, random_codes(9, 9), make_scene(9, 9), SEA_ICE)
    assert not names(tmp_path)


WRITE_BESIDE_TENSORFLOW = """
import sys
from pathlib import Path
{imports}
import numpy as np
sys.path[:0] = {path!r}
from test_inference_polygons import make_scene, write
write(Path({folder!r}), np.zeros((5, 5), np.uint8), make_scene(5, 5))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "said"),
    [("import tensorflow", None), ("import tensorflow, pyogrio", "can't get a spatial index")],
)
def test_tensorflow_does_not_cost_the_spatial_index(tmp_path, imports, said):
    """It exports a SQLite that can't make one."""
    root = Path(__file__).parent
    tests = root.parents[2]
    program = WRITE_BESIDE_TENSORFLOW.format(
        imports=imports, path=[str(root), str(tests)], folder=str(tmp_path)
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=300
    )
    if said is None:
        assert ended.returncode == 0, ended.stderr
        info = pyogrio.read_info(tmp_path / "p.gpkg")
        assert info["capabilities"]["fast_spatial_filter"]
    else:
        assert said in ended.stderr

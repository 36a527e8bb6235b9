"""`polynya timeseries`: areas and concentration over time, against sums by hand."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer

from helpers.maps.inference_commands import names, run
from helpers.maps.made_maps import MASKS, OTHER, random_codes
from helpers.maps.served_maps import put_map
from polynya.report.time_charts import find_gap, runs_of

EQUAL_AREA = {"crs": "EPSG:6932", "size": 1000.0, "origin": (100_000, 900_000)}
"""EASE-Grid 2.0 South: a pixel of 1000 m is 1 km2 on the ground."""


def table(folder):
    with (folder / "series.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def three_dates(tmp_path_factory):
    """Three dates of 10 x 20 km: more ice each time, and two scenes on the second date."""
    folder = tmp_path_factory.mktemp("dates")
    first, second, third = (np.zeros((10, 20), np.uint8) for _ in range(3))
    first[:, :4] = 1
    second[:, :8], second[:, 8:12], second[:, 16:] = 1, 2, 255
    third[:], third[:, 3:] = 2, 255
    put_map(folder, "first_20200101T120000", first, **EQUAL_AREA)
    put_map(folder, "second_20200104T080000", second, **EQUAL_AREA)
    late = np.full((10, 8), 2, np.uint8)
    late[:5] = 255
    put_map(folder, "second_20200104T090000", late, left=12, **EQUAL_AREA)
    put_map(folder, "third_20200120", third, **EQUAL_AREA)
    return folder


def test_areas_are_those_of_the_hand(three_dates, tmp_path):
    said = run("timeseries", three_dates, "--out", tmp_path)
    assert "3 dates of 4 maps, 1 with less than 50%" in said.output
    assert names(tmp_path) == ["series.csv", "series.json", "series.png"]
    rows = table(tmp_path)
    assert [row["date"] for row in rows] == ["2020-01-01", "2020-01-04", "2020-01-20"]
    assert [row["maps"] for row in rows] == ["1", "2", "1"]
    wanted = {
        "region_km2": (200, 200, 200),
        "valid_km2": (200, 180, 30),
        "open_water_km2": (160, 20, 0),
        "thin_ice_km2": (40, 80, 0),
        "thick_ice_km2": (0, 80, 30),
        "valid_share": (1, 0.9, 0.15),
        "ice_concentration": (0.2, 160 / 180, 1),
    }
    for column, values in wanted.items():
        found = [float(row[column]) for row in rows]
        assert found == pytest.approx(values, rel=2e-6), column
    assert [row["enough_valid"] for row in rows] == ["true", "true", "false"]
    content = json.loads((tmp_path / "series.json").read_text())
    assert content["region"] == "union of the frames of all maps"
    assert content["ice"] == ["thin_ice", "thick_ice"]
    assert content["dates"][1]["maps"] == ["second_20200104T090000", "second_20200104T080000"]
    assert set(content["maps"]) == {path.stem for path in three_dates.glob("*.json")}
    assert (tmp_path / "series.png").read_bytes().startswith(b"\x89PNG")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    run("timeseries", *sorted(three_dates.glob("*.tif"), reverse=True), "--out", tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}


def test_a_region_counts_also_where_no_map_is(three_dates, tmp_path):
    # A region of 8 x 10 km of which 2 x 10 km lie beside the maps.
    region = shapely.box(114_000, 890_000, 122_000, 900_000)
    file = tmp_path / "region.geojson"
    move = Transformer.from_crs("EPSG:6932", "EPSG:4326", always_xy=True).transform
    dense = shapely.segmentize(region, 100)
    polygon = shapely.transform(dense, lambda p: np.column_stack(move(p[:, 0], p[:, 1])))
    file.write_text(shapely.to_geojson(polygon))
    run("timeseries", three_dates, "--out", tmp_path / "out", "--region", file)
    first, second, third = table(tmp_path / "out")
    assert float(first["region_km2"]) == pytest.approx(80, rel=1e-5)
    assert float(first["open_water_km2"]) == pytest.approx(60, rel=1e-5)
    assert float(first["valid_share"]) == pytest.approx(0.75, rel=1e-5)
    assert float(second["thick_ice_km2"]) == pytest.approx(30, rel=1e-5)
    assert float(third["valid_share"]) == 0
    assert third["ice_concentration"] == ""
    content = json.loads((tmp_path / "out" / "series.json").read_text())
    assert content["dates"][2]["ice_concentration"] is None


def test_a_box_across_the_antimeridian_has_its_area_on_the_ground(tmp_path):
    # Pixels of polar stereographic maps aren't those of the ground: 2.6 % of area at 76 degrees.
    codes = np.ones((200, 200), np.uint8)
    put_map(
        tmp_path / "maps", "a_20200101", codes, crs="EPSG:3031", size=500.0,
        origin=(-50_000, -1_480_000),
    )  # fmt: skip
    run(
        "timeseries",
        tmp_path / "maps",
        "--out",
        tmp_path / "out",
        "--bbox=179.5,-76.4,-179.5,-76.2",
        "--resolution=50",
    )
    (row,) = table(tmp_path / "out")
    lon = np.concatenate([np.linspace(-0.5, 0.5, 99), np.linspace(0.5, -0.5, 99)]) + 180
    lat = np.repeat([-76.4, -76.2], 99)
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    assert float(row["region_km2"]) == pytest.approx(abs(area) / 1e6, rel=3e-3)
    assert float(row["thin_ice_km2"]) == float(row["region_km2"]) == float(row["valid_km2"])
    for box in ("1,2,3", "0,10,0,20", "0,20,5,10", "0,0,400,9", "x,y,z,w"):
        said = run(
            "timeseries", tmp_path / "maps", "--out", tmp_path / "no", f"--bbox={box}", expect=1
        )
        assert f"--bbox {box}" in said.output


def test_two_zones_and_masks(tmp_path):
    codes = random_codes(60, 60, seed=1, classes=MASKS)
    more = random_codes(60, 60, seed=2, classes=MASKS)
    # At 71 degrees south, zones 1 and 60 meet here, at the antimeridian.
    one, two = ({"crs": f"EPSG:327{zone}", "size": 100.0, "origin": (left, 2_100_000)}
                for zone, left in (("01", 393_000), ("60", 601_000)))  # fmt: skip
    put_map(tmp_path / "maps", "a_20200101", codes, classes=MASKS, **one)
    put_map(tmp_path / "maps", "b_20200101", more, classes=MASKS, **two)
    run("timeseries", tmp_path / "maps", "--out", tmp_path / "out", "--ice", "ice,thick_ice")
    (row,) = table(tmp_path / "out")
    # 3600 pixels of 0.01 km2 each; UTM's scale is 0.9998 here, its square that of areas.
    for name in MASKS.names:
        share = sum(MASKS.where(c, MASKS.names.index(name)).sum() for c in (codes, more))
        assert float(row[f"{name}_km2"]) == pytest.approx(0.01 * share, rel=0.02), name
    both = sum((MASKS.where(c, 0) | MASKS.where(c, 2)).sum() for c in (codes, more))
    known = sum((c != 255).sum() for c in (codes, more))
    assert float(row["ice_concentration"]) == pytest.approx(both / known, abs=0.01)
    said = run("timeseries", tmp_path / "maps", "--out", tmp_path / "no", "--ice", "snow", expect=1)
    assert "ice, wet, thick_ice" in said.output


def test_maps_that_cannot_be_used_are_counted_and_the_rest_is_done(three_dates, tmp_path):
    put_map(tmp_path / "maps", "undated", np.ones((10, 20), np.uint8), **EQUAL_AREA)
    put_map(tmp_path / "ponds", "p_20200101", np.ones((5, 5), np.uint8), classes=OTHER)
    run("mosaic", three_dates, "--out", tmp_path / "weeks.tif")
    said = run(
        "timeseries", three_dates, tmp_path / "maps", tmp_path / "ponds", tmp_path / "weeks.tif",
        tmp_path / "gone", "--out", tmp_path / "out", expect=1,
    ).output  # fmt: skip
    for reason in (
        "undated.tif has no date", "other classes (dry, wet)", "is of several days",
        "There is no map", "4 of 8 maps failed, the others are done",
    ):  # fmt: skip
        assert reason in said, reason
    assert len(table(tmp_path / "out")) == 3
    assert len(json.loads((tmp_path / "out" / "series.json").read_text())["failed"]) == 4
    said = run("timeseries", tmp_path / "ponds", "--out", tmp_path / "wet").output
    assert "--ice names some" in said
    assert table(tmp_path / "wet")[0]["ice_concentration"] == ""
    for words, reason in (
        (["--bbox=0,10,1,11"], "No map has data in the region"),
        (["--region", tmp_path / "no.gpkg"], "There is no file"),
        (["--region", tmp_path / "no.gpkg", "--bbox=0,-80,1,-70"], "both given"),
    ):
        assert reason in run("timeseries", three_dates, "--out", tmp_path / "x", *words,
                             expect=1).output  # fmt: skip


def test_lines_are_interrupted_by_gaps_and_by_dates_of_which_too_little_is_known():
    dates = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "2020-01-20", "2020-01-21"]
    assert find_gap(dates) == 2
    joined = np.array([True, True, False, True, True, True])
    assert runs_of(dates, joined, 2) == [[0, 1], [3], [4, 5]]
    assert runs_of(dates, np.ones(6, bool), 30) == [[0, 1, 2, 3, 4, 5]]
    assert find_gap(dates[:1]) == 0

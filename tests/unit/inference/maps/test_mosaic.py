"""`polynya mosaic`: maps of several scenes as one, against NumPy and pyproj."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rio_cogeo import cog_validate

from helpers.maps.inference_commands import names, run
from helpers.maps.made_maps import MASKS, OTHER, random_codes
from helpers.maps.served_maps import put_map
from helpers.maps.stac_validator import validate
from inference.maps.overlaps import combine

RULES = ("newest", "oldest", "most-confident", "majority", "first")


def read(path):
    with rasterio.open(path) as source:
        return source.read(), source.transform, source.crs


def expected(rule, placed, shape, confidences=None):
    """The rule in plain loops: `placed` has (date, name, top, left, codes)."""
    found = np.full(shape, 255, np.uint8)
    for row, column in np.ndindex(*shape):
        here = [
            (date, name, codes[row - top, column - left], number)
            for number, (date, name, top, left, codes) in enumerate(placed)
            if 0 <= row - top < codes.shape[0]
            and 0 <= column - left < codes.shape[1]
            and codes[row - top, column - left] != 255
        ]
        if not here:
            continue
        if rule == "first":
            winner = min(here, key=lambda one: one[1])
        elif rule == "oldest":
            winner = min(here)
        elif rule == "newest":
            winner = max(here)
        elif rule == "majority":
            counts = [sum(one[2] == other[2] for other in here) for one in here]
            winner = max(zip(counts, here, strict=True))[1]
        else:
            sure = [
                confidences[one[3]][row - placed[one[3]][2], column - placed[one[3]][3]]
                for one in here
            ]
            winner = max(zip(sure, here, strict=True), key=lambda pair: (pair[0], pair[1]))[1]
        found[row, column] = winner[2]
    return found


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory):
    """Three maps that overlap on one grid, with holes."""
    folder = tmp_path_factory.mktemp("overlapping")
    placed = []
    for number, (date, top, left) in enumerate(
        [("20191104", 0, 0), ("20191106", 20, 30), ("20191105", 35, 10)]
    ):
        codes = random_codes(60, 80, seed=number)
        name = f"{'cab'[number]}_{date}"
        put_map(folder, name, codes, ("probability", "entropy"), top=top, left=left)
        placed.append((date, name, top, left, codes))
    return folder, placed


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_that_of_numpy_whatever_the_order(rule, overlapping, tmp_path):
    folder, placed = overlapping
    sure = [read(folder / f"{one[1]}_probability.tif")[0].max(axis=0) for one in placed]
    maps = sorted(folder.glob("*_201911??.tif"))
    assert len(maps) == 3
    run("mosaic", *maps, "--out", tmp_path / "a" / "m.tif", "--rule", rule)
    pixels, transform, _ = read(tmp_path / "a" / "m.tif")
    np.testing.assert_array_equal(pixels[0], expected(rule, placed, (95, 110), sure))
    assert (transform.c, transform.f, transform.a) == (-300000, -1200000, 10)
    run("mosaic", *reversed(maps), "--out", tmp_path / "b" / "m.tif", "--rule", rule)
    for name in ("m.tif", "m_source.tif", "m.qml", "m_source.qml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    item = json.loads((tmp_path / "a" / "m.json").read_text())
    named = {one["value"]: one["name"] for one in item["properties"]["polynya:sources"]}
    source = read(tmp_path / "a" / "m_source.tif")[0][0]
    by_name = {name: (top, left, codes) for _, name, top, left, codes in placed}
    for number, name in named.items():
        top, left, codes = by_name[name]
        row, column = np.nonzero(source == number)
        assert (codes[row - top, column - left] == pixels[0][row, column]).all()
    assert ((source == 0) == (pixels[0] == 255)).all()


def test_what_a_mosaic_leaves(overlapping, tmp_path):
    folder, _ = overlapping
    out = tmp_path / "m.tif"
    said = run("mosaic", folder, "--out", out)
    assert "3 maps, 110 x 95 pixels in EPSG:3031" in said.output
    assert names(tmp_path) == ["m.json", "m.qml", "m.tif", "m_source.qml", "m_source.tif"]
    for name in ("m.tif", "m_source.tif"):
        assert cog_validate(tmp_path / name, strict=True)[0]
    item = json.loads((tmp_path / "m.json").read_text())
    assert validate(item) >= {"classification", "file", "projection", "processing"}
    assert item["properties"]["start_datetime"] == "2019-11-04T00:00:00Z"
    assert item["properties"]["end_datetime"] == "2019-11-06T23:59:59Z"
    with rasterio.open(out) as source:
        tags = source.tags()
        assert source.nodata == 255
        assert source.colormap(1)[2] == (255, 0, 0, 255)
    assert tags["mosaic_rule"] == "newest"
    assert [made.split()[0] for made in tags["mosaic_maps"].split("; ")] == [
        "a_20191106", "b_20191105", "c_20191104",
    ]  # fmt: skip
    before = out.stat().st_mtime_ns
    assert "is complete" in run("mosaic", folder, "--out", out).output
    assert out.stat().st_mtime_ns == before
    assert "with data" in run("mosaic", folder, "--out", out, "--overwrite").output
    # A mosaic is a map too, and is no scene of the folder's collection.
    run("mosaic", out, "--out", tmp_path / "again" / "m.tif")
    np.testing.assert_array_equal(read(out)[0], read(tmp_path / "again" / "m.tif")[0])


def test_two_utm_zones_become_one_polar_map(tmp_path):
    # At 71 degrees south, zones 1 and 60 meet here, at the antimeridian.
    shapes = {"z01": ("EPSG:32701", 389_000), "z60": ("EPSG:32760", 600_000)}
    codes = {}
    for number, (name, (crs, left)) in enumerate(shapes.items()):
        codes[name] = random_codes(90, 100, seed=number)
        codes[name][:5] = 255
        put_map(
            tmp_path / "maps", f"{name}_20200101", codes[name],
            crs=crs, size=100.0, origin=(left, 2_100_000),
        )  # fmt: skip
    run("mosaic", tmp_path / "maps", "--out", tmp_path / "m.tif")
    pixels, transform, crs = read(tmp_path / "m.tif")
    assert crs.to_epsg() == 3031
    assert (transform.a, transform.e) == (100, -100)
    assert transform.c % 100 == transform.f % 100 == 0
    height, width = pixels[0].shape
    assert width < 700  # Not around the whole Earth.
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = transform.c + 100 * columns, transform.f - 100 * rows
    wanted = np.full((height, width), 255, np.uint8)
    # Of one time, the first by name decides.
    for name in ("z60", "z01"):
        own, left = shapes[name]
        east, north = Transformer.from_crs("EPSG:3031", own, always_xy=True).transform(x, y)
        column, row = np.floor((east - left) / 100), np.floor((2_100_000 - north) / 100)
        inside = (column >= 0) & (column < 100) & (row >= 0) & (row < 90)
        values = codes[name][row[inside].astype(int), column[inside].astype(int)]
        wanted[inside] = np.where(values == 255, wanted[inside], values)
    # Places between exactly transformed ones are right to a hundredth of a pixel.
    assert (pixels[0] == wanted).mean() > 0.9995
    assert np.isin([0, 1, 2], pixels).all()
    item = json.loads((tmp_path / "m.json").read_text())
    west, _, east, _ = item["bbox"]
    assert west > 170
    assert east < -170


def test_longitudes_go_on_beyond_the_antimeridian(tmp_path):
    west, east = random_codes(40, 60, seed=1), random_codes(40, 60, seed=2)
    one = {"crs": "EPSG:4326", "size": 0.01}
    put_map(tmp_path / "maps", "west_20200101", west, origin=(179.6, -75.0), **one)
    put_map(tmp_path / "maps", "east_20200102", east, origin=(-179.9, -75.0), **one)
    run("mosaic", tmp_path / "maps", "--out", tmp_path / "m.tif")
    pixels, transform, _ = read(tmp_path / "m.tif")
    assert pixels[0].shape == (40, 110)
    assert transform.c == pytest.approx(179.6)
    np.testing.assert_array_equal(pixels[0][:, :50], west[:, :50])
    later = np.where(east[:, :10] == 255, west[:, 50:], east[:, :10])
    np.testing.assert_array_equal(pixels[0][:, 50:60], later)
    np.testing.assert_array_equal(pixels[0][:, 60:], east[:, 10:])
    # On a polar map both ends are one place.
    run(
        "mosaic", tmp_path / "m.tif", "--out", tmp_path / "polar.tif", "--crs", "EPSG:3031",
        "--resolution", "300",
    )  # fmt: skip
    polar, transform, _ = read(tmp_path / "polar.tif")
    rows, columns = np.mgrid[: polar.shape[1], : polar.shape[2]] + 0.5
    lon, lat = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True).transform(
        transform.c + 300 * columns, transform.f - 300 * rows
    )
    column, row = np.floor((lon % 360 - 179.6) / 0.01), np.floor((-75 - lat) / 0.01)
    inside = (column >= 0) & (column < 110) & (row >= 0) & (row < 40)
    wanted = np.full(polar[0].shape, 255)
    wanted[inside] = pixels[0][row[inside].astype(int), column[inside].astype(int)]
    assert (polar[0] == wanted).mean() > 0.9999


def test_a_map_that_holds_the_pole(tmp_path):
    codes = random_codes(20, 360, seed=3)
    put_map(tmp_path / "maps", "cap_20200101", codes, crs="EPSG:4326", size=1.0, origin=(-180, 90))
    run(
        "mosaic", tmp_path / "maps", "--out", tmp_path / "m.tif", "--crs", "EPSG:3413",
        "--resolution", "50000",
    )  # fmt: skip
    pixels, transform, _ = read(tmp_path / "m.tif")
    middle = pixels[0][int(transform.f / 50000), int(-transform.c / 50000)]
    assert middle in codes[0]
    assert abs(pixels[0].shape[0] - pixels[0].shape[1]) <= 1
    assert (pixels[0] != 255).mean() > 0.4


def test_masks_keep_a_band_each(tmp_path):
    one, two = (random_codes(30, 40, seed, MASKS) for seed in (1, 2))
    put_map(tmp_path / "maps", "a_20200101", one, classes=MASKS)
    put_map(tmp_path / "maps", "b_20200102", two, classes=MASKS, left=20)
    run("mosaic", tmp_path / "maps", "--out", tmp_path / "m.tif")
    pixels, _, _ = read(tmp_path / "m.tif")
    labels = np.full((30, 60), 255, np.uint8)
    labels[:, :40] = one
    labels[:, 20:][two != 255] = two[two != 255]
    np.testing.assert_array_equal(pixels, MASKS.planes(labels))
    assert combine(labels[None], "majority", 255)[0].tolist() == labels.tolist()


def test_maps_that_cannot_be_used_are_counted_and_the_rest_is_done(tmp_path):
    folder = tmp_path / "maps"
    for name in ("a_20200101", "b_20200102", "plain"):
        put_map(folder, name, random_codes(30, 40, seed=4))
    put_map(tmp_path / "ponds", "ponds_20200103", np.zeros((30, 40), np.uint8), classes=OTHER)
    (tmp_path / "empty").mkdir()
    (folder / "copy.tif").write_bytes((folder / "plain.tif").read_bytes())
    cut = folder / "cut_20200104.tif"
    put_map(folder, cut.stem, random_codes(30, 40, seed=5))
    cut.write_bytes(cut.read_bytes()[:-9])
    said = run(
        "mosaic", folder, tmp_path / "ponds", tmp_path / "empty", folder / "gone.tif",
        folder / "copy.tif", "--out", tmp_path / "m.tif", expect=1,
    ).output  # fmt: skip
    for reason in (
        "plain.tif has no date", "other classes (dry, wet) than most maps", "has no maps",
        "There is no map", "copy.tif has no STAC item", "was cut short or changed",
        "6 of 8 maps failed, the others are done",
    ):  # fmt: skip
        assert reason in said, reason
    assert read(tmp_path / "m.tif")[0].shape == (1, 30, 40)
    assert "No map has a probability or an entropy" in run(
        "mosaic", folder / "a_20200101.tif", "--rule", "most-confident", "--out",
        tmp_path / "c.tif", expect=1,
    ).output  # fmt: skip
    assert "different classes" in run(
        "mosaic", folder / "a_20200101.tif", tmp_path / "ponds", "--out", tmp_path / "d.tif",
        expect=1,
    ).output  # fmt: skip
    assert names(tmp_path) == ["empty", "m.json", "m.qml", "m.tif", "m_source.qml",
                               "m_source.tif", "maps", "ponds"]  # fmt: skip


def test_files_of_others_and_maps_stay(tmp_path):
    folder = tmp_path / "maps"
    put_map(folder, "a_20200101", random_codes(30, 40))
    before = (folder / "a_20200101.tif").read_bytes()
    said = run("mosaic", folder, "--out", folder / "a_20200101.tif", expect=1).output
    assert "would replace a map" in said
    mine = tmp_path / "mine.tif"
    mine.write_text("my own")
    said = run("mosaic", folder, "--out", mine, expect=1).output
    assert "not a file that Polynya wrote" in said
    assert mine.read_text() == "my own"
    # A style of one's own stays and is no reason to fail, or to do it again.
    style = tmp_path / "styled.qml"
    style.write_text("my style")
    run("mosaic", folder, "--out", tmp_path / "styled.tif")
    style.write_text("my new style")
    assert "is complete" in run("mosaic", folder, "--out", tmp_path / "styled.tif").output
    assert style.read_text() == "my new style"
    assert (folder / "a_20200101.tif").read_bytes() == before
    # The mosaic may lie among its maps; it isn't one of them the next time.
    run("mosaic", folder / "a_20200101.tif", "--out", folder / "all.tif")
    assert "1 maps" in run("mosaic", folder / "a_*.tif", "--out", tmp_path / "b.tif").output
    for crs in ("EPSG:999999", "EPSG:4978"):
        assert "--crs" in run("mosaic", folder, "--out", tmp_path / "x.tif", "--crs", crs,
                              expect=1).output  # fmt: skip

"""`polynya scenes` and what others wrote: odd items, names and what they refer to."""

import json

import pytest
import rasterio

from helpers.scenes.acquire import get_scenes, run_scenes, scene_files, write_recipe
from helpers.servers.stac_catalogues import earth_search_item, write_static
from helpers.servers.web_server import serving
from polynya.sources.manifest import read_manifest

REGION = [-172, -73, -170, -72]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return folder, earth_search_item(folder, "good", True, href=str(folder / "{}"))


def fetch_items(tmp_path, items, **options):
    """Rows of the manifest, by item; all of the odd ones and one that is in order."""
    catalog = tmp_path / "items.json"
    catalog.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    recipe = write_recipe(tmp_path, source="stac", catalog=str(catalog), retries=0, **options)
    result = run_scenes(recipe, tmp_path / "out")
    assert "Traceback" not in result.output
    rows = read_manifest(tmp_path / "out")
    assert not any("fault of Polynya" in row["reason"] for row in rows), rows
    return rows


def ring(*points):
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


ODD_GEOMETRIES = {
    "cap": ring([-180, -90], [180, -90], [180, -60], [-180, -60]),
    "globe": ring([-180, -90], [180, -90], [180, 90], [-180, 90]),
    "0..360": ring([0, -90], [360, -90], [360, -60], [0, -60]),
    "around the pole": ring([-120, -65], [0, -65], [120, -65]),
    "point": {"type": "Point", "coordinates": [-171, -72.5]},
    "line": {"type": "LineString", "coordinates": [[-175, -72.5], [-165, -72.5]]},
    "null": None,
    "empty": {"type": "GeometryCollection", "geometries": []},
    "collection": {
        "type": "GeometryCollection",
        "geometries": [{"type": "Point", "coordinates": [-171, -72.5]}],
    },
    "bow tie": ring([-172, -72], [-170, -73], [-170, -72], [-172, -73]),
    "clockwise": ring([-172, -72], [-170, -72], [-170, -73], [-172, -73]),
    "three dimensions": ring([-172, -72, 5], [-170, -72, 5], [-170, -73, 5]),
    "no numbers": ring(["a", "b"], ["c", "d"], ["e", "f"]),
    "NaN": ring([float("nan"), -72], [-170, -72], [-170, -73]),
    "a text": "POLYGON((0 0, 1 0, 1 1, 0 0))",
    "metres": ring([5e5, 2e6], [6e5, 2e6], [6e5, 3e6]),
}


def test_items_with_odd_footprints_are_all_done(tmp_path, served):
    _, good = served
    items = [
        {**good, "id": f"g{n}", "geometry": geometry, "bbox": [-180, -90, 180, 90]}
        for n, geometry in enumerate(ODD_GEOMETRIES.values())
    ]
    far = {**good, "id": "far", "geometry": ring([10, -72], [12, -72], [12, -73], [10, -73])}
    catalog = tmp_path / "items.json"
    catalog.write_text(json.dumps({"type": "FeatureCollection", "features": [*items, far]}))
    recipe = write_recipe(tmp_path, source="stac", catalog=str(catalog), region=REGION)
    listed = run_scenes(recipe, None, "--list").output
    assert f"{len(items)} scenes\n" in listed
    rows = fetch_items(tmp_path, [*items[:2], far, good], region=REGION)
    assert {row["item"]: row["status"] for row in rows} == dict.fromkeys(
        ("g0", "g1", "good"), "done"
    )


def changed(good, **changes):
    return {**json.loads(json.dumps(good)), **changes}


def with_red(good, **changes):
    item = changed(good)
    item["assets"]["red"] |= changes
    return item


ODD_ITEMS = {
    "no properties": lambda good: changed(good, properties=None),
    "properties are a list": lambda good: changed(good, properties=[1]),
    "no time": lambda good: changed(good, properties={"datetime": None}),
    "assets are a list": lambda good: changed(good, assets=["red"]),
    "assets are numbers": lambda good: changed(good, assets={"red": 5}),
    "no asset has an address": lambda good: changed(good, assets={"red": {"type": "x"}}),
    "address is a number": lambda good: with_red(good, href=5),
    "bands are a text": lambda good: with_red(good, **{"raster:bands": "scale"}),
    "bands are numbers": lambda good: with_red(good, **{"raster:bands": [5]}),
    "scale is 0": lambda good: with_red(good, **{"raster:bands": [{"scale": 0}]}),
    "scale is negative": lambda good: with_red(good, **{"raster:bands": [{"scale": -1e-4}]}),
    "scale is a word": lambda good: with_red(good, **{"raster:bands": [{"scale": "gain"}]}),
    "scale is infinite": lambda good: with_red(good, **{"raster:bands": [{"scale": 1e999}]}),
    "offset is NaN": lambda good: with_red(
        good, **{"raster:bands": [{"scale": 1e-4, "offset": float("nan")}]}
    ),
    "version is a list": lambda good: changed(good, stac_version=[1]),
    "version of the future": lambda good: changed(good, stac_version=9),
}


def test_each_odd_item_is_a_row_with_its_reason(tmp_path, served):
    _, good = served
    plain = changed(good)
    del plain["properties"]["earthsearch:boa_offset_applied"]
    items = [{**odd(plain), "id": name} for name, odd in ODD_ITEMS.items()]
    rows = {row["item"]: row for row in fetch_items(tmp_path, [*items, good])}
    assert rows.pop("good")["status"] == "done"
    assert set(rows) == set(ODD_ITEMS)
    for row in rows.values():
        assert row["status"] == "failed", row
        assert row["reason"].endswith(".")


def test_items_that_are_none_and_harmless_oddities(tmp_path, served):
    _, good = served
    text = {**good["properties"], "eo:cloud_cover": "12.5", "view:sun_azimuth": "north"}
    items = [
        good, "text", None, 5, [], {},
        changed(good, id="strings", properties=text),
        changed(good, id="no-links", links="none"),
        changed(good, id="links", links=[5, {"rel": "self"}, {"rel": 5, "href": []}]),
        changed(good, id=17),
        changed(good, id="thumbnail", assets={**good["assets"], "thumbnail": {"title": "x"}}),
        changed(good, id="interval", properties={
            **good["properties"], "datetime": None, "start_datetime": "2022-11-03T21:09:31+02:00",
            "end_datetime": "2022-11-04T00:00:00Z"}),
        changed(good, id="no-zone", properties={
            **good["properties"], "datetime": "2022-11-03T19:09:31"}),
    ]  # fmt: skip
    rows = fetch_items(tmp_path, items)
    assert len(rows) == len(items)
    done = {row["item"]: row for row in rows if row["status"] == "done"}
    assert set(done) == {
        "good", "strings", "no-links", "links", "17", "thumbnail", "interval", "no-zone",
    }  # fmt: skip
    assert done["strings"]["cloud_cover"] == "12.5"
    for name in ("interval", "no-zone"):
        assert done[name]["time"] == "2022-11-03T19:09:31.000Z"
        with rasterio.open(tmp_path / "out" / done[name]["file"]) as source:
            assert source.tags()["ACQUIRED"] == "2022-11-03T19:09:31.000Z"


def test_names_are_safe_and_each_scene_has_its_own(tmp_path, served):
    _, good = served
    names = [
        "../../up", "/etc/passwd", ".hidden", "_hidden", "con", "NUL", "x" * 300, "a\0b", "Сцена",
        "\ud800x", "same", "SAME", "Same", "", " ", "..", "a/b", "c/b",
    ]  # fmt: skip
    rows = fetch_items(tmp_path, [changed(good, id=name) for name in names])
    assert [row["status"] for row in rows] == ["done"] * len(names)
    files = [path.name for path in scene_files(tmp_path / "out")]
    assert len({name.lower() for name in files}) == len(names)
    assert all(name[0].isalnum() and len(name) < 150 and name.isascii() for name in files)
    assert not {"con.tif", "nul.tif"} & {name.lower() for name in files}
    assert not list(tmp_path.parent.glob("up*"))


def test_a_scene_of_another_place_never_replaces_one_of_the_same_name(tmp_path, served):
    _, good = served
    first = fetch_items(tmp_path, [good])
    content = (tmp_path / "out/good.tif").read_bytes()
    catalog = tmp_path / "other.json"
    catalog.write_text(json.dumps({"type": "FeatureCollection", "features": [good]}))
    options = {"source": "stac", "catalog": str(catalog)}
    assert len(get_scenes(tmp_path, tmp_path / "out", **options)) == 2
    assert (tmp_path / "out/good.tif").read_bytes() == content
    rows = read_manifest(tmp_path / "out")
    assert first[0] in rows
    assert len({row["scene"] for row in rows}) == 2
    # Both are known in later runs, in whatever order.
    assert fetch_items(tmp_path, [good]) == rows
    assert len(scene_files(tmp_path / "out")) == 2


SECRETS = [
    "file://{secret}", "{secret}", "/vsistdin/", "/vsizip/{secret}", "/vsicurl/http://127.0.0.1:1/x",
    "vrt://{secret}", "<VRTDataset rasterXSize='1' rasterYSize='1'/>", "../../../../../..{secret}",
    "GTIFF_DIR:1:{secret}", "ftp://127.0.0.1/x.tif", "FILE://{secret}", "file:{secret}",
]  # fmt: skip


def test_a_catalogue_on_a_server_names_nothing_of_this_machine(tmp_path, served):
    _, good = served
    secret = good["assets"]["red"]["href"]
    web = tmp_path / "web"
    with serving(web) as server:
        items = []
        for number, href in enumerate(SECRETS):
            item = with_red(good, href=href.format(secret=secret))
            item["links"] = [{"rel": "self", "href": f"file://{tmp_path}/x.json"}]
            items.append({**item, "id": f"i{number}"})
        write_static(web, items)
        recipe = write_recipe(
            tmp_path, source="stac", catalog=f"{server.url}/catalog.json", retries=0
        )
        assert run_scenes(recipe, tmp_path / "out").exit_code == 1
    rows = read_manifest(tmp_path / "out")
    assert [row["status"] for row in rows] == ["failed"] * len(SECRETS)
    assert not scene_files(tmp_path / "out")


def test_links_of_a_catalogue_on_a_server_lead_to_servers(tmp_path):
    hrefs = ["file:///etc/hostname", "/vsizip/x", "vrt://x", "\0", 5, None]
    links = [{"rel": rel, "href": href} for rel in ("item", "child") for href in hrefs]
    web = tmp_path / "web"
    web.mkdir()
    with serving(web) as server:
        (web / "c.json").write_text(json.dumps({"type": "Catalog", "links": links}))
        recipe = write_recipe(tmp_path, source="stac", catalog=f"{server.url}/c.json", retries=0)
        assert run_scenes(recipe, tmp_path / "out").exit_code == 1
    rows = read_manifest(tmp_path / "out")
    assert {row["status"] for row in rows} == {"failed"}
    # /vsizip/x is taken for a path on the server, once.
    assert len(rows) == len(links) - 1


def test_a_local_catalogue_names_images_only(tmp_path, served):
    _, good = served
    red = good["assets"]["red"]["href"]
    with rasterio.open(red) as source:
        place = ", ".join(map(str, source.transform.to_gdal()))
    text = (
        f'<VRTDataset rasterXSize="1024" rasterYSize="1024"><SRS>EPSG:32702</SRS>'
        f'<GeoTransform>{place}</GeoTransform><VRTRasterBand dataType="UInt16" band="1">'
        f"<SimpleSource><SourceFilename>{red}</SourceFilename></SimpleSource></VRTRasterBand>"
        "</VRTDataset>"
    )
    for file in ("red.vrt", "disguised.tif"):
        (tmp_path / file).write_text(text)
    hrefs = ["/vsistdin/", "vrt://red.tif", "red.vrt", "disguised.tif", "none.tif"]
    items = [{**with_red(good, href=href), "id": f"i{n}"} for n, href in enumerate(hrefs)]
    rows = {row["item"]: row["status"] for row in fetch_items(tmp_path, [good, *items])}
    assert rows.pop("good") == "done"
    assert rows == {f"i{n}": "failed" for n in range(len(hrefs))}


# === Files of others ===


def test_no_file_of_a_user_is_replaced_whatever_is_asked(tmp_path, served):
    _, good = served
    out = tmp_path / "out"
    out.mkdir()
    theirs = {"good.tif": b"my own", "good.vrt": b"<mine/>", "notes.txt": b"x", "_scenes.csv": b"a"}
    for name, content in theirs.items():
        (out / name).write_bytes(content)
    catalog = tmp_path / "i.json"
    catalog.write_text(json.dumps(good))
    recipe = write_recipe(tmp_path, source="stac", catalog=str(catalog))
    for how in ((), ("--in-place",), ("--overwrite",), ("--in-place", "--overwrite")):
        result = run_scenes(recipe, out, *how)
        assert result.exit_code == 1
        assert "_scenes.csv is not a file that Polynya wrote" in result.output
    (out / "_scenes.csv").unlink()
    del theirs["_scenes.csv"]
    for how in ((), ("--in-place",), ("--overwrite",), ("--in-place", "--overwrite")):
        assert run_scenes(recipe, out, *how).exit_code == 1
        assert read_manifest(out)[0]["status"] == "failed"
    assert {name: (out / name).read_bytes() for name in theirs} == theirs


@pytest.mark.parametrize("size", [0, 5000])
def test_a_scene_that_was_cut_afterwards_is_made_again(tmp_path, served, size):
    _, good = served
    catalog = tmp_path / "i.json"
    catalog.write_text(json.dumps(good))
    options = {"source": "stac", "catalog": str(catalog)}
    (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    content = path.read_bytes()
    path.write_bytes(content[:size])
    result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
    assert "1 scenes done (0 were there)" in result.output
    assert path.read_bytes() == content

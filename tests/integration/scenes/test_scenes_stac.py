"""`polynya scenes` on STAC: an API and static catalogues, in place and downloaded."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from helpers.scenes.acquire import (
    get_scenes,
    image_of,
    interpolated,
    run_scenes,
    scene_files,
    write_recipe,
)
from helpers.servers.stac_catalogues import (
    EARTH_SEARCH,
    add_api,
    earth_search_item,
    make_item,
    numbers,
    planetary_computer_item,
    write_static,
)
from helpers.servers.web_server import Answer, file_answer, serving
from polynya.rasters.opening import opened_raster
from polynya.scenes.reading import open_scene
from polynya.sources.manifest import read_manifest
from polynya.storage.stores import signed_path


def truth(seed=0):
    return np.stack([numbers(seed + index) for index in range(3)])


def assert_is_the_ground(path, offset):
    with rasterio.open(path) as source:
        pixels = source.read()
        assert source.offsets == (offset,) * 3
        assert source.scales == (0.0001,) * 3
        assert source.nodatavals == (0,) * 3
        assert source.descriptions == ("B04", "B03", "B02")
        assert source.tags()["SUN_AZIMUTH"] == "48.5"
    shift = round(-offset * 10_000)
    ground = truth()
    assert (pixels == np.where(ground > 0, ground + shift, 0)).all()


@pytest.mark.parametrize("how", [(), ("--in-place",)], ids=["downloaded", "in place"])
@pytest.mark.parametrize("where", ["disk", "web", "api"])
def test_both_layouts_get_their_own_offset_from_any_kind_of_catalogue(tmp_path, where, how):
    folder = tmp_path / "served"
    with serving(folder) as server:
        href = f"{server.url}/{{}}" if where != "disk" else str(folder / "{}")
        items = [
            earth_search_item(folder, "a-applied", True, href=href),
            earth_search_item(folder, "b-not-applied", False, href=href),
            planetary_computer_item(folder, "c-old", "02.14", href=href),
            planetary_computer_item(folder, "d-new", "05.10", href=href),
        ]
        write_static(folder, items)
        catalog = {"disk": str(folder / "catalog.json"), "web": f"{server.url}/catalog.json"}
        if where == "api":
            add_api(server, items, fail=1)
        files = get_scenes(
            tmp_path, tmp_path / "out", *how, source="stac", collection="sentinel-2-l2a",
            catalog=catalog.get(where, server.url), region=[-172, -73, -170, -72],
            dates=["2022-11-01", "2022-11-30"], max_cloud=20,
        )  # fmt: skip
        offsets = (0, -0.1, 0, -0.1)
        for path, offset in zip(files, offsets, strict=True):
            assert_is_the_ground(path, offset)
        images = [image_of(path) for path in files]
        for image, valid in images[1:]:
            assert (image == images[0][0]).all()
            assert (valid == images[0][1]).all()
        if where == "api":
            assert server.count("^/search$") == 3


INFRARED = {"B08": "nir", "B11": "swir16"}


def bands_of(tmp_path, item, **more):
    """Names of the bands of a scene that is made of an item, and its numbers."""
    (tmp_path / "item.json").write_text(json.dumps(item))
    (path,) = get_scenes(
        tmp_path, tmp_path / "out", source="stac", catalog=str(tmp_path / "item.json"), **more
    )
    with rasterio.open(path) as source:
        return source.descriptions, source.read()


@pytest.mark.parametrize("infrared", [{}, {"B08": "nir"}, INFRARED], ids=["none", "nir", "both"])
def test_by_default_an_item_gives_the_infrared_that_it_has(tmp_path, infrared):
    href = str(tmp_path / "served/{}")
    keys = EARTH_SEARCH | infrared
    item = earth_search_item(tmp_path / "served", "a", True, href=href, keys=keys)
    names, pixels = bands_of(tmp_path, item)
    assert names == ("B04", "B03", "B02", *infrared)
    assert (pixels[:3] == truth()).all()
    if "B08" in infrared:
        assert (pixels[3] == numbers(3)).all()
    if "B11" in infrared:
        values, is_sure = interpolated(numbers(4)[::2, ::2], 2)
        assert abs(pixels[4] - values)[is_sure].max() < 0.501
        assert pixels[4][pixels[4] > 0].min() >= numbers(4)[numbers(4) > 0].min()


def test_a_band_that_the_recipe_names_is_needed(tmp_path):
    item = earth_search_item(tmp_path / "served", "a", True, href=str(tmp_path / "served/{}"))
    (tmp_path / "a.json").write_text(json.dumps(item))
    bands = ["red", "green", "blue", "swir16"]
    recipe = write_recipe(tmp_path, source="stac", catalog=str(tmp_path / "a.json"), bands=bands)
    assert run_scenes(recipe, tmp_path / "out").exit_code == 1
    assert "has no band 'swir16'" in read_manifest(tmp_path / "out")[0]["reason"]


def test_an_infrared_band_that_says_no_scale_is_left_out(tmp_path):
    keys = EARTH_SEARCH | INFRARED
    item = earth_search_item(
        tmp_path / "served", "a", True, href=str(tmp_path / "served/{}"), keys=keys
    )
    item["assets"]["nir"]["raster:bands"] = [{"scale": "unknown"}]
    assert bands_of(tmp_path, item)[0] == ("B04", "B03", "B02", "B11")


def test_on_other_satellites_numbers_of_sentinel_2_mean_nothing(tmp_path):
    # Landsat's B10 and B11 are thermal, B8 is panchromatic.
    keys = EARTH_SEARCH | {"B8A": "nir08", "B11": "B11", "B10": "B10", "B08": "B8"}
    item = make_item(
        tmp_path / "served", "LC08_1", keys, href=str(tmp_path / "served/{}"),
        raster={"scale": 2.75e-5, "offset": -0.2}, platform="landsat-8",
    )  # fmt: skip
    item["collection"] = "landsat-c2-l2"
    names, _ = bands_of(tmp_path, item)
    assert names == ("red", "green", "blue", "nir08")
    (path,) = scene_files(tmp_path / "out")
    assert open_scene(str(path)).layers.nir == 4


def test_in_place_reads_only_what_is_needed_over_the_web(tmp_path):
    folder = tmp_path / "served"
    with serving(folder) as server:
        item = earth_search_item(folder, "a", True, href=f"{server.url}/{{}}")
        write_static(folder, [item])
        options = {"source": "stac", "catalog": f"{server.url}/catalog.json"}
        (path,) = get_scenes(tmp_path, tmp_path / "out", "--in-place", **options)
        assert server.url in path.read_text()
        files = sum(file.stat().st_size for file in folder.rglob("*.tif"))
        sent = sum(request.sent for request in server.requests if request.path.endswith(".tif"))
        assert sent < files / 10
        # Opening the scene asks the server nothing: the small file says what is needed.
        before = len(server.requests)
        open_scene(str(path))
        assert len(server.requests) == before
        with opened_raster(str(path)) as source:
            window = source.read(window=((512, 768), (512, 768)))
        assert (window == truth()[:, 512:768, 512:768]).all()
        pixels = [request for request in server.requests[before:] if request.method == "GET"]
        assert pixels
        assert all("Range" in request.headers for request in pixels)
        assert sum(request.sent for request in pixels) < files / 4


def test_in_place_over_the_web_a_missing_file_fails_when_the_scene_is_made_or_read(tmp_path):
    folder = tmp_path / "served"
    with serving(folder) as server:
        items = [
            earth_search_item(folder, name, True, href=f"{server.url}/{{}}") for name in ("a", "b")
        ]
        (folder / "b/B03.tif").unlink()
        (folder / "items.json").write_text(
            json.dumps({"type": "FeatureCollection", "features": items})
        )
        recipe = write_recipe(
            tmp_path, source="stac", catalog=str(folder / "items.json"), retries=0
        )
        result = run_scenes(recipe, tmp_path / "out", "--in-place")
        assert result.exit_code == 1
        rows = read_manifest(tmp_path / "out")
        assert [row["status"] for row in rows] == ["done", "failed"]
        assert "B03.tif" in rows[1]["reason"]
        assert "404" in rows[1]["reason"]


def test_a_box_across_the_antimeridian_is_asked_for_in_two_parts_and_each_item_taken_once(tmp_path):
    folder = tmp_path / "served"
    with serving(folder) as server:
        items = [
            earth_search_item(folder, name, True, href=str(folder / "{}"), west=west)
            for name, west in (("east", 176.0), ("far", 100.0), ("west", -179.0))
        ]
        items.append({**items[0], "id": "across", "bbox": [-180, -73, 180, -72]})
        items[-1]["geometry"] = {
            "type": "Polygon",
            "coordinates": [[[178, -72], [-178, -72], [-178, -73], [178, -73], [178, -72]]],
        }
        add_api(server, items)
        recipe = write_recipe(
            tmp_path, source="stac", catalog=server.url, region=[170, -78, -170, -70]
        )
        result = run_scenes(recipe, None, "--list")
        assert "3 scenes\n" in result.output
        boxes = {
            tuple(request.json()["bbox"]) for request in server.requests if request.method == "POST"
        }
        assert boxes == {(170, -78, 180, -70), (-180, -78, -170, -70)}


def test_a_geojson_region_is_asked_for_as_a_shape(tmp_path):
    folder = tmp_path / "served"
    region = {
        "type": "Polygon",
        "coordinates": [[[-171, -72], [-169, -72], [-170, -74], [-171, -72]]],
    }
    (tmp_path / "region.geojson").write_text(
        json.dumps({"type": "Feature", "geometry": region, "properties": {}})
    )
    with serving(folder) as server:
        add_api(server, [earth_search_item(folder, "a", True, href=str(folder / "{}"))])
        recipe = write_recipe(
            tmp_path, source="stac", catalog=server.url, region=str(tmp_path / "region.geojson")
        )
        assert "1 scenes" in run_scenes(recipe, None, "--list").output
        (search,) = [request for request in server.requests if request.method == "POST"]
        assert search.json()["intersects"]["type"] == "Polygon"


def test_signed_files_are_read_with_a_token_that_no_file_holds(tmp_path):
    folder = tmp_path / "served"
    token = "sig=secret%2Ftoken"

    with serving(folder) as server:

        def protected(request):
            if request.query.get("sig") != ["secret/token"]:
                return Answer(b"no token", 403)

            return file_answer(folder, request)

        def sas(request):
            assert request.path.endswith("/sentinel-2-l2a")
            return Answer({"msft:expiry": "2099-01-01T00:00:00Z", "token": token})

        server.routes += [(r"/sas/.*", sas), (r".*\.tif", protected)]

        def options_of(name):
            item = planetary_computer_item(folder, name, "05.10", href=f"{server.url}/{{}}")
            (folder / f"{name}.json").write_text(json.dumps(item))
            catalog = str(folder / f"{name}.json")
            return {"source": "stac", "catalog": catalog, "collection": "sentinel-2-l2a"}

        # GDAL remembers a refusal as long as its process lives, so this is another item.
        recipe = write_recipe(tmp_path, retries=0, **options_of("refused"))
        assert run_scenes(recipe, tmp_path / "refused").exit_code == 1
        assert "403" in read_manifest(tmp_path / "refused")[0]["reason"]
        options = options_of("a")
        sign = f"{server.url}/sas"
        (file,) = get_scenes(tmp_path, tmp_path / "out", sign_url=sign, **options)
        assert_is_the_ground(file, -0.1)
        (small,) = get_scenes(tmp_path, tmp_path / "vrt", "--in-place", sign_url=sign, **options)
        assert "pc_url_signing=yes" in small.read_text()
        assert b"secret" not in file.read_bytes() + small.read_bytes()
        with rasterio.Env(VSICURL_PC_SAS_TOKEN_URL=f"{sign}/"):
            assert_is_the_ground(small, -0.1)
    assert signed_path("https://x/y?z", "c").endswith("&url=https%3A%2F%2Fx%2Fy%3Fz")


def test_broken_items_fail_alone(tmp_path):
    folder = tmp_path / "served"
    good = earth_search_item(folder, "good", True, href=str(folder / "{}"))
    no_band = {**good, "id": "no-band", "assets": {"visual": good["assets"]["red"]}}
    no_scale = make_item(folder, "no-scale", href=str(folder / "{}"))
    no_time = {**good, "id": "no-time", "properties": {}}
    write_static(folder, [good, no_band, no_scale, no_time])
    (folder / "collection/no-time/item.json").write_text("{not json")
    result = run_scenes(
        write_recipe(tmp_path, source="stac", catalog=str(folder / "catalog.json")),
        tmp_path / "out",
    )
    assert result.exit_code == 1
    assert "4 items = 1 scenes done (0 were there) + 3 failed" in result.output
    reasons = {row["scene"]: row["reason"] for row in read_manifest(tmp_path / "out")}
    assert reasons["good"] == ""
    assert "has no band 'red' (its assets: visual)" in reasons["no-band"]
    assert "set acquire.scale and acquire.offset" in reasons["no-scale"]
    assert "item.json" in reasons["item"]
    assert len(scene_files(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("catalog", "problem"),
    [
        ("http://127.0.0.1:9/", "can't be read"),
        ("none.json", "No such file"),
        ("text.json", "can't be read"),
        ("list.json", "no JSON object"),
        ("other.json", "no STAC catalogue, collection or item"),
        ("empty.json", "No scene of the source 'stac' fits"),
    ],
)
def test_a_catalogue_that_is_none_is_one_sentence(tmp_path, catalog, problem):
    (tmp_path / "text.json").write_text("no json")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "empty.json").write_text('{"type": "FeatureCollection", "features": []}')
    where = catalog if "://" in catalog else str(tmp_path / catalog)
    result = run_scenes(
        write_recipe(tmp_path, source="stac", catalog=where, retries=0), tmp_path / "out"
    )
    assert result.exit_code == 1
    assert problem in result.output
    assert result.output.count("Error:") == 1
    assert not Path(tmp_path / "out").exists()


@pytest.mark.parametrize("trouble", [503, 429, "cut"])
def test_a_server_that_fails_for_a_moment_does_no_harm(tmp_path, trouble):
    folder = tmp_path / "served"
    left = [2]

    with serving(folder) as server:

        def busy(request):
            answer = file_answer(folder, request)
            # After the header was read, in the middle of the pixels.
            if request.method != "GET" or not left[0] or server.count("B03.tif") < 4:
                return answer
            left[0] -= 1
            if trouble == "cut":
                return replace(answer, cut_after=len(answer.body) // 2)
            return Answer(b"later", trouble)

        server.routes.append((r".*/B03\.tif", busy))
        item = earth_search_item(folder, "a", True, href=f"{server.url}/{{}}")
        (folder / "a.json").write_text(json.dumps(item))
        options = {"source": "stac", "catalog": str(folder / "a.json")}
        (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
        assert left == [0]
        assert_is_the_ground(path, 0)


def test_the_package_for_stac_is_named_if_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac_client.stac_api_io", None)
    result = run_scenes(write_recipe(tmp_path, source="stac", catalog="x.json"), None, "--list")
    assert result.exit_code == 1
    assert "[stac]'" in result.output


def test_an_api_that_breaks_while_it_lists_is_one_sentence(tmp_path):
    with serving() as server:
        add_api(server, [], fail=9)
        recipe = write_recipe(tmp_path, source="stac", catalog=server.url, retries=1)
        result = run_scenes(recipe, tmp_path / "out")
    assert result.exit_code == 1
    assert f"The STAC catalogue {server.url} can't be read" in result.output


def test_an_item_without_geometry_or_known_fields_is_taken_for_what_it_says(tmp_path):
    folder = tmp_path / "served"
    item = make_item(folder, "i", raster={"scale": 0.0001}, href=str(folder / "{}"))
    item["geometry"] = None
    del item["bbox"]
    wrong = {**item, "id": "wrong", "properties": {"datetime": "yesterday"}}
    (folder / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [item, wrong]})
    )
    recipe = write_recipe(tmp_path, source="stac", catalog=str(folder / "items.json"))
    result = run_scenes(recipe, None, "--list")
    assert "2 scenes, 1 of them can't be used" in result.output
    assert "is no complete STAC item" in result.output

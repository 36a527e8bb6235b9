"""`polynya scenes` from Earth Engine: the real client against a local server."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from helpers.scenes.acquire import get_scenes, image_of, run_scenes, write_recipe
from helpers.servers.earth_engine_server import ORIGIN, EarthEngine, Image, write_key
from helpers.servers.web_server import serving
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.reading import open_scene
from polynya.sources.earthengine import pixels as earth_engine_pixels
from polynya.sources.earthengine.pixels import MAX_REQUEST_BYTES, MAX_SIDE, split_grid
from polynya.sources.manifest import read_manifest

ROSS_SEA = [-180, -78, -140, -70]
NOVEMBER = ["2019-11-01", "2019-11-30"]


BANDS = ("B2", "B3", "B4", "B8")


def make_image(name, size=(300, 500), bands=BANDS, **more):
    rows, cols = np.indices(size)
    pixels = {
        band: ((rows * 7 + cols * 3 + seed) % 9000 + 1).astype(np.uint16)
        for seed, band in enumerate(bands)
    }
    for numbers in pixels.values():
        numbers[:40, :50] = 0
    return Image(name, pixels, **more)


@contextmanager
def earth_engine_of(*images, **more):
    with serving() as server:
        served = EarthEngine(server, list(images), **more)
        served.add_routes()
        yield served


def options_of(tmp_path, served, **more):
    key = write_key(tmp_path, f"{served.server.url}/token")
    return {
        "source": "earthengine", "region": ROSS_SEA, "dates": NOVEMBER, "credentials": str(key),
        "url": served.server.url, "project": "my-project", **more,
    }  # fmt: skip


@pytest.fixture
def small_parts(monkeypatch):
    """Requests small enough that a small scene needs several."""
    monkeypatch.setattr(earth_engine_pixels, "PART_BYTES", 200_000)


def refuse(status):
    def answer(good):
        body = {"error": {"code": status, "message": "later"}}
        return replace(good, body=body, status=status)

    return answer


def cut(good):
    return replace(good, cut_after=len(good.body) // 2)


def assert_is_the_image(path, image):
    with rasterio.open(path) as source:
        truth = np.stack([image.pixels[band] for band in ("B4", "B3", "B2", "B8")])
        assert (source.read() == truth).all()
        assert source.descriptions == ("B04", "B03", "B02", "B08")
        assert source.crs == "EPSG:32702"
        assert tuple(source.transform)[:6] == (10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
        assert source.scales == (0.0001,) * 4
        assert source.offsets == (0.0,) * 4
        assert source.nodatavals == (0,) * 4
        return source.tags()


def test_a_scene_arrives_whole_through_refusals_and_cut_connections(tmp_path, small_parts):
    image = make_image("20191103T190931_20191103T190931_T02CMU")
    trouble = [refuse(429), cut, refuse(503)]
    with earth_engine_of(image, trouble=trouble) as served:
        (path,) = get_scenes(tmp_path, tmp_path / "out", **options_of(tmp_path, served, at_once=3))
        asked = served.server.count("computePixels")
        parts = split_grid(300, 500, 8)
    assert len(parts) > 4
    assert asked == len(parts) + 3
    assert len(set(served.parts)) == len(served.parts) == len(parts)
    tags = assert_is_the_image(path, image)
    assert tags["PRODUCT_ID"] == f"S2A_MSIL1C_{image.name}"
    assert tags["MGRS_TILE"] == "02CMU"
    assert tags["PROCESSING_BASELINE"] == "02.08"
    assert tags["source"] == f"earthengine://COPERNICUS/S2_HARMONIZED/{image.name}"
    scene = open_scene(str(path), SceneOptions(layers=LayerOptions()))
    assert (scene.layers.sun_azimuth, scene.layers.sun_elevation) == (48.5, 30.0)
    assert not image_of(path)[1][:40, :50].any()
    assert not (tmp_path / "out/.unfinished").exists()


def test_a_killed_run_goes_on_and_asks_only_for_what_is_missing(tmp_path):
    images = [make_image("first"), make_image("second")]
    with earth_engine_of(*images) as served:
        recipe = write_recipe(tmp_path, **options_of(tmp_path, served, at_once=2))
        out = tmp_path / "out"
        code = (
            "from polynya.sources.earthengine import pixels as p; p.PART_BYTES = 200_000\n"
            "from polynya.cli import main; main()"
        )
        command = [sys.executable, "-c", code, "scenes", "--recipe", str(recipe), "--out", str(out)]
        served.block_after = 5
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while len(list(out.glob(".unfinished/[0-9a-f]*.tif"))) < 5:
                assert time.monotonic() < until
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
        served.released.set()
        assert not (out / "_scenes.csv").exists()
        assert not list(out.glob("*.tif"))
        served.block_after = None
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 items = 2 scenes done (0 were there) + 0 failed" in done.stdout
    # 300 x 500 pixels of four bands in parts of at most 200 kB: eight each.
    assert len(served.parts) == len(set(served.parts)) == 16
    assert len([r for r in served.server.requests if "computePixels" in r.path]) <= 16 + 2
    for image in images:
        assert_is_the_image(out / f"{image.name}.tif", image)
    assert not (out / ".unfinished").exists()


def test_requests_of_the_usual_size_stay_under_the_limit_of_the_service(tmp_path):
    image = make_image("large", size=(2400, 2600))
    with earth_engine_of(image) as served:
        (path,) = get_scenes(tmp_path, tmp_path / "out", **options_of(tmp_path, served))
        assert len(served.parts) == 2
        assert_is_the_image(path, image)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(10980, 10980, 6), (1, 100_000, 6), (50_000, 3, 26), (7, 9, 2)]
)
def test_a_grid_is_cut_into_parts_that_cover_it_once(height, width, size):
    tiles = split_grid(height, width, size)
    assert sum(tile.height * tile.width for tile in tiles) == height * width
    for tile in tiles:
        assert tile.height * tile.width * size <= MAX_REQUEST_BYTES
        assert max(tile.height, tile.width) <= MAX_SIDE


def test_the_query_is_asked_of_the_service_and_lists_come_page_by_page(tmp_path):
    days = ("2019-10-31T23:59:59.000Z", "2019-11-01T00:00:00.000Z", "2019-11-15T00:00:00.000Z",
            "2019-11-30T23:59:59.000Z", "2019-12-01T00:00:00.000Z")  # fmt: skip
    images = [make_image(f"i{n}", size=(4, 4), start=day) for n, day in enumerate(days)]
    images.append(make_image("cloudy", size=(4, 4), cloud=80.0))
    with earth_engine_of(*images) as served:
        options = options_of(tmp_path, served, max_cloud=50)
        result = run_scenes(write_recipe(tmp_path, **options), None, "--list")
        assert "3 scenes\n" in result.output
        listed = [name for name in ("i0", "i1", "i2", "i3", "i4") if f" {name} " in result.output]
        assert listed == ["i1", "i2", "i3"]
        assert not served.parts
        assert len(served.queries) == 2
        wanted = served.queries[0]["filter"][0]
        # Points on the edges keep great circles on the parallels.
        ring = json.loads(wanted.split('intersects("')[1].split('")')[0].replace("'", '"'))
        assert len(ring["coordinates"][0]) > 30
        across = options_of(tmp_path, served, region=[170, -78, -170, -70])
        run_scenes(write_recipe(tmp_path, **across), None, "--list")
        regions = {query["filter"][0].split("intersects")[1] for query in served.queries[2:]}
        assert len(regions) == 2


@pytest.mark.parametrize(
    ("collection", "baseline", "offset"),
    [("COPERNICUS/S2", "02.08", 0.0), ("COPERNICUS/S2", "05.10", -0.1),
     ("COPERNICUS/S2_SR_HARMONIZED", "05.10", 0.0)],
)  # fmt: skip
def test_harmonized_collections_have_no_offset_and_others_by_the_baseline(
    tmp_path, collection, baseline, offset
):
    parent = f"projects/earthengine-public/assets/{collection}"
    image = make_image("i", size=(20, 30), baseline=baseline)
    with earth_engine_of(image, parent=parent) as served:
        options = options_of(tmp_path, served, collection=collection)
        (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        assert source.offsets == (offset,) * 4


def test_by_default_infrared_and_cirrus_come_and_coarse_bands_are_interpolated(tmp_path):
    sizes = {"B11": 20, "B10": 60}
    image = make_image("a", (120, 240), (*BANDS, "B10", "B11", "B12"), resolutions=sizes)
    with earth_engine_of(image, make_image("b", (120, 240))) as served:
        files = get_scenes(tmp_path, tmp_path / "out", **options_of(tmp_path, served))
        names = []
        for path in files:
            with rasterio.open(path) as source:
                names.append(source.descriptions)
                assert source.shape == (120, 240)
        assert names == [
            ("B04", "B03", "B02", "B08", "B11", "B10"),
            ("B04", "B03", "B02", "B08"),
        ]
        layers = open_scene(str(files[0])).layers
        assert (layers.nir, layers.swir, layers.cirrus) == (4, 5, 6)
        named = options_of(tmp_path, served, bands=["B4", "B3", "B2", "B11"])
        assert run_scenes(write_recipe(tmp_path, **named), tmp_path / "named").exit_code == 1
    rows = {row["item"]: row for row in read_manifest(tmp_path / "named")}
    assert rows["a"]["status"] == "done"
    assert "has no band 'B11'" in rows["b"]["reason"]


def test_on_other_satellites_numbers_of_sentinel_2_mean_nothing(tmp_path):
    parent = "projects/earthengine-public/assets/LANDSAT/LC08"
    image = make_image("i", (8, 9), ("red", "green", "blue", "B8", "B10", "B11", "swir16"))
    with earth_engine_of(image, parent=parent) as served:
        options = options_of(tmp_path, served, collection="LANDSAT/LC08", scale=2e-5, offset=-0.1)
        (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        assert source.descriptions == ("red", "green", "blue", "swir16")


def test_images_that_cannot_be_used_fail_alone(tmp_path):
    good, other = make_image("good", size=(20, 30)), make_image("other", size=(20, 30))
    del other.pixels["B3"]
    wrong = make_image("wrong", size=(20, 30))
    with earth_engine_of(good, other, wrong) as served:
        options = options_of(tmp_path, served, retries=0, at_once=1)

        def spoil(answer):
            return replace(answer, body=b"no image")

        served.trouble += [spoil, refuse(503)]
        result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
        assert result.exit_code == 1
        rows = {row["item"]: row for row in read_manifest(tmp_path / "out")}
        reasons = [rows[name]["reason"] for name in ("good", "other", "wrong")]
        assert any("came as no GeoTIFF" in reason for reason in reasons)
        assert any("didn't arrive (later)" in reason for reason in reasons)
        assert "has no band 'green' (it has B2, B4, B8)" in rows["other"]["reason"]
        result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
        assert "3 items = 2 scenes done (0 were there) + 1 failed" in result.output


def test_parts_of_another_size_are_refused(tmp_path):
    image, smaller = make_image("i", size=(20, 30)), make_image("i", size=(10, 10))
    with earth_engine_of(image) as served:
        recipe = write_recipe(tmp_path, **options_of(tmp_path, served))
        asset = image.asset(served.parent)
        smaller.asset = lambda parent: asset
        served.images = [smaller]
        assert run_scenes(recipe, tmp_path / "out").exit_code == 1
    assert (
        "where (4, 20, 30) and uint16 were asked for"
        in read_manifest(tmp_path / "out")[0]["reason"]
    )


def test_in_place_is_refused(tmp_path):
    with earth_engine_of(make_image("i", size=(4, 4))) as served:
        recipe = write_recipe(tmp_path, **options_of(tmp_path, served))
        result = run_scenes(recipe, tmp_path / "out", "--in-place")
    assert result.exit_code == 1
    assert "leave out --in-place" in result.output


def test_another_collection_needs_scale_and_offset(tmp_path):
    collection = "LANDSAT/LC08"
    parent = f"projects/earthengine-public/assets/{collection}"
    with earth_engine_of(make_image("i", size=(4, 4)), parent=parent) as served:
        options = options_of(tmp_path, served, collection=collection, bands=["B4", "B3", "B2"])
        result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
        assert "set acquire.scale and acquire.offset" in result.output
        (path,) = get_scenes(tmp_path, tmp_path / "out", scale=2e-5, offset=-0.1, **options)
    with rasterio.open(path) as source:
        assert source.scales == (2e-5,) * 3


def test_what_is_wrong_with_the_account_or_the_service_is_one_sentence(tmp_path, monkeypatch):
    def problem(**options):
        result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
        assert result.exit_code == 1
        assert result.output.count("Error:") == 1
        assert "Traceback" not in result.output
        return result.output

    with earth_engine_of(make_image("i", size=(4, 4))) as served:
        options = options_of(tmp_path, served)
        assert "can't list COPERNICUS/S3" in problem(**{**options, "collection": "COPERNICUS/S3"})
        no_fit = {**options, "dates": ["2018-01-01", "2018-01-02"]}
        assert "No scene of the source 'earthengine' fits" in problem(**no_fit)
        missing = {**options, "credentials": str(tmp_path / "none.json")}
        assert "is no key file of a service account" in problem(**missing)
        (tmp_path / "empty.json").write_text("{}")
        empty = {**options, "credentials": str(tmp_path / "empty.json")}
        assert "is no key file of a service account" in problem(**empty)
        assert "is no GeoJSON" in problem(**{**options, "region": str(tmp_path / "empty.json")})
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        nobody = {key: value for key, value in options.items() if key != "credentials"}
        assert "earthengine authenticate" in problem(**nobody)
    assert "Earth Engine can't be used" in problem(**options, retries=0)
    monkeypatch.setitem(sys.modules, "ee", None)
    assert "[earthengine]'" in problem(**options)

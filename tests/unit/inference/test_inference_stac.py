"""STAC items, the collection of a folder, the item of a model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pystac
import pytest
from rasterio.crs import CRS

from helpers.maps.inference_commands import names
from helpers.maps.made_maps import (
    MODEL_TAGS,
    make_scene,
    random_codes,
    write_all,
    write_readable,
)
from helpers.maps.stac_validator import validate
from inference.products.registry import PRODUCT_NAMES as ALL_PRODUCTS
from inference.products.registry import product_paths
from inference.products.summary import summarise, summary_columns
from inference.stac.collection import spatial_extent, write_collection, write_model_item
from inference.stac.item import (
    check_no_item,
    finished_summary,
    read_item,
    read_items,
    remove_products,
)
from polynya.errors import OutputError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe
from polynya.storage.files import write_text


def test_item_is_valid_stac_and_says_where_what_and_how(tmp_path):
    scene, codes = make_scene(), random_codes(40, 60)
    paths = write_all(tmp_path / "maps", scene, codes)
    content = json.loads(paths.item.read_text())
    assert validate(content) == {"projection", "classification", "processing", "raster", "file"}
    item = pystac.Item.from_dict(content)
    assert item.to_dict(include_self_link=False, transform_hrefs=False) == content
    assert item.datetime is None
    assert item.properties["start_datetime"] == "2019-11-04T00:00:00Z"
    assert item.properties["end_datetime"] == "2019-11-04T23:59:59Z"
    assert item.ext.proj.code == "EPSG:3031"
    assert item.ext.proj.shape == [40, 60]
    assert item.ext.proj.transform == list(scene.transform)
    assert list(item.properties["processing:software"]) == ["polynya"]
    assert item.properties["polynya:model_digest"] == "0123456789abcdef"
    summary = summarise(codes, scene, SEA_ICE)
    assert item.properties["polynya:thin_ice_km2"] == float(summary["thin_ice_km2"])
    asset = item.assets["map"]
    assert asset.href == paths.map.name
    assert asset.media_type == pystac.MediaType.COG
    assert (asset.extra_fields["data_type"], asset.extra_fields["nodata"]) == ("uint8", 255)
    classes = asset.extra_fields["classification:classes"]
    assert [c["value"] for c in classes] == [0, 1, 2, 255]
    assert [c.get("color_hint") for c in classes] == ["00FF00", "0000FF", "FF0000", None]
    assert classes[-1]["nodata"] is True
    of_scene, of_model = item.get_links("derived_from")
    assert (paths.folder / of_scene.href).resolve().as_posix() == scene.uri
    assert of_model.href == "model_0123456789abcdef.json"
    assert of_model.extra_fields["mlm:name"] == "polynya-0123456789abcdef"


def test_every_product_is_an_asset_with_size_checksum_and_bands(tmp_path):
    scene, codes = make_scene(120, 130), random_codes(120, 130)
    paths = write_readable(tmp_path, scene, codes, ALL_PRODUCTS)
    content = json.loads(paths.item.read_text())
    validate(content)
    assets = content["assets"]
    assert {asset["href"] for asset in assets.values()} == {
        path.name for path in product_paths(paths, ALL_PRODUCTS) if path != paths.item
    }
    for asset in assets.values():
        data = (paths.folder / asset["href"]).read_bytes()
        assert asset["file:size"] == len(data)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
    bands = assets["probability"]["bands"]
    assert [band["name"] for band in bands] == [f"probability of {n}" for n in SEA_ICE.names]
    assert {band["raster:scale"] for band in bands} == {0.004}
    concentration = assets["concentration"]
    assert (concentration["proj:shape"], concentration["nodata"]) == ([2, 2], "nan")
    assert concentration["proj:transform"][0] == 980  # 98 pixels of 10.18 m on the ground.
    assert content["properties"]["polynya:polygons"] > 0


def test_item_of_a_scene_without_place_and_time(tmp_path):
    scene = replace(make_scene(crs=None), id="photo_20191399", transform=None, uri="gs://b/x.tif")
    paths = write_all(tmp_path, scene, random_codes(40, 60), ("concentration",))
    content = json.loads(paths.item.read_text())
    validate(content)
    assert content["geometry"] is None
    assert "bbox" not in content
    assert content["properties"]["datetime"] is None
    assert content["properties"]["proj:code"] is None
    assert "proj:transform" not in content["properties"]
    assert content["links"][0]["href"] == "gs://b/x.tif"


def test_item_of_a_crs_without_code_has_its_wkt(tmp_path):
    crs = CRS.from_proj4("+proj=stere +lat_0=-90 +lat_ts=-69 +lon_0=10 +datum=WGS84 +units=m")
    scene = make_scene(crs=crs.to_wkt())
    paths = write_all(tmp_path, scene, random_codes(40, 60), ("polygons", "concentration"))
    content = json.loads(paths.item.read_text())
    assert content["properties"]["proj:code"] is None
    assert CRS.from_wkt(content["properties"]["proj:wkt2"]) == crs


def test_a_finished_item_gives_its_summary_back_and_only_for_its_tags(tmp_path):
    scene, codes = make_scene(), random_codes(40, 60)
    paths = write_all(tmp_path, scene, codes, ("polygons",))
    columns = summary_columns(SEA_ICE)
    found = finished_summary(paths.item, MODEL_TAGS, columns)
    assert summarise(codes, scene, SEA_ICE).items() <= found.items()
    assert int(found["polygons"]) > 0
    assert "mean_entropy" not in found
    assert finished_summary(paths.item, {**MODEL_TAGS, "source": "other"}, columns) is None
    assert finished_summary(tmp_path / "none.json", MODEL_TAGS, columns) is None


def test_only_products_of_an_item_of_ours_are_removed(tmp_path):
    paths = write_all(tmp_path, make_scene(), random_codes(40, 60), ("polygons",))
    other = tmp_path / "other.json"
    other.write_text(paths.item.read_text())
    (tmp_path / "other.tif").write_text("")
    content = json.loads(paths.item.read_text())
    content["assets"]["evil"] = {"href": "../elsewhere.tif"}
    content["assets"]["own"] = {"href": "other.tif"}
    write_text(paths.item, json.dumps(content))
    paths.named("_polygons.gpkg").write_text("changed by a user")
    for path in (paths.item, other, tmp_path / "none.json"):
        remove_products(path)
    left = ["other.json", "other.tif", paths.named("_polygons.gpkg").name, paths.picture.name]
    assert names(tmp_path) == sorted(left)


def test_the_collection_spans_all_items_and_links_them(tmp_path):
    codes = random_codes(40, 60)
    for name, east in (("a_20190101", -300000.0), ("b_20200601T120000", 500000.0)):
        scene = replace(make_scene(), id=name, transform=(10.0, 0, east, 0, -10.0, -1200000.0))
        write_all(tmp_path, scene, codes)
    (tmp_path / "note.json").write_text("[1]")
    write_collection(tmp_path, SEA_ICE)
    before = (tmp_path / "collection.json").read_bytes()
    write_collection(tmp_path, SEA_ICE)
    assert (tmp_path / "collection.json").read_bytes() == before
    content = json.loads(before)
    validate(content)
    collection = pystac.Collection.from_file(tmp_path / "collection.json")
    items = list(collection.get_items())
    assert [item.id for item in items] == ["a_20190101", "b_20200601T120000"]
    assert all(item.collection_id == collection.id == "polynya-sea-ice" for item in items)
    boxes = collection.extent.spatial.bboxes
    assert len(boxes) == 3
    assert boxes[0] == spatial_extent(boxes[1:])[0]
    assert [t.isoformat() for t in collection.extent.temporal.intervals[0]] == [
        "2019-01-01T00:00:00+00:00", "2020-06-01T12:00:00+00:00",
    ]  # fmt: skip


def test_a_collection_without_place_or_items_is_the_world_at_any_time(tmp_path):
    write_collection(tmp_path, SEA_ICE)
    content = json.loads((tmp_path / "collection.json").read_text())
    validate(content)
    assert content["extent"]["spatial"]["bbox"] == [[-180, -90, 180, 90]]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[10, 40, 20, 50], None], [10, 40, 20, 50]),
        ([[10, 40, 20, 50], [-5, 45, 15, 60]], [-5, 40, 20, 60]),
        ([[170, 40, 175, 50], [-175, 45, -170, 60]], [170, 40, -170, 60]),
        ([[175, 40, -170, 50], [160, 45, 165, 60]], [160, 40, -170, 60]),
        ([[10, 40, 20, 50], [-180, 80, 180, 90]], [-180, 40, 180, 90]),
        ([[-180, 0, -60, 1], [-60, 0, 60, 1], [60, 0, 180, 1]], [-180, 0, 180, 1]),
    ],
)
def test_spatial_extent_takes_the_short_way_round_the_earth(boxes, expected):
    assert spatial_extent(boxes)[0] == expected


def test_the_model_item_describes_input_output_and_file(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"weights")
    recipe = Recipe()
    write_model_item(
        tmp_path, tmp_path / "model.keras", recipe, parameters=7, framework_version="3.10.0"
    )
    (path,) = tmp_path.glob("model_*.json")
    content = json.loads(path.read_text())
    assert "mlm" in validate(content)
    model = pystac.Item.from_dict(content).ext.mlm
    assert (model.mlm_name, model.architecture) == (content["id"], "unet")
    assert (model.framework, model.total_parameters) == ("Keras", 7)
    assert model.input[0].bands == ["red", "green", "blue"]
    assert model.output[0].result.shape == [-1, -1, -1, 3]
    asset = content["assets"]["model"]
    assert (asset["href"], asset["file:size"]) == ("model.keras", 7)
    assert read_item(path) == {}
    assert np.all(
        [c["name"] in SEA_ICE.names for c in model.output[0].to_dict()["classification:classes"]]
    )


def test_times_of_the_collection_are_those_of_its_items_intervals_too(tmp_path):
    for name in ("a_20190101", "b_20200601T120000", "c"):
        write_all(tmp_path, replace(make_scene(), id=name), random_codes(40, 60))
    write_collection(tmp_path, SEA_ICE)
    interval = json.loads((tmp_path / "collection.json").read_text())["extent"]["temporal"][
        "interval"
    ]
    assert interval == [["2019-01-01T00:00:00Z", "2020-06-01T12:00:00Z"]]


@pytest.mark.parametrize("name", ["collection", "model_0123456789abcdef"])
def test_the_item_of_a_scene_is_never_replaced_by_another_document(tmp_path, name):
    paths = write_all(tmp_path, replace(make_scene(), id=name), random_codes(40, 60))
    before = paths.item.read_bytes()
    (tmp_path / "model.keras").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()[:16]
    if name == "collection":
        with pytest.raises(OutputError, match="STAC item of a scene called 'collection'"):
            write_collection(tmp_path, SEA_ICE)
    else:
        check_no_item(tmp_path / f"model_{digest}.json")
        with pytest.raises(OutputError, match="STAC item of a scene called 'model_"):
            check_no_item(paths.item)
    assert paths.item.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", "null", "3", '{"properties": 1}', "[" * 100_000,
        '{"id": "x", "properties": {"processing:software": {"polynya": 1}}, "assets": []}',
        '{"id": "y", "properties": {"processing:software": {"polynya": 1}},'
        ' "assets": {"map": {"href": "x.tif"}}}',
        '{"id": "x", "properties": {"processing:software": {"polynya": 1}},'
        ' "assets": {"map": {"href": 5}}}',
    ],
)  # fmt: skip
def test_what_is_no_item_of_ours_is_taken_for_none(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    assert read_items(tmp_path) == []
    write_collection(tmp_path, SEA_ICE)
    validate(json.loads((tmp_path / "collection.json").read_text()))


def test_references_of_items_are_encoded_and_hold_no_secret(tmp_path):
    paths = write_all(
        tmp_path / "out",
        replace(make_scene(), id="a_b", uri=str(tmp_path / "a#b?c%20d e.tif")),
        random_codes(40, 60),
    )
    content = json.loads(paths.item.read_text())
    validate(content)
    assert content["links"][0]["href"] == "../a%23b%3Fc%2520d%20e.tif"
    signed = replace(make_scene(), id="x", uri="https://me:pw@h.org/x.tif?sig=secret")
    paths = write_all(tmp_path / "out", signed, random_codes(40, 60))
    assert json.loads(paths.item.read_text())["links"][0]["href"] == "https://h.org/x.tif"

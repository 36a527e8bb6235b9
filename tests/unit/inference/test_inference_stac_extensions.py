"""STAC documents against the schemas of their extensions: what passes, and what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from pystac.errors import STACValidationError
from rasterio.crs import CRS

from helpers.maps.made_maps import (
    OTHER,
    ROTATED,
    box_scene,
    make_scene,
    random_codes,
    write_all,
    write_readable,
)
from helpers.maps.stac_validator import EXTENSIONS, LocalValidator, validate, validate_folder
from inference.products.paths import COLLECTION_FILE
from inference.products.registry import PRODUCT_NAMES as ALL_PRODUCTS
from inference.stac.assets import class_entries
from inference.stac.collection import write_collection, write_model_item
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe

OF_MAPS = {"classification", "file", "processing", "projection", "raster"}
OF_MODELS = {"classification", "file", "mlm"}


def write_model(folder, recipe=None):
    (folder / "model.keras").write_bytes(b"weights")
    write_model_item(
        folder,
        folder / "model.keras",
        recipe or Recipe(),
        parameters=7,
        framework_version="3.10.0",
    )


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A map with all products, its collection and its model: JSON content by kind."""
    folder = tmp_path_factory.mktemp("maps")
    scene, codes = make_scene(120, 130), random_codes(120, 130)
    paths = write_readable(folder, scene, codes, ALL_PRODUCTS)
    write_collection(paths.folder, SEA_ICE)
    write_model(paths.folder)
    (model,) = paths.folder.glob("model_*.json")
    files = {"map": paths.item, "collection": paths.folder / COLLECTION_FILE, "model": model}
    return {kind: json.loads(file.read_text()) for kind, file in files.items()}


def test_map_collection_and_model_pass_with_all_their_extensions(documents):
    found = {kind: validate(content) for kind, content in documents.items()}
    assert found == {"map": OF_MAPS, "collection": {"classification"}, "model": OF_MODELS}


STEREOGRAPHIC = "+proj=stere +lat_0=-90 +lat_ts=-69 +lon_0=10 +datum=WGS84 +units=m"
SCENES = {
    "ordinary": make_scene(),
    "rotated": make_scene(crs="EPSG:32622", transform=tuple(ROTATED)[:6]),
    "across the antimeridian": box_scene(175, 50, 190, 40, "EPSG:4326"),
    "around a pole": box_scene(-1e5, 1e5, 1e5, -1e5, "EPSG:3413"),
    "CRS without code": make_scene(crs=CRS.from_proj4(STEREOGRAPHIC).to_wkt()),
    "photograph": replace(make_scene(crs=None), id="photo", transform=None),
    "transform without CRS": make_scene(crs=None),
    "in a bucket, of no time": replace(make_scene(), id="site", uri="gs://bucket/site.tif"),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize(
    "products", [(), ("probability", "entropy", "concentration", "polygons")], ids=["map", "more"]
)
def test_items_of_every_kind_of_scene_pass(tmp_path, scene, products):
    write_all(tmp_path, scene, random_codes(scene.height, scene.width), products)
    write_collection(tmp_path, SEA_ICE)
    assert validate_folder(tmp_path) == {
        f"{scene.id}.json": OF_MAPS,
        COLLECTION_FILE: {"classification"},
    }


def test_collections_of_many_scenes_and_of_none_pass(tmp_path):
    write_collection(tmp_path, SEA_ICE)
    assert set(validate_folder(tmp_path)) == {COLLECTION_FILE}
    for name, scene in zip("abc", SCENES.values(), strict=False):
        write_all(tmp_path, replace(scene, id=name), random_codes(scene.height, scene.width))
    write_collection(tmp_path, SEA_ICE)
    assert len(validate_folder(tmp_path)) == 4


def test_collections_and_models_of_other_classes_pass(tmp_path):
    write_collection(tmp_path, OTHER)
    write_model(tmp_path, Recipe(classes=OTHER))
    assert sorted(map(len, validate_folder(tmp_path).values())) == [1, 3]


@pytest.mark.parametrize("scheme", [SEA_ICE, OTHER], ids=["sea ice", "other"])
def test_classes_have_what_both_versions_of_their_extension_need(scheme):
    entries = class_entries(scheme)
    assert [entry["value"] for entry in entries] == [*scheme.codes, scheme.nodata]
    assert [entry["name"] for entry in entries] == [*scheme.names, "nodata"]
    descriptions = [entry["description"] for entry in entries]
    assert len(set(descriptions)) == len(entries)
    for title, description in zip(scheme.titles, descriptions, strict=False):
        assert description.startswith(title)


# What a document must not be


def at(*keys):
    """A function that gives the object at these keys of a document."""

    def find(content):
        for key in keys:
            content = content[key]
        return content

    return find


PROPERTIES, MAP, MODEL = at("properties"), at("assets", "map"), at("assets", "model")
INPUT = at("properties", "mlm:input", 0)
OUTPUT_CLASS = at("properties", "mlm:output", 0, "classification:classes", 0)
MAP_CLASS = at("assets", "map", "classification:classes", 0)
COLLECTION_CLASS = at("item_assets", "map", "classification:classes", 0)
GONE = object()


@pytest.mark.parametrize(
    ("kind", "extension", "place", "key", "value"),
    [
        ("map", "classification", MAP_CLASS, "name", GONE),
        ("map", "classification", at("assets", "color"), "classification:classes", []),
        ("map", "file", MAP, "file:size", "12"),
        ("map", "file", MAP, "file:checksum", "no multihash"),
        ("map", "processing", PROPERTIES, "processing:software", "polynya 1"),
        ("map", "processing", PROPERTIES, "processing:unknown", 1),
        ("map", "projection", PROPERTIES, "proj:shape", [40]),
        ("map", "projection", at("assets", "concentration"), "proj:transform", [1, 2]),
        # These two are in schemas that the projection's refers to.
        ("map", "projection", PROPERTIES, "proj:projjson", {"type": "Nothing"}),
        ("map", "projection", PROPERTIES, "proj:geometry", {"type": "Nothing"}),
        ("map", "raster", at("assets", "probability", "bands", 0), "raster:scale", "0.004"),
        ("collection", "classification", COLLECTION_CLASS, "value", "0"),
        ("model", "file", MODEL, "file:size", -1),
        ("model", "mlm", PROPERTIES, "mlm:architecture", GONE),
        ("model", "mlm", PROPERTIES, "mlm:framework_version", "3"),
        ("model", "mlm", PROPERTIES, "bands", GONE),
        ("model", "mlm", MODEL, "roles", ["weights"]),
        ("model", "mlm", INPUT, "input", {"shape": [3]}),
        # These are in schemas that MLM's refers to.
        ("model", "mlm", at("properties", "mlm:input", 0, "input"), "data_type", "byte"),
        ("model", "mlm", INPUT, "pre_processing_function", {"format": "python"}),
        ("model", "mlm", OUTPUT_CLASS, "value", GONE),
        ("model", "mlm", OUTPUT_CLASS, "description", GONE),
    ],
)
def test_a_broken_document_is_refused_by_its_extension(
    documents, kind, extension, place, key, value
):
    content = copy.deepcopy(documents[kind])
    if value is GONE:
        del place(content)[key]
    else:
        place(content)[key] = value
    with pytest.raises(STACValidationError, match=f"schema at {EXTENSIONS}/{extension}/"):
        validate(content)


def test_an_extension_without_a_schema_or_a_name_is_no_success(documents):
    content = copy.deepcopy(documents["map"])
    content["stac_extensions"].append(f"{EXTENSIONS}/eo/v2.0.0/schema.json")
    with pytest.raises(AssertionError, match="no schema .*/eo/v2.0.0"):
        validate(content)
    del content["stac_extensions"][-2:]  # raster
    with pytest.raises(AssertionError, match="raster"):
        validate(content)


def test_without_schemas_the_sentence_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYNYA_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="run `make setup`"):
        LocalValidator()

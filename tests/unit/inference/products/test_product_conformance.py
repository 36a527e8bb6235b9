"""What every product must be and do, whichever it is (docs/extending.md)."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module

import numpy as np
import pytest
from conftest import ice_image
from rio_cogeo import cog_validate

import inference.products
from helpers.maps.inference_commands import names
from helpers.maps.made_maps import MASKS, ONE_MASK, TAGS, fabricated_bands, make_scene, random_codes
from helpers.maps.stac_validator import validate
from inference.predict.windows import Band
from inference.products.class_map import write_map
from inference.products.paths import COG, GEOPACKAGE, MAP, OVERVIEW, PARQUET, PNG, ProductPaths
from inference.products.qgis import write_styles
from inference.products.registry import (
    PRODUCT_NAMES,
    find_product,
    needs_probabilities,
    open_writers,
    parse_products,
    product_columns,
    product_paths,
    product_tags,
    products_help,
    style_of,
)
from inference.products.summary import summarise
from inference.stac.item import write_item
from polynya.errors import SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.inference import InferenceOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene

PRODUCTS = [find_product(name) for name in PRODUCT_NAMES]
each_product = pytest.mark.parametrize("product", PRODUCTS, ids=PRODUCT_NAMES)


each_scheme = pytest.mark.parametrize(
    "classes", [SEA_ICE, MASKS, ONE_MASK], ids=["exclusive", "masks", "one mask"]
)


def options_of(*products, classes=SEA_ICE):
    # Every scheme has a class of which the concentration can be told.
    concentration = {"ice": {"total": classes.names[-2:], "last": classes.names[-1:]}}
    return InferenceOptions.model_validate({"products": products, "concentration": concentration})


def write(folder, scene, codes, *products, channels=True, classes=SEA_ICE):
    """Write products of fabricated probabilities; their files by name, the summary."""
    folder.mkdir()
    paths = ProductPaths(folder, scene.id)
    options = options_of(*products, classes=classes)
    with open_writers(paths, scene, classes, options, TAGS) as writers:
        for band in fabricated_bands(codes, classes=classes):
            shown = band.probabilities if channels else band.probabilities[..., :0]
            writers.add(Band(band.row, band.valid, shown))
        summary = writers.finish(codes)
    return {name: (folder / name).read_bytes() for name in names(folder)}, summary


@pytest.fixture
def scene(write_scene):
    return open_scene(str(write_scene("scene.tif", ice_image(90, 130), nodata=0)))


def test_names_and_modules_agree():
    found = {
        module.PRODUCT.name
        for entry in pkgutil.iter_modules(inference.products.__path__)
        if hasattr(module := import_module(f"inference.products.{entry.name}"), "PRODUCT")
    }
    assert found == set(PRODUCT_NAMES)
    assert parse_products("all") == PRODUCT_NAMES


def test_no_two_products_share_a_file_an_asset_or_a_column():
    files = [MAP, OVERVIEW, *(file for product in PRODUCTS for file in product.files)]
    for values in ([file.ending for file in files], [file.asset for file in files]):
        assert len(set(values)) == len(values)
    always = [
        *summarise(random_codes(8, 8), make_scene(8, 8), SEA_ICE),
        "scene",
        "status",
        "reason",
    ]
    columns = [*always, *product_columns()]
    assert len(set(columns)) == len(columns)


@each_product
def test_it_says_what_it_is(product):
    assert find_product(product.name) is product
    assert product.about == product.about.strip(". \n")
    assert "\n" not in product.about
    assert f"{product.name} ({product.about})" in products_help()
    assert product.files
    for file in product.files:
        assert file.ending.startswith("_")
        assert file.media_type in (COG, PNG, GEOPACKAGE, PARQUET)
        assert file.title
    recipe = Recipe.model_validate({"inference": {"products": [product.name]}})
    tags = product_tags(recipe.inference, recipe.classes)
    assert all(isinstance(text, str) for text in tags.values())
    assert not TAGS.keys() & tags.keys()


@pytest.mark.parametrize("place", ["EPSG:3031", None])
@pytest.mark.parametrize("size", [(1, 1), (90, 130), (700, 40)])
@each_scheme
@each_product
def test_it_writes_its_files_and_columns_and_no_others(
    product, classes, size, place, write_scene, tmp_path
):
    scene = open_scene(str(write_scene("scene.tif", ice_image(*size), crs=place)))
    files, summary = write(
        tmp_path / "alone",
        scene,
        random_codes(*size, classes=classes),
        product.name,
        classes=classes,
    )
    assert set(files) == {f"{scene.id}{file.ending}" for file in product.files}
    assert set(summary) == set(product.columns)
    assert all(isinstance(text, str) for text in summary.values())
    check = {
        COG: lambda path: cog_validate(path)[0],
        PNG: lambda path: path.read_bytes().startswith(b"\x89PNG"),
        GEOPACKAGE: lambda path: path.read_bytes().startswith(b"SQLite format 3"),
        PARQUET: lambda path: path.read_bytes().startswith(b"PAR1"),
    }
    for file in product.files:
        assert check[file.media_type](tmp_path / "alone" / f"{scene.id}{file.ending}"), file


@each_scheme
@each_product
def test_its_bytes_are_the_same_twice_and_beside_all_others(product, classes, scene, tmp_path):
    codes = random_codes(90, 130, classes=classes)
    alone, summary = write(tmp_path / "alone", scene, codes, product.name, classes=classes)
    assert write(tmp_path / "again", scene, codes, product.name, classes=classes) == (
        alone,
        summary,
    )
    together, columns = write(tmp_path / "all", scene, codes, *PRODUCT_NAMES, classes=classes)
    assert alone.items() <= together.items()
    assert summary.items() <= columns.items()


@each_scheme
@each_product
def test_it_says_whether_codes_are_enough(product, classes, scene, tmp_path):
    assert needs_probabilities([product.name]) == product.needs_probabilities
    if product.needs_probabilities:
        return
    codes = random_codes(90, 130, classes=classes)
    with_all = write(tmp_path / "with", scene, codes, product.name, classes=classes)
    assert (
        write(tmp_path / "without", scene, codes, product.name, channels=False, classes=classes)
        == with_all
    )


@each_scheme
@each_product
def test_a_scene_without_any_valid_pixel_has_it_too(product, classes, scene, tmp_path):
    files, _ = write(
        tmp_path / "out", scene, np.full((90, 130), 255, np.uint8), product.name, classes=classes
    )
    assert len(files) == len(product.files)


@each_scheme
@each_product
def test_nothing_is_left_of_a_scene_that_fails(product, classes, scene, tmp_path):
    paths = ProductPaths(tmp_path / "out", scene.id)
    paths.folder.mkdir()

    def fail():
        with open_writers(
            paths, scene, classes, options_of(product.name, classes=classes), TAGS
        ) as writers:
            writers.add(
                next(fabricated_bands(random_codes(90, 130, classes=classes), classes=classes))
            )
            raise SceneError("torn")

    with pytest.raises(SceneError, match="torn"):
        fail()
    assert names(paths.folder) == []


@each_scheme
@each_product
def test_its_assets_are_valid_and_name_its_files(product, classes, scene, tmp_path):
    codes, wanted = random_codes(90, 130, classes=classes), (product.name,)
    _, summary = write(tmp_path / "out", scene, codes, product.name, classes=classes)
    paths = ProductPaths(tmp_path / "out", scene.id)
    write_map(paths.map, codes, scene, classes, TAGS)
    write_styles(paths, classes, wanted)
    paths.picture.write_bytes(b"png")
    write_item(paths, scene, classes, wanted, TAGS, summary)
    content = json.loads(paths.item.read_text())
    validate(content)
    assets = content["assets"]
    styles = [style_of(file) for file in (MAP, *product.files) if file.media_type == COG]
    files = [MAP, OVERVIEW, *product.files, *styles]
    assert list(assets) == [file.asset for file in files]
    named = {paths.folder / asset["href"] for asset in assets.values()}
    assert {paths.item, *named} == set(product_paths(paths, wanted))

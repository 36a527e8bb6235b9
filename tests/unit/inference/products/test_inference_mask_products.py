"""What each product holds of masks that overlap, by hand."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rio_cogeo import cog_validate

from helpers.maps.inference_models import make_recipe, mask_model
from helpers.maps.made_maps import (
    MASKS,
    ONE_MASK,
    TAGS,
    make,
    make_scene,
    random_codes,
    write_all,
    write_readable,
)
from helpers.maps.stac_validator import validate, validate_folder
from inference.predict.windows import Band
from inference.products.class_map import read_map, write_map
from inference.products.entropy import mask_entropy
from inference.products.overview import draw_overview, read_preview
from inference.products.registry import PRODUCT_NAMES
from inference.products.summary import summarise, summary_columns
from inference.run.scene import map_scene
from inference.run.scenes import write_summary
from inference.stac.collection import write_collection, write_model_item
from polynya.recipe.recipe import Recipe
from polynya.report import pictures
from polynya.scenes.finding import SceneRef
from polynya.scenes.reading import open_scene

# Bits: 1 any ice, 2 melt water, 4 thick ice.
LABELS = np.array([[0, 1, 3, 255], [5, 7, 2, 255], [1, 1, 4, 0]], np.uint8)
ICE = [[0, 1, 1, 255], [1, 1, 0, 255], [1, 1, 0, 0]]
WET = [[0, 0, 1, 255], [0, 1, 1, 255], [0, 0, 0, 0]]
THICK = [[0, 0, 0, 255], [1, 1, 0, 255], [0, 0, 1, 0]]
RECIPE = Recipe(classes=MASKS)
GROUPS = {"ice": {"any": ["wet", "thick_ice"], "ice": ["ice"]}}


def bands_of(labels, inside=0.8, outside=0.1):
    """One band: 0.8 under a mask, 0.1 elsewhere."""
    planes = np.stack([MASKS.where(labels, code) for code in MASKS.codes], axis=-1)
    return [Band(0, labels != 255, np.where(planes, inside, outside).astype(np.float32))]


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as source:
            return source.read(), source.descriptions, source.nodata


# The map


def test_a_map_has_a_band_a_mask(tmp_path):
    write_map(tmp_path / "map.tif", LABELS, make_scene(3, 4), MASKS, TAGS)
    values, descriptions, nodata = read(tmp_path / "map.tif")
    assert values.dtype == np.uint8
    assert values.tolist() == [ICE, WET, THICK]
    assert descriptions == ("ice", "wet", "thick_ice")
    assert nodata == 255
    assert read_map(tmp_path / "map.tif").tolist() == LABELS.tolist()


def test_the_map_of_one_mask_has_one_band_with_colours(tmp_path):
    labels = np.array([[0, 1, 255]], np.uint8)
    write_map(tmp_path / "map.tif", labels, make_scene(1, 3), ONE_MASK, TAGS)
    values, descriptions, nodata = read(tmp_path / "map.tif")
    assert (values.tolist(), descriptions, nodata) == ([labels.tolist()], ("ice",), 255)
    assert read_map(tmp_path / "map.tif").tolist() == labels.tolist()
    with rasterio.open(tmp_path / "map.tif") as source:
        table = source.colormap(1)
    assert (table[0], table[1]) == ((64, 64, 64, 255), (250, 250, 255, 255))
    assert table[255][3] == 0


@pytest.mark.parametrize("classes", [MASKS, ONE_MASK], ids=["three", "one"])
@pytest.mark.parametrize("size", [(1, 1), (1100, 530)])
def test_maps_are_cogs_and_their_overviews_hold_masks(tmp_path, size, classes):
    labels = random_codes(*size, classes=classes)
    write_map(tmp_path / "map.tif", labels, make_scene(*size), classes, TAGS)
    valid, errors, _ = cog_validate(tmp_path / "map.tif")
    assert valid, errors
    np.testing.assert_array_equal(read_map(tmp_path / "map.tif"), labels)
    with rasterio.open(tmp_path / "map.tif") as source:
        for factor in source.overviews(1):
            small = source.read(out_shape=(source.count, size[0] // factor, size[1] // factor))
            assert set(np.unique(small)) <= {0, 1, 255}
            # Blocks of eight pixels: the commonest value is that of all of them.
            if factor == 2:
                whole = classes.planes(labels[: size[0] // 2 * 2 : 2, : size[1] // 2 * 2 : 2])
                np.testing.assert_array_equal(small, whole)


# Numbers


def test_the_summary_has_area_and_share_of_each_mask():
    row = summarise(LABELS, make_scene(3, 4, "EPSG:6931"), MASKS)  # Pixels of 100 square metres.
    assert row["valid_share"] == "0.833333"  # 10 of 12
    assert [row[f"{n}_share"] for n in MASKS.names] == ["0.600000", "0.300000", "0.300000"]
    assert [row[f"{n}_km2"] for n in MASKS.names] == ["0.000600", "0.000300", "0.000300"]
    row = summarise(np.where(LABELS == 255, LABELS, 7), make_scene(3, 4, "EPSG:6931"), MASKS)
    assert [row[f"{n}_share"] for n in MASKS.names] == ["1.000000"] * 3
    assert summarise(LABELS, make_scene(3, 4, None), MASKS)["ice_km2"] == ""
    nothing = summarise(np.full((1, 1), 255, np.uint8), make_scene(1, 1), MASKS)
    assert (nothing["valid_share"], nothing["ice_share"]) == ("0.000000", "")


def test_the_summary_of_pixels_of_many_sizes_adds_up_to_that_of_single_labels():
    scene, classes = make_scene(40, 60), MASKS
    labels = random_codes(40, 60, classes=classes)
    row = summarise(labels, scene, classes)
    for code, name in enumerate(classes.names):
        alone = np.where(labels == 255, 255, labels >> code & 1).astype(np.uint8)
        assert summarise(alone, scene, ONE_MASK)["ice_km2"] == row[f"{name}_km2"]


def test_entropy_is_the_mean_over_masks_of_whether_they_are_there():
    probabilities = np.float32([[[0.5, 0.5, 0.5], [0, 1, 0], [0.5, 0, 1], [0.25, 0.25, 0.25]]])
    # Of 1/4: (2 + 3 log2(4/3)) / 4 bits.
    expected = [[1, 0, 1 / 3, 0.811278]]
    np.testing.assert_allclose(mask_entropy(probabilities), expected, atol=1e-6)
    np.testing.assert_allclose(mask_entropy(np.float32([[[0.5], [1]]])), [[1, 0]], atol=1e-6)


def test_concentration_is_the_share_under_any_mask_of_a_group(tmp_path):
    scene = replace(make_scene(3, 4, crs=None), transform=None)
    paths, _, _ = make(
        tmp_path, LABELS, scene, "concentration", classes=MASKS, bands=bands_of(LABELS),
        concentration={"cell_pixels": 2, **GROUPS},
    )  # fmt: skip
    values, descriptions, _ = read(paths.named("_concentration.tif"))
    found = dict(zip(descriptions, values, strict=True))
    np.testing.assert_allclose(found["any"], [[2 / 4, 2 / 2], [0, 1 / 2]])
    np.testing.assert_allclose(found["ice"], [[3 / 4, 1 / 2], [1, 0]])
    np.testing.assert_allclose(found["valid share"], [[1, 1 / 2], [1 / 2, 1 / 2]])
    # The likeliest of the group's masks: 0.8 under any of them, 0.1 elsewhere.
    np.testing.assert_allclose(found["any expected"], [[0.45, 0.8], [0.1, 0.45]], rtol=1e-6)
    uncertainty = [[0.35, 0.4], [0.3, 0.35]]  # sqrt(0.8 0.2) = 0.4, sqrt(0.1 0.9) = 0.3
    np.testing.assert_allclose(found["any uncertainty"], uncertainty, rtol=1e-6)


def test_probabilities_are_a_band_a_mask(tmp_path):
    paths, _, _ = make(
        tmp_path, LABELS, make_scene(3, 4), "probability", classes=MASKS, bands=bands_of(LABELS)
    )
    values, descriptions, _ = read(paths.named("_probability.tif"))
    assert descriptions == tuple(f"probability of {name}" for name in MASKS.names)
    steps = {0: 25, 1: 200, 255: 255}  # 0.1, 0.8, nodata
    for found, plane in zip(values, (ICE, WET, THICK), strict=True):
        assert found.tolist() == [[steps[value] for value in row] for row in plane]


# Shapes


def test_polygons_are_of_each_mask_and_may_overlap(tmp_path):
    paths, _, summary = make(
        tmp_path, LABELS, make_scene(3, 4, "EPSG:6931"), "polygons", classes=MASKS,
        bands=bands_of(LABELS), polygons={"min_pixels": 1},
    )  # fmt: skip
    frame = geopandas.read_parquet(paths.named("_polygons.parquet"))
    assert frame["class"].tolist() == ["ice", "wet", "thick_ice", "thick_ice"]
    assert frame["code"].tolist() == [0, 1, 2, 2]
    assert frame["pixels"].tolist() == [6, 3, 2, 1]
    assert frame["area_m2"].tolist() == pytest.approx([600, 300, 200, 100])
    assert frame.geometry.area.tolist() == pytest.approx([600, 300, 200, 100])
    assert frame["perimeter_px"].tolist() == [12, 8, 6, 4]
    assert frame["mean_probability"].tolist() == pytest.approx([0.8] * 4)
    assert frame["cut"].all()
    # Two pixels of melt water are on ice, one of them on thick ice.
    ice, wet, thick, _ = frame.geometry
    assert ice.intersection(wet).area == pytest.approx(200)
    assert wet.intersection(thick).area == pytest.approx(100)
    assert summary == {"polygons": "4", "dropped_regions": "0", "dropped_pixels": "0"}


def test_regions_of_masks_that_are_too_small_are_counted_for_each(tmp_path):
    _, _, summary = make(
        tmp_path, LABELS, make_scene(3, 4), "polygons", classes=MASKS, bands=bands_of(LABELS),
        polygons={"min_pixels": 3},
    )  # fmt: skip
    assert summary == {"polygons": "2", "dropped_regions": "2", "dropped_pixels": "3"}


# Pictures


def test_label_images_have_a_bit_for_each_mask_and_mixed_colours(tmp_path):
    paths, _, _ = make(tmp_path, LABELS, make_scene(3, 4), "label-png", classes=MASKS)
    assert read(paths.named("_label.png"))[0].tolist() == [LABELS.tolist()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(paths.named("_color.png")) as source:
            assert source.read(1).tolist() == LABELS.tolist()
            table = source.colormap(1)
    assert table[0] == (64, 64, 64, 255)
    assert table[1] == (200, 0, 0, 255)
    assert table[3] == (100, 50, 0, 255)  # Half of each.
    assert table[7] == (67, 33, 17, 255)  # A third of each.
    assert table[255][:3] == (0, 0, 0)


def test_overlays_leave_the_scene_where_no_mask_is(tmp_path, write_scene):
    image = np.full((3, 4, 3), (10, 20, 30), np.uint8)
    scene = open_scene(str(write_scene("scene.tif", image)))
    paths, _, _ = make(tmp_path / "out", LABELS, scene, "overlay", classes=MASKS)
    shown = np.moveaxis(read(paths.named("_overlay.png"))[0], 0, -1)
    assert shown[0, 0].tolist() == [10, 20, 30]
    assert shown[0, 3].tolist() == [10, 20, 30]  # Nodata.
    assert shown[0, 1].tolist() == [105, 10, 15]
    assert shown[0, 2].tolist() == [55, 35, 15]  # Half of (100, 50, 0), and of the scene.


def test_overviews_have_no_labels_by_thresholds_and_a_legend_with_none(
    tmp_path, write_scene, monkeypatch
):
    scene = open_scene(str(write_scene("scene.tif", ice_image(20, 30))))
    preview = read_preview(scene, RECIPE)
    assert preview.labels is None
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: figures.append(figure))
    labels = random_codes(20, 30, classes=MASKS)
    draw_overview(tmp_path / "a.png", preview, scene, labels, RECIPE)
    draw_overview(tmp_path / "b.png", preview, scene, random_codes(20, 30), Recipe())
    texts = [[text.get_text() for text in f.legends[0].get_texts()] for f in figures]
    assert texts[0] == ["Any ice", "Melt water", "Thick ice", "No mask", "No data"]
    assert "None" not in texts[1]
    assert [axis.get_title() for axis in figures[0].axes] == ["Scene", "Prediction"]
    drawn = figures[0].axes[1].images[0].get_array()
    np.testing.assert_array_equal(drawn, MASKS.paint(labels))


# STAC


def assets_of(folder, classes, products=("label-png",)):
    labels = random_codes(40, 60, classes=classes)
    paths = write_all(folder, make_scene(), labels, products, classes=classes)
    content = json.loads(paths.item.read_text())
    validate(content)
    return content


def test_the_item_of_masks_says_what_each_band_and_bit_is(tmp_path):
    content = assets_of(tmp_path, MASKS)
    assert content["properties"]["title"].startswith("Masks of site_1")
    asset = content["assets"]["map"]
    assert asset["title"] == "Masks, a band each"
    assert "classification:classes" not in asset
    assert [(b["name"], b["description"]) for b in asset["bands"]] == [
        ("ice", "Any ice"), ("wet", "Melt water"), ("thick_ice", "Thick ice"),
    ]  # fmt: skip
    assert {band["raster:scale"] for band in asset["bands"]} == {1.0}
    wet = asset["bands"][1]["classification:classes"]
    assert [(c["value"], c["name"]) for c in wet] == [(0, "no_wet"), (1, "wet"), (255, "nodata")]
    assert [c.get("color_hint") for c in wet] == ["404040", "006400", None]
    bits = content["assets"]["label"]["classification:bitfields"]
    assert [(b["offset"], b["length"], b["name"]) for b in bits] == [
        (0, 1, "ice"), (1, 1, "wet"), (2, 1, "thick_ice"),
    ]  # fmt: skip
    assert [c["value"] for c in bits[2]["classes"]] == [0, 1]
    assert content["assets"]["label"]["nodata"] == 255


def test_the_item_of_one_mask_has_classes(tmp_path):
    assets = assets_of(tmp_path, ONE_MASK)["assets"]
    for key in ("map", "label", "color"):
        classes = assets[key]["classification:classes"]
        assert [c["name"] for c in classes] == ["no_ice", "ice", "nodata"]
        assert [c["value"] for c in classes] == [0, 1, 255]


@pytest.mark.parametrize("classes", [MASKS, ONE_MASK], ids=["three", "one"])
def test_items_collections_and_models_of_masks_are_valid(tmp_path, classes):
    labels = random_codes(120, 130, classes=classes)
    ice = {"concentration": {"ice": {"total": ["ice"]}}}
    paths = write_readable(
        tmp_path, make_scene(120, 130), labels, PRODUCT_NAMES, classes=classes, **ice
    )
    write_collection(paths.folder, classes)
    (paths.folder / "model.keras").write_bytes(b"weights")
    write_model_item(
        paths.folder, paths.folder / "model.keras", Recipe(classes=classes),
        parameters=7, framework_version="3.10.0",
    )  # fmt: skip
    assert len(validate_folder(paths.folder)) == 3
    (model,) = paths.folder.glob("model_*.json")
    (output,) = json.loads(model.read_text())["properties"]["mlm:output"]
    entries = output["classification:classes"]
    assert [(e["value"], e["name"]) for e in entries] == list(enumerate(classes.names))


# A whole scene


def test_a_scene_gets_all_products_and_is_finished_then(tmp_path, write_scene):
    image = np.random.default_rng(0).integers(90, 111, (70, 50, 3)).astype(np.uint8)
    image[:9, :7] = 0
    scene = str(write_scene("scene.tif", image, nodata=0))
    inference = {"products": PRODUCT_NAMES, "concentration": GROUPS, "window": 32}
    recipe = make_recipe(32, classes=MASKS.model_dump(), inference=inference)
    model = mask_model(tmp_path / "model", recipe)
    out = tmp_path / "out"
    out.mkdir()
    result = map_scene(model, SceneRef("scene", scene), out)
    assert result.status == "done"
    labels = read_map(out / "scene.tif")
    expected = sum((image[..., k] >= 100).astype(np.uint8) << k for k in range(3))
    np.testing.assert_array_equal(labels, np.where(image.any(axis=2), expected, 255))
    share = (image[..., 1] >= 100).sum() / image.any(axis=2).sum()
    assert result.summary["wet_share"] == f"{share:.6f}"
    again = map_scene(model, SceneRef("scene", scene), out)
    assert again.status == "skipped"
    assert again.summary.items() >= summarise(labels, make_scene(70, 50), MASKS).items()
    write_summary(out / "summary.csv", [result], summary_columns(MASKS))
    with (out / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["wet_share"] == f"{share:.6f}"

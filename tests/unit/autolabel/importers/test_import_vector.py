"""Shapes burnt onto scenes: places, overlaps, values."""

import json

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from autolabel.importers.samples import find_samples, open_sample, read_sample
from helpers.shards.import_sets import (
    HEIGHT,
    NORTH,
    PIXEL,
    WEST,
    WIDTH,
    MadeSet,
    box,
    classes,
    image,
    write_raster,
    write_shapes,
)
from polynya.errors import RecipeError, SceneError
from polynya.grid import Tile

WHOLE = Tile(0, 0, HEIGHT, WIDTH)


@pytest.fixture
def burn(tmp_path):
    """Labels of a scene by shapes: burn(shapes, attributes, kind=..., name=..., **imports)."""

    def burnt(shapes, attributes, kind="exclusive", name="labels.gpkg", **imports):
        write_raster(tmp_path / "a.tif", image(0), place=True)
        if shapes:
            write_shapes(tmp_path / name, shapes, attributes)
        recipe = {
            "classes": classes("water", "ice", "land", kind=kind),
            "imports": {"kind": "vector", "labels": str(tmp_path / name)} | imports,
        }
        made = MadeSet(tmp_path / "a.tif", recipe)
        (sample,) = find_samples([str(made.source)], made.checked())
        scene = open_sample(sample, made.checked())
        return read_sample(scene, made.checked(), WHOLE)[0].label

    return burnt


def covered(row, col, height, width):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[row : row + height, col : col + width] = True
    return mask


def test_shapes_of_any_coordinate_system_are_brought_to_the_scene(burn, tmp_path):
    move = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True)
    ring = shapely.segmentize(box(10, 10, 20, 30), PIXEL / 4).exterior.coords
    feature = {
        "type": "Feature",
        "properties": {"class": "ice"},
        "geometry": {"type": "Polygon", "coordinates": [[move.transform(*xy) for xy in ring]]},
    }
    (tmp_path / "a.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    label = burn([], [], name="a.geojson", background="water")
    assert (label == covered(10, 10, 20, 30)).all()


def test_outside_of_shapes_labels_are_unknown(burn):
    label = burn([box(1, 2, 3, 4)], ["land"])
    assert (label == np.where(covered(1, 2, 3, 4), 2, 255)).all()


@pytest.mark.parametrize(("overlap", "middle"), [("last", 2), ("first", 1), ("smallest", 1)])
def test_a_rule_decides_where_classes_overlap(burn, overlap, middle):
    small, large = box(10, 10, 10, 10), box(5, 5, 30, 40)
    label = burn([small, large], ["ice", "land"], overlap=overlap)
    assert label[15, 15] == middle
    assert label[6, 6] == 2


def test_without_a_rule_an_overlap_is_an_error(burn):
    with pytest.raises(SceneError, match="has shapes of different classes at row 10, column 12"):
        burn([box(0, 0, 12, 20), box(10, 12, 9, 9)], ["ice", "land"])
    label = burn([box(0, 0, 12, 20), box(10, 12, 9, 9)], ["ice", "ice"])  # Of one class.
    assert label[11, 13] == 1


def test_masks_overlap_and_nodata_covers_them(burn):
    shapes = [box(0, 0, 10, 10), box(5, 5, 10, 10), box(8, 8, 2, 2)]
    label = burn(shapes, ["water", "land", "?"], kind="masks", values={"?": None})
    assert [label[1, 1], label[6, 6], label[12, 12], label[8, 8], label[30, 30]] == [
        1,
        5,
        4,
        255,
        0,
    ]


def test_points_and_lines_label_the_pixels_that_they_touch(burn):
    def at(row, col):
        return WEST + PIXEL * (col + 0.5), NORTH - PIXEL * (row + 0.5)

    shapes = [shapely.Point(at(3, 4)), shapely.LineString([at(9, 2), at(9, 8)])]
    label = burn(shapes, ["ice", "land"])
    assert label[3, 4] == 1
    assert (label[9, 2:9] == 2).all()
    assert (label != 255).sum() == 8


@pytest.mark.parametrize(
    ("values", "options", "label"),
    [
        ([2], {}, 2),
        ([1.0], {}, 1),
        (["Ice"], {}, 1),
        (["MYI"], {"values": {"MYI": "ice"}}, 1),
        ([7], {"values": {"7": None}}, 255),
    ],
)
def test_values_are_names_titles_codes_or_those_of_the_recipe(burn, values, options, label):
    assert burn([box(0, 0, 9, 9)], values, **options)[4, 4] == label


def test_what_is_wrong_with_shapes_is_said(burn, tmp_path):
    with pytest.raises(SceneError, match="has 'rock' in the attribute 'class', which is no class"):
        burn([box(0, 0, 9, 9)], ["rock"])
    with pytest.raises(SceneError, match="has no attribute 'kind' \\(it has class\\); fix the rec"):
        burn([box(0, 0, 9, 9)], ["ice"], column="kind")
    with pytest.raises(SceneError, match="has no labels .*none.gpkg; put them there or fix impor"):
        burn([], [], name="none.gpkg")
    (tmp_path / "broken.gpkg").write_bytes(b"SQLite format 3\0")
    with pytest.raises(SceneError, match="can't be used .*; give polygons as GeoPackage"):
        burn([], [], name="broken.gpkg")
    with pytest.raises(RecipeError, match="'imports.values' has the class 'snow'"):
        burn([box(0, 0, 9, 9)], ["ice"], values={"x": "snow"})


def test_a_scene_without_a_place_cannot_have_shapes(tmp_path):
    write_raster(tmp_path / "a.png", image(0))
    write_shapes(tmp_path / "l.gpkg", [box(0, 0, 9, 9)], ["water"])
    recipe = {
        "classes": classes("water", "ice"),
        "imports": {"kind": "vector", "labels": str(tmp_path / "l.gpkg")},
    }
    made = MadeSet(tmp_path / "a.png", recipe)
    (sample,) = find_samples([str(made.source)], made.checked())
    with pytest.raises(SceneError, match="has no place on the ground to which the shapes in"):
        open_sample(sample, made.checked())

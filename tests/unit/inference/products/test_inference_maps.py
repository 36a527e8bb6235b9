"""Maps, footprints and sums."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.transform import Affine
from rio_cogeo import cog_validate

from helpers.maps.inference_commands import names
from helpers.maps.made_maps import ROTATED, TAGS, make_scene, random_codes
from inference.products.class_map import map_tags, read_map, write_map
from inference.products.registry import product_columns
from inference.products.summary import summarise, summary_columns
from polynya.errors import OutputError, SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.report.tables import write_table
from polynya.scenes.reading import open_scene
from polynya.storage.files import output_folder


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (40, 60), (1100, 530)])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3031", Affine(10, 0, -300000, 0, -10, -1200000)),
        ("EPSG:32622", ROTATED),
        ("EPSG:4326", Affine(0.01, 0, -60, 0, -0.01, 80)),
        (None, None),
        (None, Affine(2, 0, 5, 0, -2, 7)),
    ],
)
def test_a_map_is_a_valid_cog_in_the_place_of_its_scene(
    tmp_path, write_scene, height, width, crs, transform
):
    georeference = {"transform": transform} if transform else {}
    if crs:
        georeference["crs"] = crs
    path = tmp_path / "scene.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8",
            **georeference,
        ) as target:  # fmt: skip
            target.write(np.moveaxis(ice_image(height, width), -1, 0))
    scene = open_scene(str(path))
    codes = random_codes(height, width)
    out = tmp_path / "map.tif"
    write_map(out, codes, scene, SEA_ICE, TAGS)

    valid, errors, notes = cog_validate(out)
    assert valid, errors
    assert not notes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as source, rasterio.open(out) as written:
            assert written.crs == source.crs
            assert written.transform == source.transform
            assert written.shape == source.shape
            assert (written.count, written.dtypes, written.nodata) == (1, ("uint8",), 255)
            assert written.colormap(1)[0] == (0, 255, 0, 255)
            assert written.colormap(1)[1] == (0, 0, 255, 255)
            assert written.colormap(1)[2] == (255, 0, 0, 255)
            assert written.colormap(1)[255][3] == 0
            np.testing.assert_array_equal(written.read(1), codes)
            for factor in written.overviews(1):
                small = written.read(1, out_shape=(height // factor, width // factor))
                assert set(np.unique(small)) <= {0, 1, 2, 255}
    np.testing.assert_array_equal(read_map(out), codes)
    assert TAGS.items() <= map_tags(out).items()
    assert names(tmp_path) == ["map.tif", "scene.tif"]


def test_the_same_map_has_the_same_bytes(tmp_path):
    scene, codes = make_scene(700, 600), random_codes(700, 600)
    for name in ("a.tif", "b.tif"):
        write_map(tmp_path / name, codes, scene, SEA_ICE, TAGS)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_map_of_another_size_than_its_scene_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have the scene's shape"):
        write_map(tmp_path / "map.tif", random_codes(40, 61), make_scene(40, 60), SEA_ICE, TAGS)
    assert names(tmp_path) == []


def test_unreadable_maps(tmp_path):
    assert map_tags(tmp_path / "none.tif") == {}
    with pytest.raises(SceneError, match="can't be read"):
        read_map(tmp_path / "none.tif")


def test_folders_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be made"):
        output_folder(tmp_path / "file" / "maps")
    with pytest.raises(OutputError, match="can't be written: No such file"):
        write_table(tmp_path / "missing" / "table.csv", ["a"], [])
    with pytest.raises(OutputError, match="can't be written"):
        write_map(
            tmp_path / "missing" / "map.tif", random_codes(8, 8), make_scene(8, 8), SEA_ICE, TAGS
        )


# Sums


def test_summary_counts_areas_and_shares():
    codes = np.array([[0, 1, 1, 255], [2, 2, 2, 255]], np.uint8)
    # On an equal-area map, of pixels of 100 square metres.
    row = summarise(codes, make_scene(2, 4, "EPSG:6931"), SEA_ICE)
    assert [*row, *product_columns()] == summary_columns(SEA_ICE)
    assert row["valid_share"] == "0.750000"
    assert [row[f"{n}_share"] for n in SEA_ICE.names] == ["0.166667", "0.333333", "0.500000"]
    assert [row[f"{n}_km2"] for n in SEA_ICE.names] == ["0.000100", "0.000200", "0.000300"]


def test_summary_without_georeference_or_without_data():
    codes = np.array([[0, 1, 1, 255]], np.uint8)
    assert summarise(codes, make_scene(1, 4, crs=None), SEA_ICE)["thin_ice_km2"] == ""
    row = summarise(np.full((1, 4), 255, np.uint8), make_scene(1, 4), SEA_ICE)
    assert (row["valid_share"], row["thin_ice_share"]) == ("0.000000", "")

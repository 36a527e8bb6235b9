"""Products of a scene from fabricated probabilities and codes, without a model."""

from __future__ import annotations

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.transform import Affine
from rio_cogeo import cog_validate

from helpers.maps.inference_commands import names
from helpers.maps.made_maps import (
    OTHER,
    ROTATED,
    TAGS,
    fabricated_bands,
    make,
    make_scene,
    options_of,
    random_codes,
)
from inference.products.concentration import concentration_grid, ice_groups
from inference.products.entropy import entropy
from inference.products.paths import ProductPaths
from inference.products.photos import upright
from inference.products.probability import stored
from inference.products.registry import open_writers, parse_products, product_tags
from polynya.errors import OutputError, RecipeError, SceneError
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.inference import ConcentrationOptions
from polynya.recipe.recipe import Recipe
from polynya.scenes.reading import open_scene, read_scene


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as source:
            return source.read(), source.profile | {
                "tags": source.tags(),
                "scales": source.scales,
                "descriptions": source.descriptions,
                "colorinterp": [c.name for c in source.colorinterp],
            }


@pytest.mark.parametrize("size", [(1, 1), (40, 60), (1100, 530)])
def test_probability_and_entropy_are_cogs_of_scaled_bytes(tmp_path, size):
    codes, scene = random_codes(*size), make_scene(*size, "EPSG:32622", tuple(ROTATED)[:6])
    paths, probabilities, summary = make(tmp_path, codes, scene, "probability", "entropy")
    valid = codes != 255
    for path in (paths.named("_probability.tif"), paths.named("_entropy.tif")):
        is_cog, errors, _ = cog_validate(path)
        assert is_cog, errors
    values, profile = read(paths.named("_probability.tif"))
    assert (profile["dtype"], profile["nodata"]) == ("uint8", 255)
    assert profile["scales"] == (0.004,) * 3
    assert profile["transform"] == ROTATED
    assert profile["descriptions"] == tuple(f"probability of {n}" for n in SEA_ICE.names)
    assert profile["colorinterp"][0] == "gray"
    assert TAGS.items() <= profile["tags"].items()
    assert (values[:, ~valid] == 255).all()
    error = np.abs(values[:, valid] * 0.004 - probabilities[valid].T)
    assert error.max(initial=0) <= 0.002001
    values, _ = read(paths.named("_entropy.tif"))
    expected = -(probabilities * np.log(probabilities)).sum(axis=2)[valid] / np.log(3)
    np.testing.assert_allclose(values[0][valid] * 0.004, expected, atol=0.00201)
    assert (values[0][~valid] == 255).all()
    if valid.any():
        assert float(summary["mean_entropy"]) == pytest.approx(expected.mean(), abs=1e-5)
    assert names(tmp_path) == sorted(
        p.name for p in (paths.named("_probability.tif"), paths.named("_entropy.tif"))
    )


def test_entropy_is_0_for_certainty_and_1_for_none():
    probabilities = np.float32([[[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]])
    np.testing.assert_allclose(entropy(probabilities), [[0, 1]], atol=1e-6)


def test_stored_steps():
    values = np.float32([[0, 1, 0.5, 0.0021, 1.0000001, 0.7]])
    valid = np.array([[True] * 5 + [False]])
    assert stored(values, valid).tolist() == [[0, 250, 125, 1, 250, 255]]


@pytest.mark.parametrize("size", [(1, 1), (130, 95), (600, 211)])
def test_concentration_is_a_brute_force_count(tmp_path, size):
    codes, scene = random_codes(*size), make_scene(*size)
    paths, probabilities, _ = make(
        tmp_path, codes, scene, "concentration", concentration={"cell": 250}
    )
    is_cog, errors, _ = cog_validate(paths.named("_concentration.tif"))
    assert is_cog, errors
    values, profile = read(paths.named("_concentration.tif"))
    assert profile["descriptions"] == (
        "total", "total expected", "total uncertainty", "thick", "thick expected",
        "thick uncertainty", "thin", "thin expected", "thin uncertainty", "valid share",
    )  # fmt: skip
    assert profile["transform"] == Affine(250, 0, -300000, 0, -250, -1200000)
    assert profile["tags"]["cell_pixels"] == "25 x 25"
    assert values.shape[1:] == (-(-size[0] // 25), -(-size[1] // 25))
    for row, column in np.ndindex(*values.shape[1:]):
        place = np.s_[row * 25 : row * 25 + 25, column * 25 : column * 25 + 25]
        cell, chances = codes[place], probabilities[place]
        valid = cell != 255
        found = values[:, row, column]
        assert found[9] == np.float32(valid.sum() / 625)
        if not valid.any():
            assert np.isnan(found[:9]).all()
            continue
        for first, members in ((0, [1, 2]), (3, [2]), (6, [1])):
            ice = chances[valid][:, members].astype(float).sum(axis=1)
            expected = [
                np.isin(cell, members).sum() / valid.sum(),
                ice.mean(),
                np.sqrt(np.clip(ice * (1 - ice), 0, None)).mean(),
            ]
            np.testing.assert_allclose(found[first : first + 3], expected, atol=2e-6)


def test_the_uncertainty_bounds_the_deviation_of_dependent_pixels():
    # All pixels are ice together with probability 0.3: the concentration is 0 or 1.
    chance, n = 0.3, 16
    drawn = (np.random.default_rng(0).random(20000) < chance).repeat(n).reshape(-1, n)
    assert drawn.mean(axis=1).std() == pytest.approx(np.sqrt(chance * (1 - chance)), abs=0.01)


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        # At the pole 10 m on this map are 10.28 m on the ground.
        ("EPSG:3031", (10.0, 0, 0, 0, -10.0, 0), (97, 97)),
        ("EPSG:32622", tuple(ROTATED)[:6], (100, 100)),
        ("EPSG:3031", (30.0, 0, 0, 0, -20.0, 0), (49, 32)),
        # At 73 degrees north 100 m on this map are 29.3 m.
        ("EPSG:3857", (100.0, 0, 0, 0, -100.0, 12.126e6), (34, 34)),
        ("EPSG:3031", (3000.0, 0, 0, 0, -3000.0, 0), (1, 1)),
        # 0.001 degrees: 111.4 m along the equator, 110.6 m across; at 60 degrees half and 111.4.
        ("EPSG:4326", (0.001, 0, 10, 0, -0.001, 0.03), (9, 9)),
        ("EPSG:4326", (0.001, 0, 10, 0, -0.001, 60.03), (9, 18)),
        ("EPSG:2263", (10.0, 0, 0, 0, -10.0, 0), (328, 328)),
        (None, (10.0, 0, 0, 0, -10.0, 0), (64, 64)),
    ],
)
def test_cells_are_whole_pixels_next_to_the_wanted_size(crs, transform, expected):
    scene = make_scene(60, 60, crs, transform)
    grid = concentration_grid(scene, ConcentrationOptions(cell=1000, cell_pixels=64))
    assert (grid.rows, grid.columns) == expected
    assert (grid.height, grid.width) == tuple(-(-60 // n) for n in expected)


def test_ice_is_what_the_recipe_says():
    assert ice_groups(ConcentrationOptions(), SEA_ICE) == {
        "total": (1, 2), "thick": (2,), "thin": (1,),
    }  # fmt: skip
    own = ConcentrationOptions(ice={"water": ("wet", "wet")})
    assert ice_groups(own, OTHER) == {"water": (1,)}
    with pytest.raises(RecipeError, match="inference.concentration.ice"):
        ice_groups(ConcentrationOptions(), OTHER)
    with pytest.raises(RecipeError, match="has the class 'snow'"):
        Recipe.model_validate({"inference": {"concentration": {"ice": {"total": ["snow"]}}}})


def test_products_are_chosen_by_command_and_recipe():
    assert parse_products(None) is None
    assert parse_products("none") == ()
    assert len(parse_products("all")) == 6
    assert parse_products("polygons, entropy") == ("entropy", "polygons")
    with pytest.raises(RecipeError, match="--products has 'maps'"):
        parse_products("maps")
    chosen = options_of("concentration", concentration={"cell": 500})
    assert product_tags(chosen, SEA_ICE) == {
        "concentration_cell": "500",
        "concentration_cell_pixels": "100",
        "concentration_ice": "total: thin_ice, thick_ice; thick: thick_ice; thin: thin_ice",
    }
    assert product_tags(options_of("polygons"), SEA_ICE) == {"polygons_min_pixels": "16"}
    with pytest.raises(RecipeError, match="'concentration' can't know"):
        product_tags(chosen, OTHER)


def test_polygons_alone_leave_no_probabilities_behind(tmp_path):
    codes, scene = random_codes(60, 70), make_scene(60, 70)
    paths, probabilities, summary = make(tmp_path, codes, scene, "polygons")
    assert names(tmp_path) == sorted(
        p.name for p in (paths.named("_polygons.gpkg"), paths.named("_polygons.parquet"))
    )
    import geopandas

    frame = geopandas.read_parquet(paths.named("_polygons.parquet"))
    assert len(frame) == int(summary["polygons"])
    assert frame["pixels"].min() >= 16
    valid = codes != 255
    winning = probabilities.max(axis=2)[valid].astype(float)
    total = (frame["pixels"] * frame["mean_probability"]).sum() / frame["pixels"].sum()
    assert summary["dropped_pixels"] == "0"
    assert total == pytest.approx(winning.mean(), abs=0.0005)


def test_the_same_scene_has_the_same_bytes(tmp_path):
    codes, scene = random_codes(300, 200), make_scene(300, 200)
    products = ("probability", "entropy", "concentration", "polygons", "label-png")
    for folder in ("a", "b"):
        make(tmp_path / folder, codes, scene, *products)
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_is_left_of_products_of_a_scene_that_fails(tmp_path):
    codes, scene = random_codes(60, 70), make_scene(60, 70)
    paths = ProductPaths(tmp_path, scene.id)

    def fail():
        options = options_of("probability", "polygons")
        with open_writers(paths, scene, SEA_ICE, options, {}) as writers:
            writers.add(next(fabricated_bands(codes)))
            raise SceneError("torn")

    with pytest.raises(SceneError, match="torn"):
        fail()
    assert names(tmp_path) == []
    lost = ProductPaths(tmp_path / "none", scene.id)
    with (
        pytest.raises(OutputError, match="can't be written"),
        open_writers(lost, scene, SEA_ICE, options_of("entropy"), {}),
    ):
        pass


# Photographs


def write_photo(path, image):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def with_orientation(path, value):
    """Put the EXIF tag Orientation into a JPEG: an APP1 segment after the first two bytes."""
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([value, 0, 0, 0]) + bytes(4)
    segment = b"Exif\0\0" + tiff
    data = path.read_bytes()
    length = (len(segment) + 2).to_bytes(2, "big")
    path.write_bytes(data[:2] + b"\xff\xe1" + length + segment + data[2:])
    return path


def test_photographs_get_labels_and_overlays_as_png(tmp_path):
    path = write_photo(tmp_path / "in" / "photo.png", ice_image(50, 70))
    scene, codes = open_scene(str(path)), random_codes(50, 70)
    paths, _, _ = make(tmp_path / "out", codes, scene, "label-png", "overlay")
    assert names(tmp_path / "out") == [
        "photo_color.png", "photo_label.png", "photo_overlay.png",
    ]  # fmt: skip
    grey = cv2.imread(str(paths.named("_label.png")), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(grey, codes)
    color = cv2.imread(str(paths.named("_color.png")), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(
        color[..., 2::-1][codes != 255], SEA_ICE.paint(codes)[codes != 255]
    )
    np.testing.assert_array_equal(color[..., 3] == 0, codes == 255)
    indexes, profile = read(paths.named("_color.png"))
    np.testing.assert_array_equal(indexes[0], codes)
    assert profile["colorinterp"] == ["palette"]
    # PNG has a keyword "Source" of its own.
    assert TAGS.items() <= {key.lower(): text for key, text in profile["tags"].items()}.items()
    overlay = cv2.imread(str(paths.named("_overlay.png")))[..., ::-1].astype(int)
    image, _ = read_scene(scene)
    expected = (image.astype(int) + SEA_ICE.paint(codes)) / 2
    np.testing.assert_allclose(overlay[codes != 255], expected[codes != 255], atol=0.5)
    np.testing.assert_array_equal(overlay[codes == 255], image[codes == 255])


@pytest.mark.parametrize("value", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_says(tmp_path, value):
    image = cv2.resize(ice_image(6, 8), (80, 60), interpolation=cv2.INTER_CUBIC)
    path = with_orientation(write_photo(tmp_path / "photo.jpg", image), value)
    scene = open_scene(str(path))
    expected = cv2.imread(str(path))[..., ::-1]  # OpenCV turns by EXIF.
    with upright(scene, tmp_path) as seen:
        turned, valid = read_scene(seen)
        assert (seen.height, seen.width) == expected.shape[:2]
        assert (seen.id, seen.transform) == (scene.id, None)
    assert valid.all()
    np.testing.assert_allclose(turned, expected, atol=3)
    assert names(tmp_path) == ["photo.jpg"]


def test_scenes_with_a_place_are_as_they_are(tmp_path):
    scene = replace(make_scene(), uri="nowhere.tif")
    with upright(scene, tmp_path) as seen:
        assert seen is scene

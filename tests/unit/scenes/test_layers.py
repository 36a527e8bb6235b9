"""Layers of a scene beside its colours."""

import pickle

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from polynya.errors import RecipeError, SceneError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe, parse_recipe
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import open_scene, read_scene

NAMES = ("B02", "B03", "B04", "B08", "B11", "B10", "SCL")
SCALE, OFFSET = 1e-4, -0.1
WEST, NORTH = -300_000, -1_200_000  # As in the fixture write_scene.


def options(**layers):
    return SceneOptions(layers=LayerOptions(**layers))


@pytest.fixture
def numbers():
    """Digital numbers (40, 50, 7) in the order of NAMES."""
    rng = np.random.default_rng(0)
    stack = rng.integers(1000, 9000, (40, 50, 7)).astype(np.uint16)
    stack[..., 6] = rng.integers(0, 12, (40, 50))
    return stack


@pytest.fixture
def stack(write_scene, numbers):
    return str(write_scene("a.tif", numbers, scales=SCALE, offsets=OFFSET, descriptions=NAMES))


@pytest.fixture
def write_raster(tmp_path):
    """Factory of rasters of one band on any grid."""

    def write(name, pixels, crs, transform, **profile):
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", height=pixels.shape[0], width=pixels.shape[1],
            count=1, dtype=pixels.dtype, crs=crs, transform=transform, **profile,
        ) as target:  # fmt: skip
            target.write(pixels, 1)
        return tmp_path / name

    return write


# === Bands ===


def test_a_recipe_that_asks_for_nothing_gets_none(stack):
    assert read_layers(open_scene(stack)) is None
    layers = read_layers(open_scene(stack, options()))
    assert (layers.nir, layers.swir, layers.cirrus, layers.opaque_cloud) == (None,) * 4
    assert (layers.sun_azimuth, layers.sun_elevation) == (None, None)


@pytest.mark.parametrize(
    "asked",
    [
        {"nir": 4, "swir": 5, "cirrus": 6},
        {"nir": "B08", "swir": "B11", "cirrus": "B10"},
        {"nir": "auto", "swir": "auto", "cirrus": "auto"},
    ],
)
def test_bands_are_reflectance_by_the_scale_of_the_colours(stack, numbers, asked):
    scene = pickle.loads(pickle.dumps(open_scene(stack, options(**asked))))
    layers = read_layers(scene)
    for i, band in enumerate((layers.nir, layers.swir, layers.cirrus)):
        assert band.dtype == np.float32
        assert np.allclose(band, numbers[..., 3 + i] * SCALE + OFFSET, atol=1e-6)
    tile = Tile(5, 7, 11, 13)
    assert (read_layers(scene, tile).swir == layers.swir[tile.slices]).all()
    assert (read_scene(scene)[0] == read_scene(open_scene(stack))[0]).all()


def test_the_recipes_scale_counts_for_layers_too(write_scene):
    path = str(write_scene("a.tif", np.full((3, 3, 4), 3000, np.int16)))
    given = SceneOptions(scale=2e-4, offset=-0.2, bands=(1, 2, 3), layers=LayerOptions(nir=4))
    assert np.allclose(read_layers(open_scene(path, given)).nir, 0.4)


def test_8_bit_bands_are_shares_of_255(write_scene):
    stack = np.dstack([ice_image(8, 8), np.full((8, 8), 51, np.uint8)])
    path = str(write_scene("a.tif", stack, photometric="RGB", alpha="UNSPECIFIED"))
    layers = read_layers(open_scene(path, options(nir=4)))
    assert np.allclose(layers.nir, 0.2)


@pytest.mark.parametrize("nodata", [None, 7])
def test_reflectance_is_0_where_there_is_no_data(write_scene, numbers, nodata):
    numbers[:3] = nodata or 0
    path = write_scene("a.tif", numbers, scales=SCALE, offsets=OFFSET, descriptions=NAMES,
                       nodata=nodata)  # fmt: skip
    layers = read_layers(open_scene(str(path), options(nir="B08")))
    assert (layers.nir[:3] == 0).all()
    assert np.allclose(layers.nir[3:], numbers[3:, :, 3] * SCALE + OFFSET, atol=1e-6)


def test_auto_takes_only_what_is_there_and_a_name_insists(write_scene, numbers):
    path = str(
        write_scene("a.tif", numbers[..., :4], scales=SCALE, offsets=0.0, descriptions=NAMES[:4])
    )
    layers = read_layers(open_scene(path, options(nir="auto", swir="auto", cirrus="auto")))
    assert layers.nir is not None
    assert layers.swir is None
    assert layers.cirrus is None
    for key, band in [("swir", "B11"), ("cirrus", 9), ("clouds", "SCL")]:
        with pytest.raises(SceneError, match=f"no band {band!r}.*fix scene.layers.{key}") as caught:
            open_scene(path, options(**{key: band}))
        assert path in str(caught.value)


def test_a_band_of_another_type_than_the_colours_is_an_error(tmp_path, write_scene):
    write_scene("rgb.tif", ice_image(8, 8))
    write_scene("nir.tif", np.full((8, 8), 5000, np.uint16))
    files = [("Byte", "rgb.tif", 1), ("Byte", "rgb.tif", 2), ("Byte", "rgb.tif", 3)]
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{i}"><SimpleSource><SourceFilename'
        f' relativeToVRT="1">{file}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for i, (kind, file, band) in enumerate([*files, ("UInt16", "nir.tif", 1)], 1)
    )
    path = tmp_path / "a.vrt"
    path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{bands}</VRTDataset>')
    with pytest.raises(SceneError, match="uint16 pixels in band 4 and uint8 in its colours"):
        open_scene(str(path), options(nir=4))


# === Clouds ===


def test_clouds_are_a_band_of_the_file_with_some_values(stack, numbers):
    assert (
        read_layers(open_scene(stack, options(clouds="SCL"))).opaque_cloud
        == np.isin(numbers[..., 6], (8, 9))
    ).all()
    scene = open_scene(stack, options(clouds=7, cloud_values=(3, 10, 11)))
    tile = Tile(3, 4, 9, 8)
    found = read_layers(scene, tile).opaque_cloud
    assert found.dtype == np.bool_
    assert (found == np.isin(numbers[..., 6], (3, 10, 11))[tile.slices]).all()


@pytest.mark.parametrize("size", [10, 20, 30])
def test_clouds_are_a_file_beside_the_scene_on_its_own_grid(stack, write_raster, size):
    step = size // 10
    codes = np.random.default_rng(1).integers(0, 12, (40 // step + 2, 50 // step + 2))
    codes = codes.astype(np.uint8)
    write_raster("a_SCL.tif", codes, "EPSG:3031", from_origin(WEST, NORTH, size, size), nodata=0)
    scene = open_scene(stack, options(clouds="{stem}_SCL.tif"))
    expected = np.isin(np.kron(codes, np.ones((step, step), int)), (8, 9))[:40, :50]
    assert (read_layers(scene).opaque_cloud == expected).all()
    tile = Tile(6, 9, 20, 17)
    assert (read_layers(scene, tile).opaque_cloud == expected[tile.slices]).all()


def test_clouds_may_lie_in_another_folder_and_coordinate_system(stack, tmp_path, write_raster):
    (tmp_path / "clouds").mkdir()
    west, south, east, north = transform_bounds(
        "EPSG:3031", "EPSG:4326", WEST, NORTH - 400, WEST + 500, NORTH
    )
    middle = (west + east) / 2
    codes = np.repeat([[8, 0]], 200, axis=0).repeat(100, axis=1).astype(np.uint8)
    # Degrees around the scene; the border between cloud and none runs through its middle.
    edges = (middle - 0.05, north + 0.01, 0.0005, (north - south + 0.02) / 200)
    write_raster("clouds/a.cloud.tif", codes, "EPSG:4326", from_origin(*edges))
    scene = open_scene(stack, options(clouds="clouds/{stem}.cloud.tif"))
    clouds = read_layers(scene).opaque_cloud
    rows, cols = np.indices(clouds.shape)
    xs, ys = WEST + 10 * cols + 5, NORTH - 10 * rows - 5
    lon, _ = rasterio.warp.transform("EPSG:3031", "EPSG:4326", xs.ravel(), ys.ravel())
    expected = np.reshape(lon, clouds.shape) < middle
    assert 0.2 < clouds.mean() < 0.8
    assert (clouds == expected).mean() > 0.98


def test_without_georeference_the_size_decides(write_scene, write_raster):
    image = ice_image(12, 10)
    path = str(write_scene("a.tif", image, crs=None))
    codes = np.random.default_rng(1).integers(0, 12, (12, 10)).astype(np.uint8)
    write_scene("a.cloud.tif", codes, crs=None)
    wanted = options(clouds="{stem}.cloud.tif")
    assert (read_layers(open_scene(path, wanted)).opaque_cloud == np.isin(codes, (8, 9))).all()
    placed = str(write_scene("a.tif", image))
    assert (read_layers(open_scene(placed, wanted)).opaque_cloud == np.isin(codes, (8, 9))).all()
    write_scene("a.cloud.tif", codes[:6, :5], crs=None)
    with pytest.raises(
        SceneError, match=r"a\.cloud\.tif has no coordinate system.*the scene's size"
    ):
        open_scene(placed, wanted)


def test_a_cloud_file_that_is_missing_too_small_or_elsewhere_is_one_sentence(stack, write_raster):
    wanted = options(clouds="{stem}_SCL.tif")
    codes = np.zeros((20, 25), np.uint8)
    with pytest.raises(SceneError, match="a.tif has no cloud layer .*a_SCL.tif; put it there or"):
        open_scene(stack, wanted)
    for west, north in [(WEST + 20, NORTH), (WEST, NORTH - 20), (0, 0)]:
        path = write_raster("a_SCL.tif", codes, "EPSG:3031", from_origin(west, north, 20, 20))
        with pytest.raises(SceneError, match="does not cover all of .*a.tif; give one that does"):
            open_scene(stack, wanted)
    local = 'LOCAL_CS["a ship\'s own",UNIT["metre",1]]'
    write_raster("a_SCL.tif", codes, local, from_origin(WEST, NORTH, 20, 20))
    with pytest.raises(SceneError, match="can't be related"):
        open_scene(stack, wanted)
    path.write_text("no image")
    with pytest.raises(SceneError, match="a_SCL.tif can't be read"):
        open_scene(stack, wanted)


# === Sun ===


@pytest.mark.parametrize(
    ("tags", "azimuth", "elevation"),
    [
        ({"SUN_AZIMUTH": "41.5", "SUN_ELEVATION": "12"}, 41.5, 12.0),
        ({"MEAN_SOLAR_AZIMUTH_ANGLE": "-30", "MEAN_SOLAR_ZENITH_ANGLE": "70"}, 330.0, 20.0),
        ({"view:sun_azimuth": "180", "ELEVATION_OF_SITE": "900"}, 180.0, None),
        ({"CLOUDY": "yes"}, None, None),
    ],
)
def test_the_sun_is_in_the_files_tags(stack, tags, azimuth, elevation):
    with rasterio.open(stack, "r+") as target:
        target.update_tags(**tags)
    layers = read_layers(open_scene(stack, options()))
    assert (layers.sun_azimuth, layers.sun_elevation) == (azimuth, elevation)
    given = read_layers(open_scene(stack, options(sun_azimuth=360, sun_elevation=3)))
    assert (given.sun_azimuth, given.sun_elevation) == (0.0, 3.0)


def test_a_sun_that_is_no_number_is_an_error(stack):
    with rasterio.open(stack, "r+") as target:
        target.update_tags(SUN_AZIMUTH="south")
    with pytest.raises(SceneError, match="tag SUN_AZIMUTH with 'south'.*set scene.layers.sun_azim"):
        open_scene(stack, options())
    assert open_scene(stack, options(sun_azimuth=90.0)).layers.sun_azimuth == 90.0


# === Recipe ===


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ({"nri": 4}, "unknown key 'scene.layers.nri'; known there: cirrus, cloud_values, clouds"),
        ({"sun_azimuth": 400}, "wrong value for 'scene.layers.sun_azimuth'"),
        ({"cloud_values": []}, "wrong value for 'scene.layers.cloud_values'"),
        ({"nir": 1.5}, "wrong value for 'scene.layers.nir"),
    ],
)
def test_a_wrong_layer_is_one_sentence_with_file_and_key(layers, problem):
    with pytest.raises(RecipeError, match=problem) as caught:
        parse_recipe({"scene": {"layers": layers}}, source="my.yaml")
    assert "\n" not in str(caught.value)


def test_layers_change_the_digest_of_labels():
    with_layers = Recipe.model_validate({"scene": {"layers": {"nir": "auto"}}})
    assert with_layers.labels_digest() != Recipe().labels_digest()

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
from polynya.recipe.recipe import Recipe, load_recipe, parse_recipe
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import open_scene, read_scene

NAMES = ("B02", "B03", "B04", "B08", "B11", "B10", "SCL")
SCALE, OFFSET = 1e-4, -0.1
WEST, NORTH = -300_000, -1_200_000  # As in the fixture write_scene.


def options(**layers):
    """Options with only the given layers."""
    return SceneOptions(layers=LayerOptions(**dict.fromkeys(("nir", "swir", "cirrus")) | layers))


def found(path, **more):
    """Bands of near infrared, short-wave infrared and cirrus that are found by default."""
    layers = open_scene(str(path), SceneOptions(**more)).layers
    return layers.nir, layers.swir, layers.cirrus


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


def test_a_recipe_that_wants_none_gets_none(stack):
    for said in (None, "none"):
        assert read_layers(open_scene(stack, SceneOptions(layers=said))) is None
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


# === Found by name ===


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("B04", "B03", "B02", "B08", "B11", "B10"), (4, 5, 6)),
        (("B4", "B3", "B2", "B8"), (4, None, None)),
        (("B02", "B03", "B04", "B8A", "B12"), (4, 5, None)),
        (("B8A", "B04", "B03", "B02", "B08"), (5, None, None)),
        (("red", "green", "blue", "nir", "swir16", "cirrus"), (4, 5, 6)),
        (("red", "green", "blue", "nir08", "swir22"), (4, 5, None)),
        (("swir16", "NIR", "Blue", "Green", "Red"), (2, 1, None)),
        (("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"), (None, None, None)),
        (("LC08_B4", "LC08_B3", "LC08_B2", "LC08_B8", "LC08_B11", "LC08_B5"), (6, None, None)),
        (("LC08_B4", "LC08_B3", "LC08_B2", "LC08_B6", "LC08_B9"), (None, 4, 5)),
        (("LT05_B3", "LT05_B2", "LT05_B1", "LT05_B4", "LT05_B5"), (4, 5, None)),
        (tuple(f"sur_refl_b0{n}" for n in (1, 4, 3, 2, 6, 7)), (4, 5, None)),
        (("red", "green", "blue", "nir", "NIR (mean)"), (None, None, None)),
        (("red", "green", "blue", "SCL", "nir_mask"), (None, None, None)),
        (("red", "green", "blue", "Band 4", "Band 8", "Band 11"), (None, None, None)),
        (("red", "green", "blue"), (None, None, None)),
    ],
)
def test_by_default_infrared_and_cirrus_are_found_by_their_names(write_scene, names, bands):
    image = np.full((6, 7, len(names)), 3000, np.uint16)
    path = write_scene("a.tif", image, scales=SCALE, offsets=OFFSET, descriptions=names)
    assert found(path) == bands
    assert found(path, layers=LayerOptions(nir=None)) == (None, *bands[1:])


@pytest.mark.parametrize("count", [3, 4, 5])
def test_bands_without_names_are_no_infrared(write_scene, count):
    image = np.dstack([ice_image(8, 8), np.full((8, 8, 2), 200, np.uint8)])[..., :count]
    path = write_scene("a.tif", image, photometric="RGB")
    assert found(path) == (None, None, None)
    scene = open_scene(str(path))
    layers = read_layers(scene)
    assert (layers.nir, layers.swir, layers.cirrus, layers.opaque_cloud) == (None,) * 4


def test_a_scene_of_colours_is_not_opened_for_layers(write_scene, monkeypatch):
    scene = open_scene(str(write_scene("a.tif", ice_image(8, 8))))
    monkeypatch.setattr("polynya.scenes.beside.layers.opened_raster", None)
    assert read_layers(scene).nir is None


@pytest.mark.parametrize("alpha", ["UNSPECIFIED", "NON-PREMULTIPLIED"])
def test_infrared_beside_8_bit_colours_is_no_alpha_and_no_mask(write_scene, alpha):
    image = ice_image(40, 40)
    nir, swir = (np.full((40, 40), value, np.uint8) for value in (102, 51))
    nir[:20] = 0  # Dark water, and no hole in the image.
    names = ("B04", "B03", "B02", "B08", "B11")
    stack = np.dstack([image, nir, swir])
    path = write_scene("a.tif", stack, photometric="RGB", alpha=alpha, descriptions=names)
    pixels, valid = read_scene(open_scene(str(path)))
    assert (pixels == image).all()
    assert valid.all()
    layers = read_layers(open_scene(str(path)))
    assert np.allclose(layers.nir, nir / 255)
    assert np.allclose(layers.swir, 0.2)
    four = write_scene("b.tif", stack[..., :4], photometric="RGB", descriptions=names[:4])
    assert read_scene(open_scene(str(four)))[1].all()
    assert np.allclose(read_layers(open_scene(str(four))).nir, nir / 255)


def test_only_a_band_that_is_named_may_not_fit(tmp_path, write_scene):
    """Bands of another type or scale than the colours are left out if nobody names them."""
    write_scene("rgb.tif", np.full((8, 8, 3), 3000, np.uint16))
    write_scene("nir.tif", np.full((8, 8), 0.3, np.float32))
    files = [("UInt16", "rgb.tif", 1, "B04"), ("UInt16", "rgb.tif", 2, "B03"),
             ("UInt16", "rgb.tif", 3, "B02"), ("Float32", "nir.tif", 1, "B08"),
             ("UInt16", "rgb.tif", 1, "B11")]  # fmt: skip
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{i}"><Description>{name}</Description>'
        f"<Scale>{0.001 if name == 'B11' else SCALE}</Scale><SimpleSource>"
        f'<SourceFilename relativeToVRT="1">{file}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for i, (kind, file, band, name) in enumerate(files, 1)
    )
    path = tmp_path / "a.vrt"
    path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{bands}</VRTDataset>')
    assert found(path) == (None, None, None)
    assert found(path, scale=SCALE) == (None, 5, None)
    with pytest.raises(SceneError, match="float32 pixels in band 4 and uint16 in its colours"):
        open_scene(str(path), options(nir="B08"))


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
    assert (layers.sun is None) == (azimuth is None)
    given = read_layers(open_scene(stack, options(sun_azimuth=360, sun_elevation=3)))
    assert (given.sun_azimuth, given.sun_elevation) == (0.0, 3.0)


def test_a_sun_that_is_no_number_is_unknown(stack):
    with rasterio.open(stack, "r+") as target:
        target.update_tags(SUN_AZIMUTH="south", SUN_ELEVATION="nan")
    layers = open_scene(stack).layers
    assert (layers.sun_azimuth, layers.sun_elevation) == (None, None)
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
    said = [{}, {"layers": None}, {"layers": {"swir": None}}, {"layers": {"nir": "B08"}}]
    recipes = [Recipe.model_validate({"scene": scene}) for scene in said]
    assert len({recipe.labels_digest() for recipe in recipes}) == len(said)
    spelt = {"layers": {"nir": "auto", "swir": "auto", "cirrus": "auto"}}
    assert Recipe.model_validate({"scene": spelt}) == Recipe()
    assert Recipe.model_validate({"scene": {"layers": "none"}}) == recipes[1]
    assert recipes[1].labels_digest() == "b172d17ea7ff9758"  # As when this was the default.


def test_a_saved_recipe_keeps_its_meaning(tmp_path):
    for number, layers in enumerate((None, {"nir": None, "swir": "B11"}, {})):
        recipe = Recipe.model_validate({"scene": {"layers": layers}})
        recipe.save(tmp_path / f"{number}.yaml")
        assert load_recipe(tmp_path / f"{number}.yaml") == recipe


def test_auto_has_another_digest_than_when_it_looked_for_sentinel_2_only():
    """Labels of such a recipe may differ now, so they go into a data set of their own."""
    recipe = Recipe.model_validate(
        {"scene": {"zero_is_nodata": True, "layers": {"swir": None, "cirrus": None}}}
    )
    assert recipe.digest("scene") != "e30b3df1c733923e"
    by_name = Recipe.model_validate(
        {"scene": {"zero_is_nodata": True, "layers": {"nir": "B08", "swir": None, "cirrus": None}}}
    )
    assert by_name.digest("scene") == "743183162f288997"

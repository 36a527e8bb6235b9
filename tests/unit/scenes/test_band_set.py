"""Named bands of a scene in the type of their file, and what is missing in each of them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import SceneOptions
from polynya.scenes import open_scene, read_scene
from polynya.scenes.band_set import read_inputs

SENTINEL_2 = ("B02", "B03", "B04", "B08", "B11")


@pytest.fixture
def write_bands(write_scene):
    """Write bands with names, a file's scales and offsets, and nodata."""

    def write(name, pixels, names=(), tags=None, scales=None, offsets=None, **profile):
        path = write_scene(name, pixels, **profile)
        with rasterio.open(path, "r+") as file:
            for index, description in enumerate(names, start=1):
                file.set_band_description(index, description)
            if scales is not None:
                file.scales = scales
            if offsets is not None:
                file.offsets = offsets
            file.update_tags(**(tags or {}))
        return str(path)

    return write


def numbered(dtype, bands, height=2, width=3):
    """Band b has b * 10 + its pixel's number."""
    pixel = np.arange(height * width).reshape(height, width, 1)
    return (pixel + 10 * np.arange(1, bands + 1)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands", [3, 5, 7, 13])
def test_numbers_are_as_in_the_file(write_bands, dtype, bands):
    pixels = numbered(dtype, bands)
    names = [f"layer_{index}" for index in range(bands)]
    path = write_bands("a.tif", pixels, names)
    wanted = tuple(reversed(names))
    options = SceneOptions(inputs=wanted, bands=(1, 2, 3), scale=0.01, offset=0.0)
    scene = open_scene(path, options)
    assert scene.inputs.names == wanted
    assert scene.inputs.dtype == dtype
    read = read_inputs(scene)
    assert read.numbers.dtype == dtype
    assert (read.numbers == pixels[..., ::-1]).all()
    assert read.valid.all()
    part = read_inputs(scene, Tile(1, 1, 1, 2))
    assert (part.numbers == pixels[1:2, 1:3, ::-1]).all()


def test_one_band_is_enough_where_its_grey_stands_for_colours(write_bands):
    path = write_bands("a.tif", numbered("uint8", 1))
    scene = open_scene(path, SceneOptions(inputs=(1,), bands=(1, 1, 1)))
    assert scene.inputs.names == ("band_1",)
    assert (read_inputs(scene).numbers[..., 0] == numbered("uint8", 1)[..., 0]).all()
    assert read_scene(scene)[0].shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("names", "tags", "wanted", "expected"),
    [
        (SENTINEL_2, {}, ("red", "green", "nir", "swir16"), (3, 2, 4, 5)),
        (SENTINEL_2, {}, ("B04", "b8", "SWIR1"), (3, 4, 5)),
        (("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6"), {"SPACECRAFT_ID": "LANDSAT_8"},
         ("nir", "swir16", "red"), (4, 5, 3)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5"), {"SPACECRAFT_ID": "LANDSAT_7"},
         ("nir", "swir16", "blue"), (4, 5, 1)),
        (("sur_refl_b01", "sur_refl_b02", "sur_refl_b03", "sur_refl_b04", "sur_refl_b07"), {},
         ("red", "nir", "blue", "green", "swir22"), (1, 2, 3, 4, 5)),
        (("Red", "Green", "Blue", "Near_Infrared", "QA"), {}, ("nir", "QA", "qa_pixel"), None),
        (("red", "green", "blue", "NIR", "elevation"), {}, ("nir", "elevation"), (4, 5)),
        (("Red Edge 1", "Red (B04)", "Near Infrared", "SWIR 1", "Short wave infrared"), {},
         ("red", "rededge1", "nir", "swir16"), (2, 1, 3, 4)),
        (("N", "R", "G", "B", "alpha"), {}, ("nir", "red"), (1, 2)),
        (("red band", "green band", "blue band", "nir band", "x"), {}, ("nir", 5), (4, 5)),
    ],
)  # fmt: skip
def test_bands_are_found_by_the_names_of_the_field(write_bands, names, tags, wanted, expected):
    path = write_bands("a.tif", numbered("uint8", 5), names, tags)
    options = SceneOptions(inputs=wanted, bands=(1, 2, 3))
    if expected is None:
        with pytest.raises(SceneError, match=r"has no band 'qa_pixel' .*scene\.inputs"):
            open_scene(path, options)
    else:
        assert open_scene(path, options).inputs.indexes == expected


@pytest.mark.parametrize("name", ["Red Edge", "red_ratio", "infra red", "deep blue"])
def test_a_colour_beside_another_word_is_not_that_colour(write_bands, name):
    path = write_bands("a.tif", numbered("uint8", 3), (name, "x", "y"))
    for colour in ("red", "blue"):
        with pytest.raises(SceneError, match=f"has no band '{colour}'"):
            open_scene(path, SceneOptions(inputs=(colour,), bands=(1, 2, 3)))


def test_another_order_of_bands_in_the_file_gives_the_same_pixels(write_bands):
    pixels = numbered("uint16", 5)
    order = [4, 2, 0, 1, 3]
    options = SceneOptions(inputs=("nir", "red", "swir16"), scale=0.0001, offset=0.0)
    one = open_scene(write_bands("a.tif", pixels, SENTINEL_2), options)
    two = open_scene(
        write_bands("b.tif", pixels[..., order], [SENTINEL_2[i] for i in order]), options
    )
    assert (read_inputs(one).numbers == read_inputs(two).numbers).all()
    assert (read_scene(one)[0] == read_scene(two)[0]).all()


def test_what_is_missing_is_known_for_each_band(write_bands):
    pixels = numbered("int16", 4)
    pixels[0, 0] = -32768
    pixels[0, 1, 3] = -32768
    path = write_bands("a.tif", pixels, ("red", "green", "blue", "nir"), nodata=-32768)
    options = SceneOptions(inputs=("red", "nir"), scale=0.01, offset=0.5)
    scene = open_scene(path, options)
    read = read_inputs(scene)
    assert read.valid[0, 0].tolist() == [False, False]
    assert read.valid[0, 1].tolist() == [True, False]
    assert read.valid[1].all()
    assert read.numbers[0, 1].tolist() == [11, 0]
    values = scene.inputs.values(read.numbers, read.valid)
    assert values.dtype == np.float32
    assert np.isnan(values[0, 0]).all()
    assert values[0, 1, 0] == np.float32(11 * 0.01 + 0.5)
    assert np.isnan(values[0, 1, 1])


def test_floats_have_nan_and_a_scale_of_each_band(write_bands):
    pixels = numbered("float32", 4) / 100
    pixels[1, 2, 3] = np.nan
    pixels[1, 1, 0] = np.inf
    path = write_bands(
        "a.tif", pixels, ("red", "green", "blue", "t"), scales=(1, 1, 1, 2), offsets=(0, 0, 0, 7)
    )
    scene = open_scene(path, SceneOptions(inputs=("red", "t")))
    read = read_inputs(scene)
    assert np.argwhere(~read.valid).tolist() == [[1, 1, 0], [1, 2, 1]]
    values = scene.inputs.values(read.numbers, read.valid)
    assert values[0, 0].tolist() == pytest.approx([0.10, 2 * 0.40 + 7])
    # The colours are reflectances: 0.1 of 0..1 is 26 of 0..255; what isn't finite is nodata.
    image, valid = read_scene(scene)
    assert image[0, 0].tolist() == [26, 51, 76]
    assert not valid[1, 1]
    assert image[1, 1].tolist() == [0, 0, 0]


def test_a_mask_counts_for_all_bands(write_bands):
    path = write_bands("a.tif", numbered("uint8", 4), ("red", "green", "blue", "nir"))
    with rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[0, 255, 255], [255, 255, 255]], np.uint8))
    read = read_inputs(open_scene(path, SceneOptions(inputs=("nir",))))
    assert read.valid[..., 0].tolist() == [[False, True, True], [True, True, True]]


@pytest.mark.parametrize(
    ("pixels", "options", "problem"),
    [
        (numbered("uint8", 4), {"inputs": (1, 1)}, "'1' and '1' .* are the same band"),
        (numbered("uint8", 4), {"inputs": (9,)}, r"no band 9 .*scene\.inputs"),
        (numbered("uint8", 4), {"inputs": ("thermal",)}, r"no band 'thermal' .*scene\.inputs"),
        (numbered("float64", 4), {"inputs": (1,)}, "float64 pixels"),
    ],
)
def test_inputs_that_can_not_be_are_one_sentence(write_bands, pixels, options, problem):
    path = write_bands("a.tif", pixels)
    with pytest.raises(SceneError, match=problem) as caught:
        open_scene(path, SceneOptions(**options))
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_floats_that_are_digital_numbers_are_refused(write_bands):
    scene = open_scene(write_bands("a.tif", numbered("float32", 3) * 100))
    with pytest.raises(SceneError, match=r"no reflectances; set scene\.scale"):
        read_scene(scene)


def test_recipes_without_inputs_have_the_digests_they_had():
    assert Recipe().labels_digest() != Recipe(scene=SceneOptions(inputs=("red",))).labels_digest()
    assert "inputs" in Recipe().scene.model_dump()


def test_black_is_missing_in_files_that_say_nothing_of_nodata(write_bands):
    pixels = numbered("uint16", 4)
    pixels[0, 0] = 0
    pixels[0, 1, :3] = 0
    path = write_bands("a.tif", pixels, ("red", "green", "blue", "nir"))
    options = {"inputs": ("nir", "red"), "scale": 0.01, "offset": 0.0}
    read = read_inputs(open_scene(path, SceneOptions(**options)))
    assert read.valid[0].tolist() == [[False, False], [True, True], [True, True]]
    read = read_inputs(open_scene(path, SceneOptions(**options, zero_is_nodata=False)))
    assert read.valid.all()

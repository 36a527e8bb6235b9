"""Finding, describing and reading scenes."""

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.recipe.scene import SceneOptions
from polynya.scenes.finding import find_scenes
from polynya.scenes.reading import open_scene, read_scene


def test_find_scenes_expands_files_folders_and_globs_once_and_in_order(tmp_path):
    for name in ("b.tif", "a.TIF", "c.png", "notes.txt"):
        (tmp_path / name).touch()
    found = find_scenes([str(tmp_path / "*.tif"), str(tmp_path), str(tmp_path / "b.tif")])
    assert [ref.id for ref in found] == ["a", "b", "c"]


def test_find_scenes_keeps_what_leads_nowhere_so_that_it_fails_by_name(tmp_path):
    patterns = [str(tmp_path / "none.tif"), str(tmp_path / "*.jp2"), str(tmp_path)]
    assert {ref.uri for ref in find_scenes(patterns)} == set(patterns)


def test_equal_names_in_different_folders_get_different_ids(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scene 1.tif").touch()
    names = [ref.id for ref in find_scenes([str(tmp_path / "x"), str(tmp_path / "y")])]
    assert len(set(names)) == 2
    assert all(name.startswith("scene_1-") for name in names)


def test_rgb_scene_keeps_pixels_and_georeference(write_scene):
    image = ice_image(40, 50)
    scene = open_scene(str(write_scene("a.tif", image)))
    assert (scene.id, scene.height, scene.width, scene.crs) == ("a", 40, 50, "EPSG:3031")
    assert scene.transform == (10, 0, -300_000, 0, -10, -1_200_000)
    pixels, valid = read_scene(scene)
    assert (pixels == image).all()
    assert valid.all()
    part, _ = read_scene(scene, Tile(5, 7, 11, 13))
    assert (part == image[5:16, 7:20]).all()
    assert scene.tile_transform(Tile(5, 7, 11, 13)) == (10, 0, -299_930, 0, -10, -1_200_050)


def test_scene_without_georeference_has_none(write_scene):
    scene = open_scene(str(write_scene("a.tif", ice_image(4, 4), crs=None)))
    assert scene.crs is None
    assert scene.transform is None
    assert scene.tile_transform(Tile(0, 0, 2, 2)) is None


@pytest.mark.parametrize("kind", ["zero", "value", "alpha", "mask", "none"])
def test_nodata_is_known_per_pixel_whatever_marks_it(write_scene, kind):
    image = ice_image(8, 8)
    invalid = np.zeros((8, 8), bool)
    invalid[:3, :2] = True
    options = SceneOptions()
    profile = {}
    if kind == "zero":
        image[invalid] = 0
    elif kind == "value":
        image[invalid] = 7
        profile["nodata"] = 7
    elif kind == "alpha":
        alpha = np.where(invalid, 0, 255).astype(np.uint8)
        image = np.dstack([image, alpha])
        profile.update(photometric="RGB", alpha="YES")
    elif kind == "mask":
        profile["mask"] = ~invalid
    else:
        image[invalid] = 0
        invalid[:] = False
        options = SceneOptions(zero_is_nodata=False)
    pixels, valid = read_scene(open_scene(str(write_scene("a.tif", image, **profile)), options))
    assert (valid == ~invalid).all()
    assert (pixels[invalid] == 0).all()
    assert (pixels[valid] == image[..., :3][valid]).all()


def test_black_is_a_colour_where_the_file_has_an_alpha_band(write_scene):
    image = np.dstack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 255, np.uint8)])
    path = write_scene("a.tif", image, photometric="RGB", alpha="YES")
    assert read_scene(open_scene(str(path)))[1].all()


@pytest.mark.parametrize(
    ("scale", "offset", "number", "expected"),
    [
        (1e-4, 0.0, 10000, 255),
        (1e-4, 0.0, 5000, 128),
        (1e-4, -0.1, 6000, 128),
        (1e-4, 0.0, 20000, 255),
        (1e-4, -0.1, 900, 1),
        (1e-4, 0.0, 1, 1),
    ],
)
def test_digital_numbers_become_reflectance_by_the_files_own_scale(
    write_scene, scale, offset, number, expected
):
    pixels = np.full((3, 3, 3), number, np.uint16)
    path = write_scene("a.tif", pixels, scales=scale, offsets=offset)
    assert (read_scene(open_scene(str(path)))[0] == expected).all()


def test_the_recipe_gives_scale_and_stretch_where_the_file_has_none(write_scene):
    path = write_scene("a.tif", np.full((3, 3, 3), 3500, np.int16))
    options = SceneOptions(scale=1e-4, offset=-0.1, stretch=(0.0, 0.5))
    assert (read_scene(open_scene(str(path), options))[0] == 128).all()


def test_bands_are_found_by_name_number_and_colour(write_scene):
    stack = np.stack([np.full((2, 2), n, np.uint8) for n in (10, 20, 30, 40, 50)], axis=-1)
    named = write_scene("a.tif", stack, descriptions=("B02", "B03", "B04", "B08", "B11"))
    assert open_scene(str(named)).band_indexes == (3, 2, 1)
    plain = write_scene("b.tif", stack)
    with rasterio.open(plain, "r+") as source:
        source.colorinterp = [rasterio.enums.ColorInterp.undefined] * 5
    assert open_scene(str(plain), SceneOptions(bands=(5, 4, 3))).band_indexes == (5, 4, 3)
    assert open_scene(str(named), SceneOptions(bands=("B04", "B03", 1))).band_indexes == (3, 2, 1)
    with pytest.raises(SceneError, match="5 bands and none is marked red"):
        open_scene(str(plain))
    with pytest.raises(SceneError, match="no band 'B8A'"):
        open_scene(str(named), SceneOptions(bands=("B8A", "B03", "B02")))


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (np.ones((4, 4, 1), np.uint8), "1 band where red, green and blue are needed"),
        (np.ones((4, 4, 2), np.uint8), "2 bands where"),
        (np.ones((4, 4, 3), np.float64), "float64 pixels; convert them to reflectance"),
        (np.ones((4, 4, 3), np.uint16), "set scene.scale and scene.offset"),
    ],
)
def test_a_scene_of_the_wrong_kind_is_one_sentence(write_scene, pixels, problem):
    path = str(write_scene("a.tif", pixels))
    with pytest.raises(SceneError, match=problem) as caught:
        open_scene(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_scenes_say_why(tmp_path, write_scene):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tif").write_text("no image")
    for uri, problem in [
        (tmp_path / "none.tif", "does not exist"),
        (tmp_path / "empty", "folder without scenes"),
        (tmp_path / "*.jp2", "No file matches"),
        (tmp_path / "text.tif", "can't be read and may be truncated or no image"),
    ]:
        with pytest.raises(SceneError, match=problem):
            open_scene(str(uri))


def test_a_truncated_file_is_an_error_when_it_is_read(write_scene):
    noise = np.random.default_rng(0).integers(1, 255, (256, 256, 3)).astype(np.uint8)
    path = write_scene("a.tif", noise, tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match="may be truncated"):
        read_scene(open_scene(str(path)))


@pytest.mark.parametrize("nodata", [0, 7, None])
@pytest.mark.parametrize("bands", [3, 4])
def test_only_the_used_bands_say_what_is_valid(write_scene, nodata, bands):
    pixels = np.random.default_rng(1).integers(0, 9, (40, 50, bands)).astype(np.uint8)
    pixels[:9] = 0
    pixels[9:20] = 7
    pixels[5, :9, 3:] = 3  # The near infrared has no holes there.
    names = ("B04", "B03", "B02", "B08")[:bands]
    path = str(write_scene("a.tif", pixels, nodata=nodata, descriptions=names))
    expected = (pixels[..., :3] != nodata).any(axis=2) if nodata is not None else np.True_
    image, valid = read_scene(open_scene(path, SceneOptions(zero_is_nodata=False)))
    assert (valid == expected).all()
    assert (image[valid] == pixels[valid][:, :3]).all()
    assert (image[~valid] == 0).all()


@pytest.mark.parametrize("scale", [1e-5, 1 / 65535, 2.75e-5, 1e-4, 1 / 255, 0.01])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_scales_of_products_are_taken(write_scene, scale, dtype):
    path = str(write_scene("a.tif", np.ones((4, 4, 3), dtype), scales=scale))
    assert open_scene(path).scale == scale


@pytest.mark.parametrize(
    ("scale", "offset", "problem"),
    [
        (1e-300, 0.0, "the scale 1e-300, which is no reflectance"),
        (1e-320, 0.0, "which is no reflectance"),
        (9e-7, 0.0, "the scale 9e-07"),
        (-1e-4, 0.0, "the scale -0.0001"),
        (0.5, 0.0, "the scale 0.5"),
        (1e9, 0.0, "the scale 1e\\+09"),
        (1e-4, 1.5, "reflectances of 1.5 to 8.05.*, outside of the stretch 0 to 1"),
        (1e-5, -0.7, "outside of the stretch"),
        (1e-4, 1e300, "the offset 1e\\+300"),
    ],
)
def test_a_scale_by_which_all_is_one_class_is_an_error(write_scene, scale, offset, problem):
    path = str(write_scene("a.tif", np.ones((4, 4, 3), np.uint16), scales=scale, offsets=offset))
    with pytest.raises(SceneError, match=f"{problem}.*set scene.(scale|offset)") as caught:
        open_scene(path)
    assert path in str(caught.value)

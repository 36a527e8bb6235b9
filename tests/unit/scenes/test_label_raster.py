"""Labels that people made: codes and masks, read on the scene's grid or brought to it."""

import pickle

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from rasterio.transform import from_origin

from polynya.errors import LabelError, RecipeError, SceneError, TruthError
from polynya.grid import Tile
from polynya.recipe.recipe import Recipe
from polynya.scenes.beside.label_raster import read_labels, with_labels
from polynya.scenes.finding import find_scenes
from polynya.scenes.identity import labelled_digest, scene_digest, without_labels
from polynya.scenes.reading import open_scene
from polynya.scenes.truth import read_truth

WEST, NORTH = -300_000, -1_200_000  # As in the fixture write_scene, EPSG:3031, 10 m.


def recipe_of(n, kind="exclusive", **label):
    classes = [
        {"code": code, "name": f"c{code}", "title": f"C {code}", "color": [code + 1, 0, 9]}
        for code in range(n)
    ]
    return Recipe.model_validate({
        "classes": {"name": "own", "kind": kind, "classes": classes},
        "label": {"raster": "{stem}_labels.tif", **label},
    })  # fmt: skip


@pytest.fixture
def read(write_scene):
    """Writes labels beside a scene and reads them: whole, and in a window that must agree."""

    def read(labels, recipe, **profile):
        shape = labels.shape[:2]
        scene = open_scene(str(write_scene("a.tif", ice_image(*shape))))
        write_scene("a_labels.tif", labels, **profile)
        scene = pickle.loads(pickle.dumps(with_labels(scene, recipe)))
        found = read_labels(scene, recipe.classes)
        assert found.dtype == np.uint8
        assert found.shape == shape
        part = Tile(1, 0, shape[0] - 1, shape[1])
        assert (read_labels(scene, recipe.classes, part) == found[part.slices]).all()
        return found

    return read


@pytest.mark.parametrize("n", [2, 3, 11])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_exclusive_classes_are_codes(read, n, dtype):
    labels = (np.arange(24).reshape(4, 6) % n).astype(dtype)
    expected = labels.astype(np.uint8)
    labels[2, 3], expected[2, 3] = 255, 255
    assert (read(labels, recipe_of(n)) == expected).all()
    labels[0, 0], expected[0, 0] = 77, 255
    assert (read(labels, recipe_of(n), nodata=77) == expected).all()


def test_what_is_no_number_or_masked_is_unknown(read):
    labels = np.array([[0, 1, np.nan], [1, 0, 1]], np.float32)
    assert read(labels, recipe_of(2)).tolist() == [[0, 1, 255], [1, 0, 1]]
    labels = np.array([[0, 1, 9], [1, 0, 1]], np.uint8)
    mask = np.array([[255, 255, 0], [255, 255, 0]], np.uint8)
    assert read(labels, recipe_of(2), mask=mask).tolist() == [[0, 1, 255], [1, 0, 255]]


def test_one_mask_is_one_band_of_0_and_1(read):
    labels = np.array([[0, 1, 255], [1, 7, 0]], np.uint8)
    found = read(labels, recipe_of(1, "masks"), nodata=7)
    assert found.tolist() == [[0, 1, 255], [1, 255, 0]]


def test_masks_that_overlap_become_bits(read):
    first = [[0, 1, 1, 0], [1, 1, 0, 0]]
    second = [[0, 0, 1, 1], [1, 0, 0, 255]]
    third = [[0, 0, 1, 0], [1, 1, 200, 1]]
    labels = np.stack([first, second, third], axis=-1).astype(np.uint8)
    # 1 + 2 + 4 by bits; what is nodata in one band is unknown.
    found = read(labels, recipe_of(3, "masks"), nodata=200)
    assert found.tolist() == [[0, 1, 7, 2], [7, 5, 255, 255]]


def test_a_fourth_mask_of_bytes_is_no_alpha(read):
    labels = np.zeros((4, 6, 4), np.uint8)
    labels[1:3, :, 3], labels[:, 2, 0] = 1, 1  # GDAL calls the fourth band of bytes alpha.
    expected = np.zeros((4, 6), np.uint8)
    expected[1:3], expected[:, 2] = 8, 1
    expected[1:3, 2] = 9
    assert (read(labels, recipe_of(4, "masks")) == expected).all()


@pytest.mark.parametrize("masks", [1, 4])
def test_labels_on_another_grid_are_those_of_the_nearest_pixel(write_scene, masks):
    scene = open_scene(str(write_scene("a.tif", ice_image(6, 8))))
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 2, (2, 4, masks)).astype(np.uint8)
    path = write_scene("a_labels.tif", coarse)
    with rasterio.open(path, "r+") as target:  # 20 m: its 2 x 4 pixels are 4 x 8 of the scene.
        target.transform = from_origin(WEST, NORTH - 10, 20, 20)
    recipe = recipe_of(masks, "masks")
    scene = with_labels(scene, recipe)
    bits = (coarse << np.arange(masks, dtype=np.uint8)).sum(axis=-1)
    expected = np.full((6, 8), 255)
    expected[1:5] = bits.repeat(2, axis=0).repeat(2, axis=1)
    assert (read_labels(scene, recipe.classes) == expected).all()
    part = Tile(2, 0, 3, 8)
    assert (read_labels(scene, recipe.classes, part) == expected[2:5]).all()


def test_labels_in_another_coordinate_system_fall_where_they_lie(write_scene):
    from pyproj import Transformer

    scene = open_scene(str(write_scene("a.tif", ice_image(30, 40))))
    to_degrees = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True)
    rows, cols = np.indices((30, 40)) + 0.5
    longitude, latitude = to_degrees.transform(WEST + 10 * cols, NORTH - 10 * rows)
    west, north = longitude.min() - 0.001, latitude.max() + 0.001
    step = 0.0004
    codes = np.indices((40, 80)).sum(axis=0).astype(np.uint8) % 3
    path = write_scene("a_labels.tif", codes, crs="EPSG:4326")
    with rasterio.open(path, "r+") as target:
        target.transform = from_origin(west, north, step, step)
    recipe = recipe_of(3)
    scene = with_labels(scene, recipe)
    found = read_labels(scene, recipe.classes)
    for part in (Tile(row, 0, 1, 40) for row in range(30)):
        assert (read_labels(scene, recipe.classes, part) == found[part.slices]).all()
    down, right = (north - latitude) / step, (longitude - west) / step
    inside = (down < 40) & (right < 80)
    expected = codes[np.minimum(down, 39).astype(int), np.minimum(right, 79).astype(int)]
    sure = np.minimum(abs(down - down.round()), abs(right - right.round())) > 0.01
    assert inside.any()
    assert len(np.unique(found)) >= 3
    assert (found == np.where(inside, expected, 255))[sure].all()


def test_a_scene_without_a_place_takes_labels_of_its_size(read, write_scene):
    labels = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    assert (read(labels, recipe_of(2), crs=None) == labels).all()
    scene = open_scene(str(write_scene("a.tif", ice_image(4, 3), crs=None)))
    write_scene("a_labels.tif", labels)
    with pytest.raises(LabelError, match=r"2 x 3 pixels and its scene .*a\.tif 4 x 3, and the sc"):
        with_labels(scene, recipe_of(2))


@pytest.mark.parametrize(("n", "kind", "shape", "options", "words"), [
    (2, "exclusive", (4, 6, 2), {}, "has 2 bands and needs 1, that of the class codes"),
    (3, "masks", (4, 6, 1), {}, "has 1 band and needs 3, a band for each of the masks c0, c1, c2"),
    (1, "masks", (4, 6, 2), {}, "has 2 bands and needs 1, a band for each"),
    (2, "exclusive", (4, 6, 1), {"nodata": 0}, "says that 0 means no data in band 1, where"),
    (2, "masks", (4, 6, 2), {"nodata": 1}, "says that 1 means no data in band 1, where"),
    (2, "exclusive", (5, 6, 1), {"crs": None}, "5 x 6 pixels and its scene .* and the raster has"),
    (2, "exclusive", (5, 6, 1), {"mask": np.ones((5, 6), np.uint8)}, "and a mask that can't be"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_one_sentence(write_scene, n, kind, shape, options, words):
    scene = open_scene(str(write_scene("a.tif", ice_image(4, 6))))
    write_scene("a_labels.tif", np.zeros(shape, np.uint8), **options)
    with pytest.raises(LabelError, match=words) as error:
        with_labels(scene, recipe_of(n, kind))
    assert "a_labels.tif" in str(error.value)


def test_a_fourth_band_of_masks_is_no_alpha(read, write_scene):
    # GDAL calls the fourth band of bytes alpha, whatever is in it.
    masks = np.zeros((4, 6, 4), np.uint8)
    masks[:2, :, 3] = 1
    with pytest.raises(LabelError, match=r"has a band more than the 3 masks of .*An alpha band"):
        read(masks, recipe_of(3, "masks"))
    masks[..., 3] *= 255
    labels = read(masks, recipe_of(3, "masks"))
    assert (labels == np.where(masks[..., 3], 0, 255)).all()


def test_a_code_that_is_no_class_is_named(read):
    labels = np.array([[0, 1, 9], [1, 0, 1]], np.uint8)
    with pytest.raises(LabelError, match=r"a_labels\.tif has the code 9, which is no class of 'o"):
        read(labels, recipe_of(2))
    with pytest.raises(
        LabelError, match=r"a_labels\.tif has the code 9, which is neither 1, under"
    ):
        read(labels, recipe_of(1, "masks"))


def test_labels_that_are_missing_or_broken_are_one_sentence(write_scene, tmp_path):
    scene = open_scene(str(write_scene("a.tif", ice_image(4, 6))))
    with pytest.raises(SceneError, match=r"a\.tif has no labels .*a_labels\.tif; put them there"):
        with_labels(scene, recipe_of(2))
    (tmp_path / "a_labels.tif").write_bytes(b"no image")
    with pytest.raises(SceneError, match=r"a_labels\.tif can't be read"):
        with_labels(scene, recipe_of(2))


def test_labels_are_part_of_what_shards_come_from(write_scene):
    scene = open_scene(str(write_scene("a.tif", ice_image(4, 6))))
    write_scene("a_labels.tif", np.zeros((4, 6), np.uint8))
    assert with_labels(scene, Recipe()) is scene
    assert labelled_digest(scene) == scene_digest(scene)
    one = labelled_digest(with_labels(scene, recipe_of(2)))
    write_scene("a_labels.tif", np.ones((4, 6), np.uint8))
    other = labelled_digest(with_labels(scene, recipe_of(2)))
    assert one != other
    assert without_labels(one) == without_labels(other) == scene_digest(scene)


def test_the_truth_of_masks_has_a_band_each(write_scene, tmp_path):
    scene = open_scene(str(write_scene("a_clear.tif", ice_image(1, 4))))
    masks = recipe_of(2, "masks").classes
    bands = np.array([[[0, 0], [1, 0], [1, 1], [255, 0]]], np.uint8)
    path = write_scene("a_truth.tif", bands)
    assert read_truth(path, scene, masks).tolist() == [[0, 1, 3, 255]]
    write_scene("a_truth.tif", bands[..., :1])
    with pytest.raises(TruthError, match=r"a_truth\.tif has 1 band and needs 2, a band for each"):
        read_truth(path, scene, masks)
    (tmp_path / "a_truth.tif").unlink()
    with pytest.raises(TruthError, match="is missing; put a raster of masks there"):
        read_truth(path, scene, masks)


@pytest.mark.parametrize(
    "template", ["{stem}_labels.tif", "labels/{stem}.tif", "labels_{stem}.tif"]
)
def test_files_that_go_with_a_scene_are_no_scenes(tmp_path, template, capsys):
    others = [template.replace("{stem}", stem) for stem in ("a", "b.x", "c")]
    for name in ["a.tif", "b.x.tif", "d_labels.tif", "d_labels.txt", *others]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    companions = Recipe.model_validate({"label": {"raster": template}}).companions
    expected = {"a.tif", "b.x.tif", "d_labels.tif", others[2]}
    named = sorted(str(path) for path in tmp_path.rglob("*.tif"))
    for patterns in ([f"{tmp_path}/**/*.tif"], named):  # As given, or as a shell expands it.
        found = {ref.uri.removeprefix(f"{tmp_path}/") for ref in find_scenes(patterns, companions)}
        assert found == expected
        assert "2 files left out that go with other scenes" in capsys.readouterr().err
    assert len(find_scenes([str(tmp_path / others[0])], companions)) == 1


def test_a_recipe_knows_all_that_goes_with_a_scene():
    recipe = Recipe.model_validate({
        "scene": {"land": "{stem}_land.tif", "layers": {"clouds": "{stem}_SCL.tif"}},
        "label": {"raster": "{stem}_labels.tif"},
    })  # fmt: skip
    assert set(recipe.companions) == {"{stem}_land.tif", "{stem}_SCL.tif", "{stem}_labels.tif"}
    assert Recipe().companions == ()
    one_land = {"land": "land.gpkg", "layers": {"clouds": 4}}
    assert Recipe.model_validate({"scene": one_land}).companions == ()


@pytest.mark.parametrize(("label", "words"), [
    ({"raster": "labels.tif"}, r"'label\.raster' is 'labels\.tif', which is one file for all"),
    ({"thick_cloud": "nodata"}, r"'label\.thick_cloud' is 'nodata'.*to label, or leave"),
    ({"uncertain": "nodata"}, r"'label\.uncertain' is 'nodata'.*to label, or leave"),
])  # fmt: skip
def test_labels_of_people_have_nothing_that_a_filter_knows(label, words):
    with pytest.raises(RecipeError, match=words):
        recipe_of(2, **label)


def test_thresholds_of_other_classes_are_not_in_the_way():
    ranges = [{"class": "open_water", "value": [0, 255]}]
    own = {"profile": {"name": "mine", "ranges": ranges}}
    assert recipe_of(2, **own).label.source == "raster/{stem}_labels.tif"
    with pytest.raises(RecipeError, match="open_water"):
        recipe_of(2, raster=None, **own)
    assert recipe_of(3, "masks", method="published").label.source == "raster/{stem}_labels.tif"


def test_a_recipe_without_labels_has_the_digests_that_it_had():
    assert Recipe().digest("label") == "c056f970381e9496"
    # These digests are older than the choice of the black that is nodata, and than layers that are
    # found by their names.
    older = Recipe.model_validate({"scene": {"zero_is_nodata": True, "layers": None}})
    assert older.digest() == "2a48f1e2d44c2c04"
    assert older.labels_digest() == "72533fa83f676e03"
    with_raster = Recipe.model_validate({"label": {"raster": "{stem}_labels.tif"}})
    assert with_raster.digest("label") != Recipe().digest("label")

"""Black in files that mark no nodata: outside of the swath it is nodata, inside it is data."""

import pickle

import cv2
import numpy as np
import pytest
import rasterio
from conftest import ice_image
from hypothesis import given, settings
from hypothesis import strategies as st

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes import zeros
from polynya.scenes.band_set import read_inputs
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.reading import open_scene, read_scene

SMALL = 8


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks and bands of 8 rows, so that small scenes have many of them."""
    monkeypatch.setattr(zeros, "BLOCK", SMALL)


def picture(*rows):
    """Masks from a drawing: '#' is black and nodata, 'o' is black and data, '.' is not black."""
    drawn = np.array([list(row) for row in rows])
    return drawn != ".", drawn == "#"


def bright(black):
    """Image that is 0 in all bands only where `black`; each other pixel is 0 in one band."""
    image = ice_image(*black.shape)
    rows, columns = np.indices(black.shape)
    for band in range(3):
        image[..., band][(rows + columns) % 3 == band] = 0
    image[black] = 0
    return image


def expected(black, block):
    """Nodata by the definition, from the whole scene at once."""
    _, labels = cv2.connectedComponents(black.astype(np.uint8), connectivity=8)
    edges = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    nodata = set(np.unique(np.concatenate(edges)))
    for row in range(0, black.shape[0] - block + 1, block):
        for column in range(0, black.shape[1] - block + 1, block):
            if black[row : row + block, column : column + block].all():
                nodata.add(labels[row, column])
    return np.isin(labels, sorted(nodata - {0}))


def empty(path, tile=None, **options):
    return ~read_scene(open_scene(str(path), SceneOptions(**options)), tile)[1]


def empty_by_windows(path, height, width, **options):
    """Nodata of a scene, put together from windows that a new process would read each."""
    scene = open_scene(str(path), SceneOptions(**options))
    found = np.zeros((scene.height, scene.width), bool)
    for row in range(0, scene.height, height):
        for column in range(0, scene.width, width):
            tile = Tile(
                row,
                column,
                min(height, scene.height - row),
                min(width, scene.width - column),
            )
            zeros._known.cache_clear()
            found[tile.slices] = ~read_scene(pickle.loads(pickle.dumps(scene)), tile)[1]
    return found


DRAWINGS = {
    "lake": ["......", ".oo...", ".oo...", "......"],
    "ring": ["######", "#....#", "#.oo.#", "#....#", "######"],
    "wedge": ["####..", "###...", "##....", "......", "...oo.", "......"],
    "bar": ["......", "..oo..", "......", "######", "......"],
    "slanted line of corners": ["#.....", ".#....", "..#...", "...#..", "......"],
    "lead to the edge": ["......", ".#####", ".#....", "......"],
    "one pixel from the edge": ["......", ".oooo.", ".oooo.", "......"],
    "all black": ["####", "####"],
    "no black": ["....", "...."],
    "column of one pixel": ["#", ".", "#"],
    "row of one pixel": ["#.#.#"],
    "one pixel": ["#"],
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_black_is_nodata_where_it_hangs_together_with_the_edge(write_scene, name):
    black, nodata = picture(*DRAWINGS[name])
    path = write_scene("a.tif", bright(black))
    image, valid = read_scene(open_scene(str(path)))
    assert (valid == ~nodata).all()
    assert (image == bright(black)).all()


@pytest.mark.parametrize("choice", [True, False, "edge"])
def test_the_recipe_chooses_what_black_means(write_scene, choice):
    black, nodata = picture("#.....", "......", "..oo..", "......")
    path = write_scene("a.tif", bright(black))
    wanted = {True: black, False: np.zeros_like(black), "edge": nodata}[choice]
    assert (empty(path, zero_is_nodata=choice) == wanted).all()


def test_edge_is_the_default_and_older_recipes_keep_their_meaning():
    assert SceneOptions().zero_is_nodata == "edge"
    assert SceneOptions(zero_is_nodata=True).zero_is_nodata is True
    assert '"zero_is_nodata":true' in SceneOptions(zero_is_nodata=True).model_dump_json()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_every_data_type_has_its_zeros(write_scene, dtype):
    black, nodata = picture("##....", "##.oo.", "...oo.", "......")
    image = bright(black).astype(dtype)
    if dtype == np.float32:
        image /= 255
        image[2, 3] = -0.0
    scale = {"scales": 1e-3} if np.dtype(dtype).itemsize == 2 else {}
    assert (empty(write_scene("a.tif", image, **scale)) == nodata).all()


def test_a_file_that_marks_nodata_keeps_its_black(write_scene):
    black, _ = picture("##....", "......")
    assert not empty(write_scene("a.tif", bright(black), nodata=7)).any()


def test_a_patch_that_holds_a_whole_block_is_nodata(write_scene):
    black = np.zeros((600, 800), bool)
    black[250:520, 250:520] = True  # Holds the block from row 256 and column 256.
    black[300:310, 520:700] = True  # Hangs together with it.
    black[20:240, 600:790] = True  # A large lake.
    nodata = expected(black, 256)
    assert nodata[black].any()
    assert not nodata[20:240, 600:790].any()
    path = write_scene("a.tif", bright(black))
    assert (empty(path) == nodata).all()
    assert (empty_by_windows(path, 128, 800) == nodata).all()


def test_a_block_less_one_pixel_is_none(write_scene):
    black = np.zeros((700, 700), bool)
    black[256:512, 256:512] = True
    path = write_scene("a.tif", bright(black))
    assert (empty(path) == black).all()
    black[400, 400] = False
    path = write_scene("b.tif", bright(black))
    assert not empty(path).any()


JOINED_FAR_AWAY = {
    "edge in another strip": ["#" + "." * 9]
    + ["#" + "." * 9] * 3
    + [".#" + "." * 8] * 30
    + [10 * "."],
    "u-shape": [10 * "."] + ["..o..o...."] * 40 + ["..oooo...."] + [10 * "."],
    "u-shape that ends at the edge": ["..#......."]
    + ["..#..#...."] * 40
    + ["..####...."]
    + [10 * "."],
    "upside down": [10 * "."] + ["..####...."] + ["..#..#...."] * 40 + ["..#......."],
    "spiral": [
        "...............",
        ".#############.",
        ".#...........#.",
        ".#.#########.#.",
        ".#.#.......#.#.",
        ".#.#.oo....#.#.",
        ".#.#.oo....#.#.",
        ".#.#########.#.",
        ".#...........#.",
        ".#.###########.",
        ".#.............",
        "##.............",
        "...............",
    ],
}
# The inner ring of the spiral hangs together with nothing.
JOINED_FAR_AWAY["spiral"][3:10] = [
    row[:3] + row[3:12].replace("#", "o") + row[12:] for row in JOINED_FAR_AWAY["spiral"][3:10]
]


@pytest.mark.parametrize("name", JOINED_FAR_AWAY)
@pytest.mark.parametrize("window", [(1, 99), (5, 99), (8, 99), (13, 4), (99, 3), (4, 4)])
def test_windows_see_what_the_whole_scene_sees(write_scene, small_blocks, name, window):
    black, _ = picture(*JOINED_FAR_AWAY[name])
    nodata = expected(black, SMALL)
    path = write_scene("a.tif", bright(black))
    assert (empty(path) == nodata).all()
    assert (empty_by_windows(path, *window) == nodata).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_window_of_any_scene_is_a_part_of_the_whole(tmp_path_factory, data):
    height, width = data.draw(st.tuples(st.integers(1, 45), st.integers(1, 30)))
    share = data.draw(st.sampled_from([0.1, 0.35, 0.45, 0.6, 0.9]))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    black = rng.random((height, width)) < share
    path = tmp_path_factory.mktemp("scene") / "a.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "photometric": "rgb"}
    with rasterio.open(path, "w", height=height, width=width, **profile) as target:
        target.write(np.moveaxis(bright(black), -1, 0))
    scene = open_scene(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zeros, "BLOCK", data.draw(st.sampled_from([2, 4, 8])))
        nodata = expected(black, zeros.BLOCK)
        zeros._known.cache_clear()
        for _ in range(4):  # Later windows use what earlier ones found.
            row = data.draw(st.integers(0, height - 1))
            column = data.draw(st.integers(0, width - 1))
            rows = data.draw(st.integers(1, height - row))
            columns = data.draw(st.sampled_from([1, width - column]))
            tile = Tile(row, column, rows, columns)
            assert (~read_scene(scene, tile)[1] == nodata[tile.slices]).all()
        assert (~read_scene(scene)[1] == nodata).all()
        zeros._known.cache_clear()


def test_named_bands_have_zeros_of_their_own(write_scene, small_blocks):
    black, nodata = picture("##......", "##..oo..", "....oo..", "........")
    image = np.dstack([bright(black), np.where(black, 0, 50).astype(np.uint8)])
    image[0, 0, 3] = 9  # Data in the infrared, so only the inputs have a value there.
    names = ("B04", "B03", "B02", "B08")
    path = str(write_scene("a.tif", image, descriptions=names))
    scene = open_scene(path, SceneOptions(inputs=("B03", "B08")))
    read = read_inputs(scene)
    assert not read.valid[0, 1].any()
    assert read.valid[0, 0].all()
    assert read.valid[1, 4].all()
    assert (read_scene(scene)[1] == ~nodata).all()
    for row in range(4):
        part = read_inputs(scene, Tile(row, 0, 1, 8))
        assert (part.valid[0] == read.valid[row]).all()
    old = read_inputs(open_scene(path, SceneOptions(inputs=("B03", "B08"), zero_is_nodata=True)))
    assert not old.valid[1, 4].any()


def test_the_infrared_of_black_water_has_a_value(write_scene):
    black, nodata = picture("##....", "##.oo.", "...oo.", "......")
    image = np.dstack([bright(black), np.where(black, 0, 200)]).astype(np.uint16) * 10
    image[3, 3, 3] = 0  # Zero in the infrared alone.
    names = ("B04", "B03", "B02", "B08")
    path = write_scene("a.tif", image, descriptions=names, scales=1e-3, offsets=-0.1)
    options = SceneOptions(layers=LayerOptions(nir="B08"))
    layers = read_layers(open_scene(str(path), options))
    dark = black.copy()
    dark[3, 3] = True
    assert np.allclose(layers.nir, np.where(nodata, 0, np.where(dark, -0.1, 1.9)))


def test_land_doesn_t_join_black_water_and_the_edge(write_scene):
    black, nodata = picture("......", "..oo..", "......")
    image = write_scene("a.tif", bright(black))
    land = np.zeros(black.shape, np.uint8)
    land[:, 0] = 1
    write_scene("a_land.tif", land)
    assert (empty(image, land="{stem}_land.tif") == (nodata | (land > 0))).all()


def test_a_file_that_changes_is_looked_at_again(write_scene, small_blocks):
    black = np.zeros((40, 12), bool)
    black[4:30, 5] = True
    path = write_scene("a.tif", bright(black))
    tile = Tile(8, 0, 8, 12)
    assert not empty(path, tile).any()
    black[0:5, 5] = True
    write_scene("a.tif", bright(black))
    assert empty(path, tile).any()


def test_only_rows_that_a_patch_needs_are_read(write_scene, small_blocks, monkeypatch):
    black = np.zeros((400, 12), bool)
    black[194:207, 5] = True  # A lake across three bands of 8 rows.
    scene = open_scene(str(write_scene("a.tif", bright(black))))
    looked = []
    look = zeros._Bands._pixels

    def noted(self, band):
        pixels, is_read = look(self, band)
        looked.append((band, is_read))
        return pixels, is_read

    monkeypatch.setattr(zeros._Bands, "_pixels", noted)
    read_scene(scene, Tile(0, 0, 192, 12))
    assert looked == []
    read_scene(scene, Tile(192, 0, 8, 12))
    assert {band for band, is_read in looked if is_read} == {25}
    looked.clear()
    read_scene(scene, Tile(200, 0, 8, 12))
    assert not any(is_read for _, is_read in looked)


def test_a_truncated_file_is_one_sentence(write_scene):
    black = np.zeros((1024, 256), bool)
    black[2:-2, 100:110] = True
    image = bright(black)
    image[~black] = np.random.default_rng(0).integers(1, 255, (int((~black).sum()), 3))
    path = write_scene("a.tif", image, tiled=True, blockxsize=256, blockysize=256)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    scene = open_scene(str(path))
    with pytest.raises(SceneError, match="may be truncated") as caught:
        read_scene(scene, Tile(0, 0, 256, 256))
    assert "\n" not in str(caught.value)

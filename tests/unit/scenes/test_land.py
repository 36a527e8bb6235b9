"""Land is nodata, by polygons or a raster in any coordinate system."""

import json
import pickle

import numpy as np
import pytest
import rasterio
from conftest import ice_image
from pyproj import Transformer
from rasterio.transform import from_origin

from polynya.errors import SceneError
from polynya.grid import Tile
from polynya.native import import_apart
from polynya.recipe.recipe import Recipe
from polynya.recipe.scene import SceneOptions
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import open_scene, read_scene

WEST, NORTH = -300_000, -1_200_000  # As in the fixture write_scene, EPSG:3031, 10 m.
ISLAND = (slice(5, 15), slice(10, 30))
HOLE = np.zeros((30, 40), bool)
HOLE[ISLAND] = True
RING = [(WEST + 100, NORTH - 50), (WEST + 300, NORTH - 50), (WEST + 300, NORTH - 150),
        (WEST + 100, NORTH - 150), (WEST + 100, NORTH - 50)]  # fmt: skip


@pytest.fixture
def scene(write_scene):
    return str(write_scene("a.tif", ice_image(30, 40)))


def valid(uri, land, **options):
    scene = open_scene(uri, SceneOptions(land=str(land), **options))
    image, mask = read_scene(pickle.loads(pickle.dumps(scene)))
    assert (image[~mask] == 0).all()
    tile = Tile(7, 3, 11, 20)
    assert (read_scene(scene, tile)[1] == mask[tile.slices]).all()
    return mask


def write_polygons(path, rings, crs="EPSG:3031"):
    import shapely

    polygons = [shapely.Polygon(ring) for ring in rings]
    import_apart("pyogrio").raw.write(
        str(path), geometry=shapely.to_wkb(np.array(polygons)), field_data=[], fields=[],
        geometry_type="Polygon", crs=crs,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("name", ["land.gpkg", "land.shp", "land.geojson"])
def test_polygons_are_brought_to_the_scene(scene, tmp_path, name):
    if name == "land.geojson":  # RFC 7946: longitude and latitude.
        move = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True)
        ring = [move.transform(x, y) for x, y in RING]
        text = {"type": "Polygon", "coordinates": [ring]}
        (tmp_path / name).write_text(json.dumps(text))
    else:
        write_polygons(tmp_path / name, [RING])
    assert (valid(scene, tmp_path / name) == ~HOLE).all()


def test_a_straight_parallel_is_an_arc_here(write_scene, tmp_path):
    uri = str(write_scene("a.tif", np.full((200, 300, 3), 90, np.uint8)))
    with rasterio.open(uri, "r+") as target:
        target.transform = from_origin(-300_000, 1_400_000, 2000, 2000)
    south = -77.5
    ring = [(-180, -90), (180, -90), (180, south), (-180, south), (-180, -90)]
    found = valid(uri, write_polygons(tmp_path / "cap.gpkg", [ring], "EPSG:4326"))
    rows, cols = np.indices(found.shape)
    xs, ys = -300_000 + 2000 * (cols + 0.5), 1_400_000 - 2000 * (rows + 0.5)
    _, latitude = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True).transform(xs, ys)
    sure = np.abs(latitude - south) > 0.02
    assert 0.1 < found.mean() < 0.9
    assert (found == (latitude > south))[sure].all()


def test_polygons_of_the_whole_earth_do_not_matter_elsewhere(scene, tmp_path):
    rings = [[(-179, 10), (179, 10), (179, 80), (-179, 80)], [(20, -10), (40, -10), (30, 10)]]
    assert valid(scene, write_polygons(tmp_path / "world.gpkg", rings, "EPSG:4326")).all()


@pytest.mark.parametrize(("codes", "values"), [((0, 1), None), ((1, 0), (0,)), ((7, 3), (3, 4))])
def test_a_raster_on_the_scenes_grid_or_another(scene, tmp_path, codes, values, write_scene):
    land = np.where(HOLE, codes[1], codes[0]).astype(np.uint8)
    options = {"land_values": values}
    path = write_scene("a_land.tif", land)
    assert (valid(scene, "{stem}_land.tif", **options) == ~HOLE).all()
    coarse = tmp_path / "coarse.tif"
    with rasterio.open(
        coarse, "w", driver="GTiff", height=4, width=6, count=1, dtype="uint8", crs="EPSG:3031",
        transform=from_origin(WEST + 50, NORTH - 50, 50, 50),
    ) as target:  # fmt: skip
        target.write(land[5:25:5, 5:35:5], 1)
    # Where the map ends is no land, also where land is 0.
    assert (valid(scene, coarse, **options) == ~HOLE).all()
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.gpkg", None, "has no map of land .*none.gpkg; put it there or fix scene.land"),
        ("bad.gpkg", b"no map", "map of land .*bad.gpkg can't be used"),
        ("bad.tif", b"no map", "bad.tif can't be read"),
    ],
)
def test_a_map_that_cannot_be_used_is_one_sentence(scene, tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError, match=problem) as caught:
        read_scene(open_scene(scene, SceneOptions(land=str(tmp_path / name))))
    assert "\n" not in str(caught.value)


def test_a_scene_without_a_place_cannot_have_polygons(write_scene, tmp_path):
    uri = str(write_scene("a.tif", ice_image(30, 40), crs=None))
    land = write_polygons(tmp_path / "land.gpkg", [RING])
    with pytest.raises(SceneError, match="no place on the ground .*leave scene.land out"):
        open_scene(uri, SceneOptions(land=str(land)))
    write_scene("a_land.tif", HOLE.astype(np.uint8), crs=None)
    assert (valid(uri, "{stem}_land.tif") == ~HOLE).all()


def test_land_belongs_to_what_a_scene_is_and_to_the_digest_of_labels(scene, tmp_path):
    land = write_polygons(tmp_path / "land.gpkg", [RING])
    options = SceneOptions(land=str(land))
    before = scene_digest(open_scene(scene, options))
    assert before != scene_digest(open_scene(scene))
    land.unlink()
    write_polygons(land, [[(x + 50, y) for x, y in RING]])
    assert scene_digest(open_scene(scene, options)) != before
    with_land = Recipe.model_validate({"scene": {"land": "land.gpkg"}})
    assert with_land.labels_digest() != Recipe().labels_digest()


def test_a_map_on_a_server_may_have_the_name_of_the_scene_too(scene):
    # Nothing listens at port 9 (discard) of this machine.
    options = SceneOptions(land="http://127.0.0.1:9/{stem}_land.tif")
    with pytest.raises(SceneError, match=r"127\.0\.0\.1:9/.*_land\.tif") as caught:
        open_scene(scene, options)
    assert "{stem}" not in str(caught.value)

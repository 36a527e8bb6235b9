"""Parts of the sources of scenes on their own: regions, offsets, assets, virtual rasters."""

import itertools
import json

import pystac
import pytest
import rasterio
from shapely.geometry import box

from polynya.errors import RecipeError, SceneError, SourceError
from polynya.recipe.acquire import SafeOptions, StacOptions
from polynya.recipe.recipe import parse_recipe
from polynya.sources.items import sentinel2
from polynya.sources.items.item import Band, Grid, Item
from polynya.sources.items.region import dense_geojson, is_box, region_parts, touches
from polynya.sources.items.selection import Selection
from polynya.sources.items.vrt import Raster, VrtBand, common_grid, vrt_text
from polynya.sources.stac.assets import find_baseline, item_band

# === Regions ===


@pytest.mark.parametrize(
    ("region", "bounds"),
    [
        ([-180, -78, -140, -70], [(-180, -78, -140, -70)]),
        ([170, -78, -170, -70], [(-180, -78, -170, -70), (170, -78, 180, -70)]),
        ([170, -78, 180, -70], [(170, -78, 180, -70)]),
        ([-180, -90, 180, 90], [(-180, -90, 180, 90)]),
    ],
)
def test_a_box_is_cut_at_the_antimeridian_only_if_it_crosses_it(region, bounds):
    parts = region_parts(tuple(region))
    assert sorted(part.bounds for part in parts) == bounds
    assert all(is_box(part) for part in parts)


def test_a_geojson_polygon_beyond_180_is_cut_too(tmp_path):
    path = tmp_path / "region.geojson"
    ring = [[175, -72], [190, -72], [190, -75], [175, -75], [175, -72]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    collection = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": polygon}],
    }
    for content in (polygon, collection):
        path.write_text(json.dumps(content))
        bounds = sorted(part.bounds for part in region_parts(str(path)))
        assert bounds == [(-180, -75, -170, -72), (175, -75, 180, -72)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read: No such file"),
        ("no json", "is no GeoJSON"),
        ("[1]", "is no GeoJSON"),
        ('{"type": "Polygon"}', "is no GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "is no GeoJSON|has no area"),
        ('{"type": "Point", "coordinates": [1, 2]}', "has no area"),
        (
            '{"type": "Polygon", "coordinates": [[[500000, 2], [500010, 2], [500010, 9],'
            " [500000, 2]]]}",
            "not in degrees",
        ),
    ],
)
def test_a_region_that_is_no_geojson_is_one_sentence(tmp_path, content, problem):
    path = tmp_path / "region.geojson"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SourceError, match=problem) as caught:
        region_parts(str(path))
    assert str(path) in str(caught.value)


def footprint(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


@pytest.mark.parametrize(
    ("shape", "inside"),
    [
        (footprint([-179, -72], [-178, -72], [-178, -73], [-179, -73]), True),
        (footprint([178, -72], [179, -72], [179, -73], [178, -73]), False),
        # Across the antimeridian, the short way round; cut as GeoJSON asks; beyond 180.
        (footprint([178, -72], [-178, -72], [-178, -73], [178, -73]), True),
        (footprint([178, -72], [182, -72], [182, -73], [178, -73]), True),
        (footprint([-179, -60], [-178, -60], [-178, -61], [-179, -61]), False),
        (None, True),
        ({"type": "Polygon", "coordinates": "?"}, True),
    ],
)
def test_a_footprint_touches_a_region_whichever_way_it_is_written(shape, inside):
    assert touches(region_parts((-180, -78, -140, -70)), shape) is inside


def test_great_circles_between_the_points_that_are_asked_for_follow_the_parallel():
    points = dense_geojson(box(-180, -78, -140, -70))["coordinates"][0]
    on_parallel = sorted(x for x, y in points if y == -70)
    steps = [after - before for before, after in itertools.pairwise(on_parallel)]
    assert max(steps) <= 2.5


def test_what_is_unknown_of_an_item_never_leaves_it_out():
    options = SafeOptions(
        source="safe", paths=("x",), dates=("2019-11-01", "2019-11-02"), max_cloud=1,
        region=(0, 0, 1, 1),
    )  # fmt: skip
    assert Selection(options).holds(Item("i", "u"))


# === Recipe ===


@pytest.mark.parametrize(
    ("acquire", "problem"),
    [
        ({}, "needs the key 'source' with one of earthengine, stac, safe, files"),
        ({"source": "ftp"}, "needs the key 'source'"),
        ({"source": "stac"}, "lacks the key 'acquire.catalog'"),
        (
            {"source": "stac", "catalog": "x", "path": 1},
            "unknown key 'acquire.path'; known there: at",
        ),
        ({"source": "files", "paths": "x", "region": [1, 2, 3, 4]}, "unknown key 'acquire.region'"),
        ({"source": "stac", "catalog": "x", "sign_url": "y"}, "needs the key 'collection'"),
        ({"source": "safe", "paths": []}, "wrong value for 'acquire.paths'"),
        ({"source": "safe", "paths": "x", "bands": ["B4", "b4"]}, "named twice"),
        ({"source": "safe", "paths": "x", "region": [1, 2, 3]}, "west, south, east, north"),
        ({"source": "safe", "paths": "x", "region": [1, 5, 3, 2]}, "south below north"),
        ({"source": "safe", "paths": "x", "region": [1, 2, 181, 3]}, "in -180..180"),
        (
            {"source": "safe", "paths": "x", "dates": ["2019-11-02", "2019-11-01"]},
            "must not be before the first",
        ),
        ({"source": "earthengine", "region": "x"}, "lacks the key 'acquire.dates'"),
        (
            {"source": "earthengine", "region": "x", "dates": ["2019-11-01", "x"]},
            "wrong value for 'acquire.dates.1'",
        ),
    ],
)
def test_a_wrong_section_is_one_sentence_with_its_key(acquire, problem):
    with pytest.raises(RecipeError, match=problem) as caught:
        parse_recipe({"acquire": acquire}, "r.yaml")
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)


# === Sentinel-2 ===


@pytest.mark.parametrize("name", ["B04", "b4", "red", "RED"])
def test_a_band_has_many_names(name):
    assert sentinel2.find_band(name).name == "B04"


def test_offsets_begin_with_baseline_0400():
    baselines = ("02.14", "03.01", "04.00", "05.10", "10.00")
    assert [sentinel2.has_offset(one) for one in baselines] == [False, False, True, True, True]
    with pytest.raises(ValueError, match="no processing baseline"):
        sentinel2.has_offset("new")


# === STAC assets ===


def stac_band(asset, name="red", key="red", options=None, **properties):
    content = {
        "type": "Feature", "stac_version": "1.0.0", "id": "i", "links": [], "geometry": None,
        "properties": {"datetime": "2022-11-03T19:09:31Z", **properties},
        "assets": {key: {"href": "https://x/red.tif", **asset}},
    }  # fmt: skip
    item = pystac.Item.from_dict(content, migrate=False)
    found = Item("i", "https://x/i.json", baseline=find_baseline(properties))
    options = StacOptions(source="stac", catalog="x", **(options or {}))
    band, _ = item_band(item, name, found, options)
    return band.scale, band.offset, band.nodata


NEW, OLD = {"s2:processing_baseline": "05.10"}, {"s2:processing_baseline": "02.14"}
RASTER = {"scale": 0.0001, "offset": -0.1, "nodata": 0}


@pytest.mark.parametrize(
    ("asset", "properties", "expected"),
    [
        ({"raster:bands": [RASTER]}, NEW, (0.0001, -0.1, 0)),
        (
            {"raster:bands": [RASTER]},
            {**NEW, "earthsearch:boa_offset_applied": True},
            (0.0001, 0, 0),
        ),
        (
            {"raster:bands": [RASTER]},
            {**NEW, "earthsearch:boa_offset_applied": False},
            (1e-4, -0.1, 0),
        ),
        ({"raster:bands": [{"scale": 0.0001}]}, OLD, (0.0001, 0, 0)),
        ({}, NEW, (0.0001, -0.1, 0)),
        ({}, OLD, (0.0001, 0, 0)),
        ({"raster:scale": 0.0001, "raster:offset": -0.1}, NEW, (0.0001, -0.1, 0)),
        (
            {"bands": [{"raster:scale": 0.0001, "raster:offset": 0, "nodata": 9}]},
            {},
            (0.0001, 0, 9),
        ),
        # The raster extension: no offset means 0.
        ({"raster:bands": [{"scale": 2e-5}]}, {}, (2e-5, 0, None)),
    ],
)
def test_scale_and_offset_are_the_items_own(asset, properties, expected):
    assert stac_band(asset, **properties) == expected


@pytest.mark.parametrize(
    ("asset", "properties", "problem"),
    [
        ({"raster:bands": [RASTER]}, OLD, "offset is -0.1 and its processing baseline "
         "02.14, which has none"),
        ({"raster:bands": [{"scale": 0.0001, "offset": 0}]}, NEW, "which has one"),
        ({}, {}, "doesn't say what reflectance"),
    ],
)  # fmt: skip
def test_an_offset_that_cannot_be_known_is_an_error_unless_the_recipe_says_it(
    asset, properties, problem
):
    with pytest.raises(SceneError, match=problem):
        stac_band(asset, **properties)
    own = {"scale": 0.0001, "offset": -0.1}
    assert stac_band(asset, options=own, **properties)[:2] == (0.0001, -0.1)


@pytest.mark.parametrize(
    ("name", "key", "asset"),
    [
        ("red", "B04", {}), ("B04", "red", {}), ("red", "B04_10m", {}), ("red", "red-jp2", {}),
        ("red", "data", {"eo:bands": [{"name": "x", "common_name": "red"}]}),
        ("B4", "data", {"bands": [{"name": "B04"}]}), ("own", "own", {}),
    ],
)  # fmt: skip
def test_assets_are_found_by_key_or_by_their_only_band(name, key, asset):
    raster = {"raster:bands": [RASTER]}
    assert stac_band({**asset, **raster}, name, key)[0] == 0.0001


def test_the_scene_classification_is_no_reflectance():
    assert stac_band({}, "scl", "SCL", **NEW)[:2] == (1, 0)


# === Virtual rasters ===


def raster(path="/a.tif", crs="EPSG:32702", transform=(10, 0, 0, 0, -10, 0), dtype="uint16", n=6):
    return Raster(path, Grid(crs, transform, n, n), dtype, (n, n))


BAND = Band("B04", "/a.tif", 1, 0.0001, 0.0, 0)


def test_bands_that_do_not_fit_together_are_one_sentence():
    fine = raster()
    with pytest.raises(SceneError, match="different coordinate systems"):
        common_grid([fine, raster("/b.tif", crs="EPSG:32701")], "scene")
    with pytest.raises(SceneError, match="not north up"):
        common_grid([fine, raster("/b.tif", transform=(20, 1, 0, 0, -20, 0))], "scene")
    assert common_grid([raster(transform=(20, 0, 0, 0, -20, 0), n=3), fine], "scene") == fine.grid


@pytest.mark.parametrize(
    ("types", "problem"), [(("float32",), "float32 pixels"), (("uint16", "int16"), "partly signed")]
)
def test_types_that_a_scene_cannot_have_are_one_sentence(types, problem):
    bands = [VrtBand(BAND, (raster(dtype=dtype),)) for dtype in types]
    with pytest.raises(SceneError, match=problem):
        vrt_text(raster().grid, bands, {})


def test_a_raster_that_is_shifted_by_part_of_a_pixel_lies_where_it_is():
    shifted = raster(transform=(20, 0, 5, 0, -20, -10), n=3)
    text = vrt_text(raster().grid, [VrtBand(BAND, (shifted,))], {"a": "b\nc<"})
    assert '<DstRect xOff="0.5" yOff="1" xSize="6" ySize="6"' in text
    assert '<MDI key="a">b c&lt;</MDI>' in text


def test_a_virtual_raster_whose_file_is_gone_is_an_error_and_not_nodata(write_scene, tmp_path):
    import numpy as np

    path = write_scene("a.tif", np.full((6, 6), 7, np.uint16))
    gone = raster(str(path))
    vrt = tmp_path / "s.vrt"
    vrt.write_text(vrt_text(gone.grid, [VrtBand(BAND, (gone,))], {}))
    path.unlink()
    with rasterio.open(vrt) as source, pytest.raises(rasterio.errors.RasterioIOError):
        source.read()

"""`polynya scenes` on SAFE products: equal ground gives equal reflectance, however it is packed."""

import shutil
import zipfile

import numpy as np
import pytest
import rasterio
from rasterio.enums import MaskFlags
from rio_cogeo import cog_validate

from helpers.scenes.acquire import (
    get_scenes,
    image_of,
    interpolated,
    reflectance_of,
    run_scenes,
    scene_files,
    write_recipe,
)
from helpers.scenes.safe_products import CRS, EDGE, ORIGIN, ground, safe_name, write_safe
from polynya.rasters.opening import opened_raster
from polynya.recipe.scene import LayerOptions, SceneOptions
from polynya.scenes.beside.layers import read_layers
from polynya.scenes.identity import scene_digest
from polynya.scenes.reading import open_scene
from polynya.sources.manifest import read_manifest

BANDS = ("B04", "B03", "B02")


@pytest.mark.parametrize("level", ["L1C", "L2A"])
@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("how", [(), ("--in-place",)], ids=["downloaded", "in place"])
def test_equal_ground_gives_equal_reflectance_whatever_the_baseline(tmp_path, level, zipped, how):
    products = tmp_path / "products"
    for baseline in ("02.14", "05.10"):
        write_safe(products, level, baseline, zipped=zipped)
    files = get_scenes(tmp_path, tmp_path / "out", *how, source="safe", paths=str(products))
    assert [path.stem for path in files] == [safe_name(level, b) for b in ("02.14", "05.10")]
    truth = np.stack([ground()[band] for band in (*BANDS, "B08")]).astype(float)
    truth[truth == 0] = np.nan
    coarse = ("B11", "B10") if level == "L1C" else ("B11",)  # Level-2A has no cirrus band.
    for path in files:
        reflectance = reflectance_of(path)
        np.testing.assert_allclose(reflectance[:4], truth / 10_000, atol=1e-9)
        for found, band in zip(reflectance[4:], coarse, strict=True):
            values, is_sure = interpolated(ground()[band], EDGE // len(ground()[band]))
            assert abs(found - values / 10_000)[is_sure].max() < 0.6e-4
            # Pixels without data have no part in the values beside them.
            assert np.nanmin(found) >= ground()[band][ground()[band] > 0].min() / 10_000
    (old, old_valid), (new, new_valid) = map(image_of, files)
    assert (old == new).all()
    assert (old_valid == new_valid).all()
    assert (old_valid == np.isfinite(truth[0])).all()


def test_a_scene_says_all_that_labelling_needs(tmp_path):
    write_safe(tmp_path / "products", "L1C", "05.10")
    bands = ["red", "B3", "blue", "nir", "swir16", "B10"]
    (path,) = get_scenes(
        tmp_path, tmp_path / "out", source="safe", paths=str(tmp_path / "products"), bands=bands
    )
    with rasterio.open(path) as source:
        assert source.descriptions == ("B04", "B03", "B02", "B08", "B11", "B10")
        assert [color.name for color in source.colorinterp[:3]] == ["red", "green", "blue"]
        assert set(source.dtypes) == {"uint16"}
        assert source.nodatavals == (0,) * 6
        assert source.scales == (0.0001,) * 6
        assert source.offsets == (-0.1,) * 6
        assert source.crs == CRS
        assert tuple(source.transform)[:6] == (10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
        assert source.shape == (EDGE, EDGE)
        tags = source.tags()
        numbers = source.read()
    assert tags["PRODUCT_ID"] == safe_name("L1C", "05.10")
    assert tags["PROCESSING_BASELINE"] == "05.10"
    assert tags["source"].endswith(".SAFE")
    assert tags["ACQUIRED"] == "2019-11-03T19:09:31.024Z"
    # Coarser bands are brought to 10 m by bilinear interpolation between their pixels.
    for index, factor in ((4, 2), (5, 6)):
        values, is_sure = interpolated(ground()[("B11", "B10")[index - 4]], factor)
        assert abs(numbers[index] - values - 1000)[is_sure].max() < 0.501
    # By hand: the centre of a 10 m pixel is a quarter of a 20 m pixel away from its own centre.
    b11 = ground()["B11"] + 1000.0
    assert numbers[4][80, 61] == pytest.approx(
        0.75 * (0.75 * b11[40, 30] + 0.25 * b11[40, 31])
        + 0.25 * (0.75 * b11[39, 30] + 0.25 * b11[39, 31]),
        abs=0.5,
    )
    assert cog_validate(path)[0]
    layers = LayerOptions(nir="auto", swir="auto", cirrus="auto")
    scene = open_scene(str(path), SceneOptions(layers=layers))
    assert (scene.layers.sun_azimuth, scene.layers.sun_elevation) == (48.25, 27.5)
    nir = read_layers(scene).nir
    np.testing.assert_allclose(nir, ground()["B08"] / 10_000, atol=1e-6)


@pytest.mark.parametrize(
    ("level", "names"),
    [("L1C", (*BANDS, "B08", "B11", "B10")), ("L2A", (*BANDS, "B08", "B11"))],
)
def test_by_default_scenes_have_the_infrared_and_cirrus_of_the_product(tmp_path, level, names):
    write_safe(tmp_path / "products", level, "05.10")
    options = {"source": "safe", "paths": str(tmp_path / "products")}
    (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        assert source.descriptions == names
        colors = [color.name for color in source.colorinterp]
        assert colors == ["red", "green", "blue", *["undefined"] * (len(names) - 3)]
        assert not any(MaskFlags.alpha in flags for flags in source.mask_flag_enums)
    layers = read_layers(open_scene(str(path)))
    np.testing.assert_allclose(layers.nir, ground()["B08"] / 10_000, atol=1e-6)
    assert layers.swir is not None
    assert (layers.cirrus is not None) == ("B10" in names)
    # A model of colours sees what it saw without the other bands.
    (alone,) = get_scenes(tmp_path, tmp_path / "alone", bands=["red", "green", "blue"], **options)
    for one, other in zip(image_of(path), image_of(alone), strict=True):
        assert (one == other).all()
    assert read_layers(open_scene(str(alone))).nir is None


def test_in_place_and_downloaded_scenes_have_the_same_numbers_in_all_bands(tmp_path):
    write_safe(tmp_path / "products", "L1C", "05.10")
    options = {"source": "safe", "paths": str(tmp_path / "products")}
    (copied,) = get_scenes(tmp_path, tmp_path / "copied", **options)
    (in_place,) = get_scenes(tmp_path, tmp_path / "in_place", "--in-place", **options)
    with opened_raster(str(copied)) as source, opened_raster(str(in_place), "anywhere") as other:
        whole = source.read()
        assert (whole == other.read()).all()
        window = ((37, 51), (22, 93))
        assert (other.read(window=window) == whole[:, 37:51, 22:93]).all()
    before = scene_digest(open_scene(str(in_place)))
    (b11,) = (tmp_path / "products").rglob("*_B11.jp2")
    b11.write_bytes(b11.read_bytes() + b" ")
    assert scene_digest(open_scene(str(in_place))) != before


def test_a_band_that_the_recipe_names_is_needed_and_the_others_are_not(tmp_path):
    product = write_safe(tmp_path / "products", "L1C", "02.14")
    next(product.rglob("*_B10.jp2")).unlink()  # Fetched in part.
    break_metadata(product, "_B11<", "_B99<")
    options = {"source": "safe", "paths": str(product)}
    (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    with rasterio.open(path) as source:
        assert source.descriptions == (*BANDS, "B08")
    recipe = write_recipe(tmp_path, bands=["B04", "B03", "B02", "B11"], **options)
    assert run_scenes(recipe, tmp_path / "named").exit_code == 1
    assert "has no band B11 (swir16)" in read_manifest(tmp_path / "named")[0]["reason"]


def test_the_scene_classification_of_level_2a_comes_along_as_classes(tmp_path):
    write_safe(tmp_path / "products", "L2A", "05.10", zipped=True)
    bands = ["red", "green", "blue", "SCL"]
    (path,) = get_scenes(
        tmp_path, tmp_path / "out", source="safe", paths=str(tmp_path / "products"), bands=bands
    )
    scene = open_scene(str(path), SceneOptions(layers=LayerOptions(clouds="SCL")))
    opaque = read_layers(scene).opaque_cloud
    assert opaque[:10].all()
    assert not opaque[10:].any()
    with rasterio.open(path) as source:
        assert (source.scales[3], source.offsets[3]) == (1, 0)
        # There is nothing between two classes, so pixels are repeated.
        assert set(np.unique(source.read(4))) == {9, 11}


def test_the_same_product_gives_the_same_bytes(tmp_path):
    write_safe(tmp_path / "products", "L1C", "02.14")
    options = {"source": "safe", "paths": [str(tmp_path / "products")]}
    (first,) = get_scenes(tmp_path, tmp_path / "a", **options)
    (second,) = get_scenes(tmp_path, tmp_path / "b", limit=1, at_once=1, **options)
    assert first.read_bytes() == second.read_bytes()
    manifests = [(tmp_path / folder / "_scenes.csv").read_bytes() for folder in "ab"]
    assert manifests[0] == manifests[1]


def test_a_second_run_makes_nothing_anew_and_other_bands_do(tmp_path):
    write_safe(tmp_path / "products", "L1C", "02.14")
    options = {"source": "safe", "paths": str(tmp_path / "products")}
    (path,) = get_scenes(tmp_path, tmp_path / "out", **options)
    before = path.stat().st_mtime_ns
    manifest = (tmp_path / "out/_scenes.csv").read_bytes()
    result = run_scenes(write_recipe(tmp_path, **options), tmp_path / "out")
    assert "1 items = 1 scenes done (1 were there) + 0 failed" in result.output
    assert path.stat().st_mtime_ns == before
    assert (tmp_path / "out/_scenes.csv").read_bytes() == manifest
    get_scenes(tmp_path, tmp_path / "out", "--overwrite", **options)
    assert path.stat().st_mtime_ns > before
    get_scenes(tmp_path, tmp_path / "out", bands=["B08", "B04", "B03"], **options)
    with rasterio.open(path) as source:
        assert source.descriptions == ("B08", "B04", "B03")


def test_in_place_and_downloaded_scenes_replace_each_other(tmp_path):
    write_safe(tmp_path / "products", "L1C", "02.14")
    options = {"source": "safe", "paths": str(tmp_path / "products")}
    for how, suffix in (((), ".tif"), (("--in-place",), ".vrt"), ((), ".tif")):
        (path,) = get_scenes(tmp_path, tmp_path / "out", *how, **options)
        assert path.suffix == suffix


def test_a_file_of_somebody_else_is_never_replaced_unasked(tmp_path, write_scene):
    write_safe(tmp_path / "products", "L1C", "02.14")
    foreign = write_scene(f"out/{safe_name('L1C', '02.14')}.tif", np.ones((4, 4, 3), np.uint8))
    content = foreign.read_bytes()
    recipe = write_recipe(tmp_path, source="safe", paths=str(tmp_path / "products"))
    result = run_scenes(recipe, tmp_path / "out")
    assert result.exit_code == 1
    assert "not made by 'polynya scenes'" in read_manifest(tmp_path / "out")[0]["reason"]
    assert foreign.read_bytes() == content


def test_region_days_and_clouds_choose_products(tmp_path):
    products = tmp_path / "products"
    write_safe(products, "L1C", "02.14", tile="T58CDU", cloud=10, start="2019-11-03T19:09:31.024Z")
    write_safe(products, "L1C", "02.14", tile="T58CDV", cloud=60, start="2019-11-30T23:59:59.000Z")
    write_safe(products, "L1C", "02.14", tile="T58CDW", cloud=20, start="2019-12-01T00:00:00.000Z")

    def listed(**query):
        recipe = write_recipe(tmp_path, source="safe", paths=str(products / "*.SAFE"), **query)
        result = run_scenes(recipe, None, "--list")
        return [tile for tile in ("DU", "DV", "DW") if f"_T58C{tile}_" in result.output]

    assert listed() == ["DU", "DV", "DW"]
    assert listed(dates=["2019-11-01", "2019-11-30"]) == ["DU", "DV"]
    assert listed(max_cloud=20) == ["DU", "DW"]
    assert listed(limit=2) == ["DU", "DV"]
    assert listed(region=[160, -75, 170, -70]) == ["DU", "DV", "DW"]
    assert listed(region=[170, -75, 175, -70]) == []


def break_metadata(product, pattern, text):
    path = next(product.glob("MTD_*.xml"))
    path.write_text(path.read_text().replace(pattern, text))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: break_metadata(p, "<QUANTIFICATION", "<X"), "no complete SAFE product"),
        (
            lambda p: break_metadata(p, "QUANTIFICATION_VALUE", "OTHER_VALUE"),
            "doesn't say its QUANTIFICATION_VALUE",
        ),
        (
            lambda p: break_metadata(p, "RADIO_ADD_OFFSET", "OTHER"),
            "doesn't say the RADIO_ADD_OFFSET of B04",
        ),
        (lambda p: break_metadata(p, "IMAGE_FILE", "IMAGE_ID"), "before December 2016"),
        (lambda p: break_metadata(p, "_B03", "_B33"), "has no band B03"),
        (lambda p: next(p.glob("MTD_*")).unlink(), "no MTD_MSIL1C.xml or MTD_MSIL2A.xml"),
        (lambda p: next(p.glob("GRANULE/*/MTD_TL.xml")).unlink(), "MTD_TL.xml is missing"),
        (lambda p: next(p.rglob("*_B03.jp2")).unlink(), "does not exist|can't be read"),
        (lambda p: next(p.rglob("*_B03.jp2")).write_bytes(b"no image"), "can't be read"),
    ],
)
def test_a_broken_product_is_a_failed_row_with_its_reason(tmp_path, damage, reason):
    good = write_safe(tmp_path / "products", "L1C", "02.14")
    broken = write_safe(tmp_path / "products", "L1C", "05.10")
    damage(broken)
    recipe = write_recipe(tmp_path, source="safe", paths=str(tmp_path / "products"))
    result = run_scenes(recipe, tmp_path / "out")
    assert result.exit_code == 1
    assert "2 items = 1 scenes done (0 were there) + 1 failed" in result.output
    rows = {row["item"]: row for row in read_manifest(tmp_path / "out")}
    assert rows[good.stem]["status"] == "done"
    assert rows[broken.stem]["status"] == "failed"
    assert broken.name in rows[broken.stem]["reason"]
    import re

    assert re.search(reason, rows[broken.stem]["reason"])
    assert [path.stem for path in scene_files(tmp_path / "out")] == [good.stem]


def test_the_recipe_says_offset_and_scale_where_a_product_does_not(tmp_path):
    product = write_safe(tmp_path / "products", "L1C", "05.10")
    break_metadata(product, "RADIO_ADD_OFFSET", "OTHER")
    (path,) = get_scenes(
        tmp_path, tmp_path / "out", source="safe", paths=str(product), scale=0.0002, offset=-0.2
    )
    scene = open_scene(str(path))
    assert (scene.scale, scene.offset) == (0.0002, -0.2)


def test_broken_archives_fail_by_name(tmp_path):
    products = tmp_path / "products"
    products.mkdir()
    (products / "a.zip").write_bytes(b"no archive")
    with zipfile.ZipFile(products / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    recipe = write_recipe(
        tmp_path, source="safe", paths=[str(products), str(tmp_path / "none.SAFE")]
    )
    result = run_scenes(recipe, tmp_path / "out")
    assert result.exit_code == 1
    reasons = [row["reason"] for row in read_manifest(tmp_path / "out")]
    assert "a.zip is no complete SAFE product" in reasons[0]
    assert "b.zip holds no MTD_MSIL1C.xml" in reasons[1]
    assert "none.SAFE holds no MTD_MSIL1C.xml" in reasons[2]


def test_products_of_the_same_name_in_two_folders_are_two_scenes(tmp_path):
    first = write_safe(tmp_path / "a", "L1C", "02.14", seed=1)
    shutil.copytree(first, tmp_path / "b" / first.name)
    files = get_scenes(
        tmp_path, tmp_path / "out", source="safe", paths=[str(tmp_path / "a"), str(tmp_path / "b")]
    )
    assert len(files) == 2


@pytest.mark.parametrize("paths", ["empty", "empty/*.SAFE"])
def test_no_product_at_all_is_one_sentence(tmp_path, paths):
    (tmp_path / "empty").mkdir()
    result = run_scenes(write_recipe(tmp_path, source="safe", paths=str(tmp_path / paths)), None)
    assert result.exit_code == 1
    result = run_scenes(
        write_recipe(tmp_path, source="safe", paths=str(tmp_path / paths)), tmp_path / "out"
    )
    assert result.exit_code == 1
    assert "No SAFE product is in" in result.output

"""Which bands are red, green and blue."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from polynya.errors import SceneError
from polynya.scenes.reading import open_scene

R, G, B, GREY = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.gray


@pytest.fixture
def make(tmp_path):
    """Factory of 8-bit files by the names of their bands, tags and colours."""

    def write(names, colors=None, tags=None, of_bands=None, name="a.tif"):
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", height=2, width=2, count=len(names), dtype="uint8",
            **({"photometric": "minisblack"} if colors == "grey" else {}),
        ) as target:  # fmt: skip
            target.write(np.ones((len(names), 2, 2), np.uint8))
            if any(names):
                target.descriptions = names
            if isinstance(colors, tuple):
                target.colorinterp = colors
            target.update_tags(**(tags or {}))
            for index, text in enumerate(of_bands or [], 1):
                target.update_tags(index, **text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Blue", "Green", "Red"), (3, 2, 1)),
        (("B2", "B3", "B4"), (3, 2, 1)),
        (("B02_20m", "B03_20m", "B04_20m", "B8A_20m"), (3, 2, 1)),
        (("Band 2 - Blue", "Band 3 - Green", "Band 4 - Red"), (3, 2, 1)),
        (("nir", "swir", "blue", "green", "red"), (5, 4, 3)),
        (("B4, central wavelength 665 nm", "B3, central wavelength 560 nm",
          "B2, central wavelength 490 nm", "B8, central wavelength 842 nm"), (1, 2, 3)),
        (("blue", "green", "red", "red edge", "near infra-red"), (3, 2, 1)),
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"),
         (6, 4, 2)),
        (("B", "G", "R"), (3, 2, 1)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"), (4, 3, 2)),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"), (3, 2, 1)),
        (("SR_B4", "SR_B3", "SR_B2"), (1, 2, 3)),
        (("B1", "B2", "B3", "B4", "B5", "B6_VCID_1", "B6_VCID_2", "B7", "B8"), (3, 2, 1)),
        (("B1", "B2", "B3", "B4", "B8", "B8A", "B11"), (4, 3, 2)),
        (tuple(f"sur_refl_b0{n}" for n in range(1, 8)), (1, 4, 3)),
        # These say nothing of colours.
        (("Band 1", "Band 2", "Band 3"), (1, 2, 3)),
        (("B1", "B2", "B3"), (1, 2, 3)),
        (("VV", "VH", "DEM"), (1, 2, 3)),
        (("", "", ""), (1, 2, 3)),
    ],
)  # fmt: skip
def test_names_of_bands_say_which_is_red(make, names, expected):
    assert open_scene(make(names)).band_indexes == expected


S2_FILE, L1, L2 = "T58CDV_20200605T222803_{}_10m", "LC08_L1TP_1_2_02_T1_{}", "LC09_L2SP_1_SR_{}"


@pytest.mark.parametrize(
    ("pattern", "blue_green_red"),
    [
        *((pattern, ("B02", "B03", "B04")) for pattern in (
            S2_FILE, "T58CDV_20200605T222803_{}", "S2A_MSIL2A_20200605T222801_N0214_{}.jp2",
            "L2A_{}", "S2_{}", "median_{}", "reflectance_{}", "{}.jp2", "/B12/{}", "{}-median",
            "{}_mean", "{}_p50", "Median {} (surface)", "median{}", "{}Mean",
            "20200605{}", "S2{}", "{}median", "{}m",
            "HLS.S30.T58CDV.2020157T222803.v2.0.{}", "HLS.L30.T58CDV.2020157.v2.0.{}",
            "Resize (Band 1:T58CDV_{}.jp2)",
        )),
        *((pattern, ("B2", "B3", "B4")) for pattern in (
            L1, L2, "LC81070352015218LGN00_{}", "S2B_{}", "median_{}", "S2_{}_mean",
        )),
        *((pattern, ("B1", "B2", "B3")) for pattern in (
            "LE07_L1TP_1_2_02_T1_{}", "LT05_L2SP_1_SR_{}", "LT04_{}.TIF", "mean_LE07_{}",
        )),
        ("median{}", ("b02", "b03", "b04")),
        ("LC08_L1TP_1_sr_{}", ("band2", "band3", "band4")),
        ("LT05_{}", ("B01", "B02", "B03")),
        ("MOD09GA.A2020157_{}_1", ("sur_refl_b03", "sur_refl_b04", "sur_refl_b01")),
        ("MYD09_{}", ("B03", "B04", "B01")),
        *((pattern, ("blue", "green", "red")) for pattern in (
            "{}_median", "planet_{}", "{}1", "S2 {} 10m", "/surface/{}.tif",
        )),
        ("{}Median", ("Blue", "Green", "Red")),
        ("S2_{}", ("B", "G", "R")),
    ],
)  # fmt: skip
def test_names_are_understood_whatever_stands_around_them(make, pattern, blue_green_red):
    names = tuple(map(pattern.format, blue_green_red))
    assert open_scene(make(names)).band_indexes == (3, 2, 1)
    assert open_scene(make(names[::-1])).band_indexes == (1, 2, 3)


@pytest.mark.parametrize(
    "names",
    [
        ("band_1", "band_2", "band_3"), ("1", "2", "3"), ("Layer_1", "Layer_2", "Layer_3"),
        ("Band 4", "Band 2", "Band 3"), ("band4", "band2", "band3"), ("x_band1", "x_band2", "y"),
        ("mean_B1", "mean_B2", "mean_B3"), ("\u84dd", "\u7eff", "\u7ea2"),
        ("bleu", "vert", "rouge"), ("VV", "VH", "ratio"), ("HH_B0x4", "ab02c", "sub12"),
        ("b2c", "b3c", "b4c"),
    ],
)  # fmt: skip
def test_names_that_are_numbers_of_places_or_no_bands_say_nothing(make, names):
    assert open_scene(make(names)).band_indexes == (1, 2, 3)


@pytest.mark.parametrize(
    "names",
    [
        ("B04", "B03", "VV"), ("B04", "B03", ""), ("x", "B03", "B04"),
        ("L2A_B08", "L2A_B04", "L2A_B03"),
        ("B05", "B06", "B07"), ("SR_B5", "SR_B4", "SR_B3"), ("LC08_B1", "LC08_B2", "LC08_B3"),
        ("B04", "green", "x"), ("red", "green", "nir08"), ("nir08", "swir16", "rededge1"),
        ("coastal", "vv", "vh"), ("ndvi_B08_B04", "B03", "B02"), ("B01", "B8A", "B12"),
    ],
)  # fmt: skip
def test_names_of_bands_that_are_not_understood_are_an_error(make, names):
    with pytest.raises(SceneError, match="names .*; set scene.bands in the recipe") as caught:
        open_scene(make(names))
    assert "a.tif" in str(caught.value)


def test_names_that_say_colours_by_words_and_numbers_are_put_together(make):
    assert open_scene(make(("blue", "B03", "B04"))).band_indexes == (3, 2, 1)
    with pytest.raises(SceneError, match="several bands whose names say blue"):
        open_scene(make(("blue", "B02", "B04")))
    with pytest.raises(SceneError, match="red may be B4 .* or B3"):
        open_scene(make(("LC08_B1", "LC08_B2", "LE07_B3", "LE07_B4")))


def test_the_satellite_tells_names_of_landsat_apart(make):
    names = ("B1", "B2", "B3", "B4")
    assert open_scene(make(names, tags={"SPACECRAFT_ID": "LANDSAT_5"})).band_indexes == (3, 2, 1)
    assert open_scene(make(names, tags={"platform": "landsat-8"})).band_indexes == (4, 3, 2)
    assert open_scene(make(names, name="LE07_L2SP_1.tif")).band_indexes == (3, 2, 1)
    with pytest.raises(SceneError, match="red may be B4 .* or B3 .*; set scene.bands"):
        open_scene(make(names))


def test_names_in_tags_count_as_names(make):
    for tags, of_bands in [
        ({"long_name": "('B02', 'B03', 'B04')"}, None),
        ({"Band_1": "Blue", "Band_2": "Green", "Band_3": "Red"}, None),
        ({}, [{"long_name": "blue"}, {"long_name": "green"}, {"long_name": "red"}]),
    ]:
        path = make(("", "", ""), tags=tags, of_bands=of_bands)
        assert open_scene(path).band_indexes == (3, 2, 1)


@pytest.mark.parametrize("unit", [1, 1000])
def test_wavelengths_count_where_names_say_nothing(make, unit):
    lengths = [{"wavelength": str(nm * unit / 1000)} for nm in (490, 560, 665, 842)]
    path = make(("", "", "", ""), "grey", of_bands=lengths)
    assert open_scene(path).band_indexes == (3, 2, 1)


def test_colours_in_an_order_of_their_own_count(make):
    assert open_scene(make(("", "", ""), (B, G, R))).band_indexes == (3, 2, 1)
    assert open_scene(make(("x", "y", "z", "w"), (GREY, R, G, B))).band_indexes == (2, 3, 4)


@pytest.mark.parametrize(
    ("names", "colors", "problem"),
    [
        (("red", "green", "blue"), (B, G, R), "contradicts itself: .*set scene.bands"),
        (("red", "red", "blue"), None, "several bands whose names say red: 1 .*, 2 .*scene.bands"),
        (("B04_10m", "B04_20m", "B03_10m", "B02_10m"), None, "several bands .* red.*scene.bands"),
        (("nir", "red", "green"), None, "names band 2 red and no band blue; set scene.bands"),
        (("blue", "green", "nir", "swir", "cirrus"), "grey", "none is marked .*set scene.bands"),
    ],
)
def test_what_contradicts_itself_or_is_there_twice_is_an_error(make, names, colors, problem):
    with pytest.raises(SceneError, match=problem):
        open_scene(make(names, colors))


def test_two_bands_marked_red_are_an_error(make):
    with pytest.raises(SceneError, match="2 bands that are marked red; set scene.bands"):
        open_scene(make(("", "", "", ""), (R, R, G, B)))

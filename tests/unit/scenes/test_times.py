"""When a scene was acquired: tags, names, and what they don't say."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from conftest import ice_image

from polynya.scenes.reading import open_scene
from polynya.scenes.times import acquired, name_time, time_of


def text(found):
    """ "start" of a moment, "start/end" of an interval."""
    if found is None:
        return None
    start, end = (time.isoformat().removesuffix("+00:00") for time in (found.start, found.end))
    return start if found.is_moment else f"{start}/{end}"


def day(date):
    return f"{date}T00:00:00/{date}T23:59:59"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2A_MSIL2A_20190723T150911_N0213_R025_T27XVH_20190723T171512", "2019-07-23T15:09:11"),
        ("S2B_1MAN_20200605_0_L2A", day("2020-06-05")),
        ("S1A_IW_GRDH_1SDV_20200605T222803_20200605T222828_032883", "2020-06-05T22:28:03"),
        ("20190723_150911_1025_3B", "2019-07-23T15:09:11"),
        ("WV02_20150615154321_103001004", "2015-06-15T15:43:21"),
        ("20JUN05222803-M2AS-012345678", "2020-06-05T22:28:03"),
        ("LC08_L2SP_001002_20200605_20200825_02_T1_SR_B4", day("2020-06-05")),
        ("LC80010022020157LGN00", day("2020-06-05")),
        ("MOD021KM.A2020157.2230.061.2020158073012", "2020-06-05T22:30:00"),
        ("MOD09GA.A2020157.h16v01.006", day("2020-06-05")),
        ("ne-greenland.2022256.terra.250m", day("2022-09-13")),
        ("OR_ABI-L1b-RadF-M6C02_G16_s20201571500203_e2020157150951", "2020-06-05T15:00:20"),
        ("2019-07-23T15-09-11Z_floe", "2019-07-23T15:09:11"),
        ("2019-07-23_floe", day("2019-07-23")),
        ("IMG_20190723_150911", "2019-07-23T15:09:11"),
        # The product was made later, and says that to the second.
        ("site_20190723_made_20200101T101010", day("2019-07-23")),
        # A number, not a time; and times that are none.
        ("tile_20190723_000012", day("2019-07-23")),
        ("tile_20190723T256199", day("2019-07-23")),
        ("tile_20190723T150960", "2019-07-23T15:09:59"),
        ("a_20191399_20191104", day("2019-11-04")),
        ("A2020400.2230", None),
        ("site_03_cloud", None),
        ("x1201911041", None),
        ("12345678", None),
    ],
)
def test_times_in_names(name, expected):
    assert text(name_time(name)) == expected


@pytest.mark.parametrize(
    ("tags", "name", "expected"),
    [
        ({"ACQUIRED": "2020-06-05T22:28:03.000Z"}, "S2B_20200605_0", "2020-06-05T22:28:03"),
        ({"ACQUIRED": "2020-06-05T22:28:03+02:00"}, "x", "2020-06-05T20:28:03"),
        ({"acquisitionDateTime": "2020-06-05 22:28:03"}, "x", "2020-06-05T22:28:03"),
        (
            {"DATE_ACQUIRED": "2020-06-05", "SCENE_CENTER_TIME": "22:28:03.1234560Z"},
            "x",
            "2020-06-05T22:28:03.123456",
        ),
        ({"EXIF_DateTimeOriginal": "2019:07:23 15:09:11"}, "photo", "2019-07-23T15:09:11"),
        ({"TIFFTAG_DATETIME": "2020:06:05 22:28:03"}, "S2B_20200605_0", "2020-06-05T22:28:03"),
        ({"TIFFTAG_DATETIME": "2020:06:05 22:28:03"}, "x", "2020-06-05T22:28:03"),
        # When a program wrote the file.
        ({"TIFFTAG_DATETIME": "2023:01:02 03:04:05"}, "S2B_20200605_0", day("2020-06-05")),
        ({"TIFFTAG_DATETIME": "2023:01:02 03:04:05"}, "a_20200605T222803", "2020-06-05T22:28:03"),
        ({"ACQUIRED": "2020-06-05"}, "x", day("2020-06-05")),
        ({"ACQUIRED": "2020-06-05"}, "a_20200605T222803", "2020-06-05T22:28:03"),
        (
            {"ACQUIRED": "yesterday", "DATETIME": "0000:00:00 00:00:00"},
            "x_20200605",
            day("2020-06-05"),
        ),
        ({"ACQUIRED": "0001-01-01T00:00:00+14:00"}, "x", day("0001-01-01")),
        ({}, "x", None),
    ],
)
def test_tags_before_names_and_never_a_time_that_nobody_gave(tags, name, expected):
    assert text(time_of(tags, name)) == expected


def test_the_tags_of_the_file_are_read(tmp_path):
    path = tmp_path / "S2B_20200605.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=9, count=3, dtype="uint8",
        crs="EPSG:3031", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as target:  # fmt: skip
        target.write(np.moveaxis(ice_image(8, 9), -1, 0))
        target.update_tags(ACQUIRED="2020-06-05T22:28:03.500Z")
    scene = open_scene(str(path))
    assert text(acquired(scene)) == "2020-06-05T22:28:03.500000"
    path.unlink()
    assert text(acquired(scene)) == day("2020-06-05")

"""Parts of reports: palettes, charts, schemes of items, places on maps."""

from __future__ import annotations

import base64
import math
import re

import cv2
import numpy as np
import pytest

from helpers.maps.made_maps import MASKS, ONE_MASK, OTHER, box_scene, random_codes, write_all
from helpers.maps.report_runs import EVIL_CLASSES
from inference.ground.footprint import scene_footprint
from inference.report.footprints import Place, View, place_map
from inference.report.page import make_report
from inference.report.schemes import palette_bytes, scheme_of
from inference.stac.item import read_item
from polynya.recipe.classes import SEA_ICE
from polynya.report.charts import Line, line_chart, nice_ticks
from polynya.report.palette_picture import palette_uri


@pytest.mark.parametrize("classes", [SEA_ICE, OTHER, MASKS, ONE_MASK])
def test_a_palette_picture_has_the_colours_of_the_scheme(classes):
    codes = random_codes(37, 53, 3, classes)
    content = base64.b64decode(palette_uri(codes, classes.label_colors()).partition(",")[2])
    assert content[41 : 41 + 3 * classes.n_labels].hex() == palette_bytes(classes)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    known = codes != classes.nodata
    assert (image[known][:, 2::-1] == classes.paint(codes)[known]).all()
    assert (image[..., 3] == np.where(known, 255, 0)).all()


@pytest.mark.parametrize("classes", [SEA_ICE, OTHER, MASKS, ONE_MASK, EVIL_CLASSES])
def test_items_tell_the_scheme_of_their_map(tmp_path, classes):
    scene = box_scene(-300_000, -1_200_000, -299_000, -1_201_000)
    paths = write_all(tmp_path / "maps", scene, random_codes(100, 100, 1, classes), classes=classes)
    assert scheme_of(read_item(paths.item)) == classes
    # A folder of maps without a model, of a scene that is gone.
    page = make_report(tmp_path / "maps")
    assert "Without its image: /data/in/site_1_20191104_cloud.tif isn't there any more." in (
        page.replace("&#x27;", "'")
    )


def place_of(left, top, right, bottom, crs):
    scene = box_scene(left, top, right, bottom, crs)
    return Place("a", scene_footprint(scene).geometry, "scene-1")


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([place_of(-300_000, -1_200_000, -290_000, -1_210_000, "EPSG:3031")], ["EPSG:3031"]),
        # Across the antimeridian.
        ([place_of(-5_000, -1_300_000, 5_000, -1_310_000, "EPSG:3031")], ["EPSG:3031"]),
        ([place_of(500_000, 8_400_000, 510_000, 8_390_000, "EPSG:32633")], ["EPSG:3413"]),
        ([place_of(178.9, 71.5, 181.1, 70.5, "EPSG:4326")], ["EPSG:3413"]),
        # Around the pole.
        ([place_of(-400_000, 400_000, 400_000, -400_000, "EPSG:3031")], ["EPSG:3031"]),
        ([place_of(600_000, 3_800_000, 610_000, 3_790_000, "EPSG:32610")], ["Around the scenes"]),
        (
            [place_of(-300_000, -1_200_000, -290_000, -1_210_000, "EPSG:3031"),
             place_of(500_000, 8_400_000, 510_000, 8_390_000, "EPSG:32633")],
            ["EPSG:3031", "EPSG:3413"],
        ),
    ],
)  # fmt: skip
def test_places_are_drawn_where_they_are(places, told):
    drawn = "".join(place_map(places))
    assert all(one in drawn for one in told)
    assert "nan" not in drawn
    assert "inf" not in drawn
    numbers = [float(x) for x in re.findall(r'class="spot"[^>]*|c[xy]="(-?[\d.]+)"', drawn) if x]
    assert len(numbers) >= 2 * len(places)
    assert all(0 < one < 420 for one in numbers)


def test_a_view_has_its_projection_in_the_picture():
    view = View("", "EPSG:3031", (0.0, 0.0), 1_000_000.0)
    # The pole is in the middle, 0 degrees up and 90 degrees east to the right.
    at = view.at(np.array([[0.0, -90.0], [0.0, -85.0], [90.0, -85.0]]))
    assert at[0] == pytest.approx([210, 210])
    assert at[1][0] == pytest.approx(210)
    assert at[1][1] < 210
    assert at[2][0] > 210
    assert at[2][1] == pytest.approx(210)


def test_lines_have_gaps_and_axes_that_suit_their_values():
    values = [(1.0, 2.0), (2.0, math.nan), (3.0, 0.02), (4.0, 0.01)]
    chart = line_chart([Line("<loss>", values)], x="epoch", y="loss", alt="a", mark=(3.0, "best"))
    assert chart.count("<circle") == 3
    assert len(re.findall(r'd="([^"]*)"', chart)[0].split("M")) == 3
    assert "&lt;loss&gt;" in chart
    assert "nan" not in chart
    # Logarithmic: a factor of two takes the same height everywhere.
    assert ">0.05<" in chart
    assert line_chart([Line("none", [(1.0, math.nan)])], x="x", y="y", alt="") == ""
    assert "<circle" in line_chart([Line("one", [(1.0, 0.0)])], x="x", y="y", alt="")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.94, 0.983), (5, 5), (-3, 1e6), (1, 12)])
def test_ticks_are_round_and_enclose_the_values(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 9
    assert all(len(f"{tick:g}") <= 7 for tick in ticks)

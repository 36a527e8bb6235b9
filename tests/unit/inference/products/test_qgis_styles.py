"""Styles for QGIS: their elements, and where they lie."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from helpers.maps.made_maps import MASKS, ONE_MASK, make_scene, random_codes, write_all
from inference.products.qgis import RAMP, palette_style, ramp_style
from polynya.recipe.classes import NO_MASK, SEA_ICE

ODD = "Ice & <snow> \"old\" 'new' \x07 ü"


def entries(text):
    root = ET.fromstring(text)
    assert (root.tag, root.get("version")[:2]) == ("qgis", "3.")
    renderer = root.find("./pipe/rasterrenderer")
    assert renderer.get("type") == "paletted"
    assert renderer.get("band") == "1"
    return [
        (int(one.get("value")), one.get("color"), one.get("label"), one.get("alpha"))
        for one in renderer.iterfind("./colorPalette/paletteEntry")
    ]


def hexed(color):
    return "#{:02x}{:02x}{:02x}".format(*color)


def test_a_class_map_has_the_entries_of_the_recipe(tmp_path):
    odd = SEA_ICE.classes[0].model_copy(update={"title": ODD})
    classes = SEA_ICE.model_copy(update={"classes": (odd, *SEA_ICE.classes[1:])})
    paths = write_all(
        tmp_path, make_scene(30, 40), random_codes(30, 40), ("entropy", "polygons"), classes=classes
    )
    text = paths.named(".qml").read_text()
    assert text.startswith("<!DOCTYPE qgis PUBLIC")
    assert "<snow>" not in text
    titles = [ODD.replace("\x07", "\\x07"), *SEA_ICE.titles[1:]]
    assert entries(text) == [
        (c.code, hexed(c.color), title, "255")
        for c, title in zip(SEA_ICE.classes, titles, strict=True)
    ]
    assert paths.named("_entropy.qml").is_file()
    assert len(list(tmp_path.glob("*.qml"))) == 2


@pytest.mark.parametrize("classes", [MASKS, ONE_MASK], ids=["masks", "one mask"])
def test_a_map_of_masks_shows_the_first_band(classes, tmp_path):
    codes = random_codes(30, 40, classes=classes)
    paths = write_all(tmp_path, make_scene(30, 40), codes, classes=classes)
    first = classes.classes[0]
    assert entries(paths.named(".qml").read_text()) == [
        (0, hexed(NO_MASK), f"Outside of: {first.title}", "255"),
        (1, hexed(first.color), first.title, "255"),
    ]


def test_a_measure_has_a_ramp():
    root = ET.fromstring(ramp_style(0, 1))
    renderer = root.find("./pipe/rasterrenderer")
    assert renderer.get("type") == "singlebandpseudocolor"
    shader = renderer.find("./rastershader/colorrampshader")
    assert (shader.get("minimumValue"), shader.get("maximumValue")) == ("0", "1")
    assert shader.get("colorRampType") == "INTERPOLATED"
    items = [(float(one.get("value")), one.get("color")) for one in shader.iterfind("item")]
    shares = np.linspace(0, 1, len(RAMP)).tolist()
    assert items == list(zip(shares, map(hexed, RAMP), strict=True))
    options = {one.get("name"): one.get("value") for one in shader.iter("Option")}
    assert options["color1"] == "68,1,84,255"
    assert options["stops"].count(";") == len(RAMP) - 2


def test_other_entries_keep_their_order():
    assert entries(palette_style([(2, (1, 2, 3), "b"), (1, (255, 0, 9), "a & b")])) == [
        (2, "#010203", "b", "255"), (1, "#ff0009", "a & b", "255"),
    ]  # fmt: skip

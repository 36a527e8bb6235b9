"""The page of `polynya thresholds` in a real Chromium: opened, dragged, filtered, saved."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

import numpy as np
import pytest

from autolabel.thresholds.profiles import label_by_color
from data_samples import make_scene, write_scene
from helpers.programs.browser import DESKTOP, PHONE, find_chromium, open_browser
from helpers.scenes.tuner import address_of, tuner_of
from polynya.recipe.classes import SEA_ICE
from polynya.recipe.recipe import Recipe, load_recipe
from polynya.recipe.thresholds import ColorRange, Profile

EVIL = "<script>document.title='run'</script>"
STATUS = "document.querySelector('#status').textContent"
PROFILE = Profile(
    name="odd",
    ranges=(
        ColorRange(class_name="open_water", value=(0, 37)),
        ColorRange(class_name="thin_ice", hue=(170, 95), saturation=(9, 255), value=(38, 210)),
        ColorRange(class_name="thick_ice", hue=(96, 169), saturation=(9, 255), value=(38, 210)),
        ColorRange(class_name="thick_ice", value=(211, 255)),
    ),
    allow_gaps=True,
)
"""A range through red, two ranges of a class, and gaps where there is little colour."""


@pytest.fixture(scope="module")
def tuner(tmp_path_factory):
    find_chromium()
    folder = tmp_path_factory.mktemp("tuner") / EVIL.replace("/", "")
    folder.mkdir()
    scenes = [
        make_scene(46, number, (300, 420), "both", season="arctic-summer") for number in (0, 1)
    ]
    written = [write_scene(scene, folder)[1] for scene in scenes]
    named = [file.rename(folder / f"{number}<script>.tif") for number, file in enumerate(written)]
    evil = SEA_ICE.classes[0].model_copy(update={"title": EVIL})
    classes = SEA_ICE.model_copy(update={"classes": (evil, *SEA_ICE.classes[1:])})
    with tuner_of(named, folder / "mine.yaml", Recipe(classes=classes)) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tuner, tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def open_page(tuner, browser, width=DESKTOP):
    browser.errors.clear()
    browser.open(address_of(tuner), width)
    browser.wait(f"{STATUS} === 'Ready.'")
    browser.wait("document.querySelector('#share-table td.number')?.textContent")


def shares(browser):
    return browser.ask(
        "[...document.querySelectorAll('#share-table tbody tr')]"
        ".map(row => parseFloat(row.cells[1].textContent))"
    )


def test_a_limit_is_dragged_and_saved(tuner, browser):
    open_page(tuner, browser)
    assert browser.ask("location.search") == ""
    before = shares(browser)
    pane = "document.querySelector('.pane canvas').toDataURL()"
    picture = browser.ask(pane)
    assert sum(before) == pytest.approx(100, abs=0.2)

    first_of_thick = "#value-tracks .track:nth-child(3) .handle.low"
    value = f"document.querySelector({first_of_thick!r}).getAttribute('aria-valuenow')"
    assert browser.ask(value) == "205"
    browser.drag(first_of_thick, -48)
    dragged = int(browser.ask(value))
    assert 165 < dragged < 190
    browser.press("ArrowLeft")
    assert int(browser.ask(value)) == dragged - 1
    # The neighbour moves along.
    neighbour = "document.querySelector('#value-tracks .track:nth-child(2) .handle.high')"
    assert browser.ask(f"{neighbour}.getAttribute('aria-valuenow')") == str(dragged - 2)
    browser.wait(f"{pane} !== {json.dumps(picture)}")
    browser.wait(
        "parseFloat(document.querySelectorAll('#share-table tbody tr')[2].cells[1].textContent)"
        f" > {before[2]}"
    )

    browser.ask("document.querySelector('#name').value = 'night 1'")
    browser.ask("document.querySelector('#save').click()")
    browser.wait(f"{STATUS}.includes(\"wrong value for 'name'\")")
    assert not tuner.tuning.file.path.exists()
    browser.ask("document.querySelector('#name').value = 'night-1'")
    browser.ask("document.querySelector('#save').click()")
    browser.wait(f"{STATUS}.startsWith('Saved')")
    saved = load_recipe(tuner.tuning.file.path).label
    assert saved.profile.name == "night-1"
    assert [one.value for one in saved.profile.ranges] == [
        (0, 30), (31, dragged - 2), (dragged - 1, 255),
    ]  # fmt: skip
    assert browser.errors == []


def test_labels_of_the_page_are_those_of_python(tuner, browser):
    open_page(tuner, browser)
    # Every colour there is, in the order of its number.
    made = (
        "const all = new Uint8ClampedArray(4 << 24); const words = new Uint32Array(all.buffer);"
        " for (let i = 0; i < words.length; i++) words[i] = i | 0xff000000;"
    )
    profile = PROFILE.model_dump_json(by_alias=True)
    digest = browser.ask(
        f"(async () => {{ {made} const codes = polynya.codes(all, {profile});"
        " const found = new Uint8Array(await crypto.subtle.digest('SHA-256', codes));"
        " return btoa(String.fromCharCode(...found)); })()"
    )
    expected = hashlib.sha256()
    for blue in range(256):
        green, red = np.mgrid[:256, :256].astype(np.uint8)
        colors = np.stack([red, green, np.full_like(red, blue)], axis=-1)
        expected.update(label_by_color(colors, PROFILE).tobytes())
    assert base64.b64decode(digest) == expected.digest()


def test_suggested_limits_and_the_filter_are_shown(tuner, browser):
    open_page(tuner, browser)
    browser.ask("document.querySelector('#suggest').click()")
    browser.wait(f"{STATUS}.startsWith('Water up to')")
    first = "document.querySelector('#value-tracks .track:nth-child(3) .handle.low')"
    assert 170 < int(browser.ask(f"{first}.getAttribute('aria-valuenow')")) < 200
    browser.ask("document.querySelector('#filter').click()")
    browser.wait("document.querySelectorAll('#view option').length === 4")
    browser.wait(f"{STATUS} === 'Ready.'")
    assert browser.ask("document.querySelector('#view').value") == "filtered"
    pictures = set()
    for view in ("original", "filtered", "gain", "haze"):
        browser.ask(
            f"(e => {{ e.value = '{view}'; e.dispatchEvent(new Event('change')); }})"
            "(document.querySelector('#view'))"
        )
        browser.ask("new Promise(done => setTimeout(done, 300))")
        pictures.add(browser.ask("document.querySelector('.pane canvas').toDataURL()"))
    assert len(pictures) == 4
    assert browser.errors == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_fits_its_width_and_is_accessible(tuner, browser, width, tmp_path):
    open_page(tuner, browser, width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.screenshot(tmp_path / f"{width}.png")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.ask(files("axe_core_python").joinpath("axe.min.js").read_text() + "; 0")
    faults = browser.ask(
        "axe.run().then(all => all.violations.filter(one => ['serious', 'critical']"
        ".includes(one.impact)).map(one => [one.id, one.nodes.map(node => node.html)]))"
    )
    assert faults == []
    assert browser.errors == []


def test_names_stay_text(tuner, browser):
    open_page(tuner, browser)
    assert browser.ask("document.title") == "Colour thresholds"
    assert EVIL in browser.ask("document.body.textContent")
    assert browser.ask("document.scripts.length") == 1
    # An address without token, in a browser that has no cookie for it, shows nothing.
    for _ in range(2):
        browser.open(tuner.address, DESKTOP)
        assert browser.ask("document.querySelector('h1')?.textContent") == "Colour thresholds"
        browser.open(tuner.address.replace("127.0.0.1", "localhost"), DESKTOP)
        # Chromium says with a page of its own that it got nothing.
        assert browser.ask("document.querySelector('#panes')") is None
        assert "Colour thresholds" not in browser.ask("document.body.textContent")

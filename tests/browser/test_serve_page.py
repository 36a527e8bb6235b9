"""The page of `polynya serve` in a real Chromium: seen, moved, clicked, switched."""

from __future__ import annotations

from importlib.resources import files

import pytest

from helpers.maps.made_maps import random_codes
from helpers.maps.served_maps import put_map, served
from helpers.programs.browser import DESKTOP, PHONE, find_chromium, open_browser
from polynya.recipe.classes import SEA_ICE

EVIL = "<script>document.title='run'</script>"
STATUS = "document.querySelector('#status').textContent"
PICTURE = "document.querySelector('#view').toDataURL()"
SETTLED = "document.querySelector('#view').dataset.waiting === '0'"
VALUES = "document.querySelector('#values').textContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    find_chromium()
    folder = tmp_path_factory.mktemp("served")
    evil = SEA_ICE.classes[0].model_copy(update={"title": EVIL})
    classes = SEA_ICE.model_copy(update={"classes": (evil, *SEA_ICE.classes[1:])})
    products = ("probability", "entropy")
    put_map(folder, "a_20200101", random_codes(300, 400, seed=1), products, classes)
    put_map(folder, "b_20200102", random_codes(300, 400, seed=2), products, classes, left=350)
    with served(folder) as server:
        yield server


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def open_page(server, browser, width=DESKTOP):
    browser.errors.clear()
    browser.open(f"{server.maps.address}?token={server.maps.admission.token}", width)
    browser.wait(f"{STATUS} === 'Ready.'")
    browser.wait(SETTLED)


def change(browser, selector, value):
    browser.ask(
        f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('input'));"
        f" e.dispatchEvent(new Event('change')); }})(document.querySelector('{selector}'))"
    )
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    browser.wait(SETTLED)


def test_maps_are_seen_moved_and_switched(server, browser):
    open_page(server, browser)
    assert browser.ask("location.search") == ""
    seen = [browser.ask(PICTURE)]
    browser.drag("#view", 90, 40)
    browser.wait(SETTLED)
    seen.append(browser.ask(PICTURE))
    browser.ask("document.querySelector('#view').focus()")
    browser.press("0")
    browser.wait(f"{PICTURE} === {seen[0]!r}")
    change(browser, "#layer", "probability-2")
    seen.append(browser.ask(PICTURE))
    assert "0.75" in browser.ask("document.querySelector('#legend').textContent")
    change(browser, "#opacity", "30")
    seen.append(browser.ask(PICTURE))
    change(browser, "#projection", "WebMercatorQuad")
    seen.append(browser.ask(PICTURE))
    change(browser, "#layer", "labels")
    browser.ask("document.querySelectorAll('#maps input')[1].click()")
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seen.append(browser.ask(PICTURE))
    assert len(set(seen)) == len(seen)
    assert browser.errors == []


def test_a_click_tells_the_class_of_the_place(server, browser):
    open_page(server, browser)
    # The middle of the screen is the middle of both maps, column 375 of the first.
    x, y = browser.ask(
        "(e => (e = e.getBoundingClientRect(), [e.x + e.width / 2, e.y + e.height / 2]))"
        "(document.querySelector('#view'))"
    )
    assert x > 0
    assert y > 0
    browser.drag("#view", 0)
    browser.wait(f"{VALUES}.includes('a_20200101')")
    told = browser.ask(VALUES)
    assert "° S" in told
    code = random_codes(300, 400, seed=1)[150, 375]
    title = "no data" if code == 255 else [EVIL, *SEA_ICE.titles[1:]][code]
    assert title in told
    browser.ask("document.querySelector('#values').replaceChildren()")
    browser.ask("document.querySelector('#view').focus()")
    browser.press("Enter")
    browser.wait(f"{VALUES}.includes('a_20200101')")
    assert browser.errors == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_fits_its_width_and_is_accessible(server, browser, width, tmp_path):
    open_page(server, browser, width)
    browser.ask("document.querySelector('#view').focus()")
    browser.press("Enter")
    browser.wait(f"{VALUES}.includes('Class')")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.screenshot(tmp_path / f"{width}.png")
    browser.ask(files("axe_core_python").joinpath("axe.min.js").read_text() + "; 0")
    faults = browser.ask(
        "axe.run().then(all => all.violations.filter(one => ['serious', 'critical']"
        ".includes(one.impact)).map(one => [one.id, one.nodes.map(node => node.html)]))"
    )
    assert faults == []
    assert browser.errors == []


def test_names_stay_text(server, browser):
    open_page(server, browser)
    assert browser.ask("document.title") == "2 maps - Polynya"
    assert EVIL in browser.ask("document.body.textContent")
    assert browser.ask("document.scripts.length") == 1

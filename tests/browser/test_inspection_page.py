"""The page of `polynya inspect` in a real Chromium, at the width of a phone and of a desktop."""

from __future__ import annotations

import pytest

from helpers.maps.inference_commands import run
from helpers.programs.browser import DESKTOP, PHONE, find_chromium, open_browser
from helpers.shards.faulty_shards import CLASSES, NODATA, kelp_recipe, write_kelp_shards

LONG = "a_scene_with_a_very_long_name_as_products_of_satellites_have_it_T10SFH_N0500_R113_20210302"
EVIL = "<script>document.title='run'</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with findings, long names and a name that is a script."""
    find_chromium()

    def empty(image, label):
        image[...], label[...] = NODATA, 255

    folder = write_kelp_shards(
        tmp_path_factory.mktemp("page") / "<script>",
        kelp_recipe(64, {**CLASSES, "name": EVIL}), scenes=[LONG, f"{EVIL}_1", "b_20210302"],
        tiles=2, faults={(LONG, 1): empty},
    )  # fmt: skip
    run("inspect", folder, "--samples", 3)
    return folder.parent / "<script>-inspection.html"


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_fits_its_width_and_shows_its_pictures(page, browser, width, dark):
    browser.open(page, width, dark=dark)
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width
    # Whatever is wider than the page scrolls in a frame of its own.
    outside = """[...document.querySelectorAll('main *')]
        .filter(e => !e.closest('.scroll') && !e.closest('svg'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"""
    assert browser.ask(outside) == []
    pictures = browser.ask(
        "[...document.images].map(i => i.decode().then(() => i.naturalWidth, () => 0))"
        ".reduce(async (all, one) => [...await all, await one], [])"
    )
    assert len(pictures) >= 3 * 5
    assert all(pictures)
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(18, 24, 30)" if dark else "rgb(251, 252, 253)")


def test_names_stay_text(page, browser):
    browser.open(page, DESKTOP)
    assert browser.ask("document.title") == "<script>: labelled tiles"
    assert browser.ask("document.scripts.length") == 0
    assert browser.ask("document.querySelector('h1').textContent") == "<script>"
    assert EVIL in browser.ask("document.body.textContent")


def test_labels_can_be_hidden_without_a_script(page, browser):
    browser.open(page, PHONE)
    shown = "getComputedStyle(document.querySelector('.over')).display"
    assert browser.ask(shown) == "block"
    browser.ask("document.querySelector('#labels').click()")
    assert browser.ask(shown) == "none"

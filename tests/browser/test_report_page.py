"""The page of `polynya report` in a real Chromium: opened, dragged, recoloured, printed, judged."""

from __future__ import annotations

from importlib.resources import files

import pytest

from helpers.maps.inference_commands import run
from helpers.maps.report_runs import (
    EVIL,
    EVIL_TITLE,
    write_benchmark,
    write_run,
    write_sweep,
)
from helpers.programs.browser import DESKTOP, PHONE, find_chromium, open_browser

KINDS = ("run", "run/model", "run/maps", "run/evaluation", "sweep", "benchmark")
STAGE = ".scene:not(.away) .stage"
AT = f"parseFloat(getComputedStyle(document.querySelector('{STAGE}')).getPropertyValue('--at'))"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of each kind of run."""
    find_chromium()
    folder = tmp_path_factory.mktemp("reports")
    write_run(folder / "run")
    write_sweep(folder / "sweep")
    write_benchmark(folder / "benchmark")
    made = {}
    for kind in KINDS:
        made[kind] = folder / f"{kind.replace('/', '-')}.html"
        run("report", folder / kind, "--out", made[kind])
    return made


@pytest.fixture(scope="module")
def browser(pages, tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def open_page(browser, page, width=DESKTOP, **how):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page, width, **how)
    assert browser.requests == [page.as_uri()]


VIEWS = {"run": ((PHONE, False), (DESKTOP, False), (DESKTOP, True))}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_run_is_read_on_a_phone_and_a_desktop(pages, browser, kind, tmp_path):
    for width, dark in VIEWS.get(kind, ((PHONE, kind == "sweep"),)):
        open_page(browser, pages[kind], width, dark=dark)
        browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.ask("document.documentElement.scrollWidth") <= width
        browser.screenshot(tmp_path / f"{width}-{dark}.png")
        broken = browser.ask(
            "Promise.all([...document.images].map(i => i.decode().then(() => '', () => i.alt)))"
        )
        assert [alt for alt in broken if alt] == []
        browser.ask(files("axe_core_python").joinpath("axe.min.js").read_text() + "; 0")
        faults = browser.ask(
            "axe.run().then(all => all.violations.filter(one => ['serious', 'critical']"
            ".includes(one.impact)).map(one => [one.id, one.nodes.map(node => node.html)]))"
        )
        assert faults == []
    assert browser.ask("document.querySelectorAll('img:not([alt])').length") == 0
    assert browser.ask("document.scripts.length") == 1
    assert browser.errors == []


def test_the_divider_is_dragged_and_moved_by_keys(pages, browser):
    open_page(browser, pages["run"])
    assert browser.ask(AT) == 50
    width = browser.ask(f"document.querySelector('{STAGE}').getBoundingClientRect().width")
    browser.drag(f"{STAGE} .divider", width / 4)
    assert browser.ask(AT) == pytest.approx(75, abs=0.5)
    left = f"document.querySelector('{STAGE} figure.left')"
    clipped = browser.ask(f"getComputedStyle({left}).clipPath")
    at = browser.ask(AT)
    for key, step in (("ArrowLeft", -2), ("ArrowRight", 2), ("PageDown", -10)):
        browser.press(key)
        at += step
        assert browser.ask(AT) == pytest.approx(at, abs=1e-6)
    assert browser.ask(f"getComputedStyle({left}).clipPath") != clipped
    browser.press("Home")
    assert browser.ask(AT) == 0
    browser.press("End")
    divider = f"document.querySelector('{STAGE} .divider')"
    assert browser.ask(f"{divider}.getAttribute('aria-valuenow')") == "100"
    told = browser.ask(f"{divider}.getAttribute('aria-valuetext')")
    assert told == "100 % Image, then Prediction"
    # A press beside the divider also moves it.
    browser.drag(f"{STAGE}", 0)
    assert browser.ask(AT) == pytest.approx(50, abs=0.5)
    assert browser.errors == []


def test_layers_and_scenes_are_chosen(pages, browser):
    open_page(browser, pages["run"])
    names = browser.ask(
        f"[...document.querySelectorAll('{STAGE} select.of-left option')].map(o => o.value)"
    )
    assert names == ["Image", "Label by thresholds", "Prediction", "Truth", "Error"]
    browser.ask(
        f"(s => {{ s.value = 'Error'; s.dispatchEvent(new Event('change')); }})"
        f"(document.querySelector('{STAGE} select.of-right'))"
    )
    shown = f"document.querySelector('{STAGE} figure.right').dataset.layer"
    assert browser.ask(shown) == "Error"
    tabs = "[...document.querySelectorAll('.strip a')].map(a => a.getAttribute('aria-selected'))"
    assert browser.ask(tabs) == ["true", "false", "false"]
    browser.ask("document.querySelectorAll('.strip a')[0].focus()")
    browser.press("ArrowRight")
    assert browser.ask(tabs) == ["false", "true", "false"]
    # The other scene shows the same layer; one without truth what it has.
    assert browser.ask(shown) == "Error"
    browser.press("End")
    title = f"document.querySelector('{STAGE}').closest('section').querySelector('h3').textContent"
    assert browser.ask(title) == EVIL
    # A link of the map shows its scene.
    browser.ask(
        "[...document.querySelectorAll('.tiles a')].find(a => a.textContent === 'site1_clear')"
        ".click()"
    )
    browser.wait(f"{title} === 'site1_clear'")
    assert browser.errors == []


def test_the_palette_is_exchanged_in_pictures_and_legends(pages, browser):
    open_page(browser, pages["run"])
    image = f"document.querySelector('{STAGE} img[data-safe]')"
    colors = (
        f"(async () => {{ const image = {image}; await image.decode();"
        " const canvas = document.createElement('canvas');"
        " canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
        " const paint = canvas.getContext('2d'); paint.drawImage(image, 0, 0);"
        " const all = paint.getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();"
        " for (let i = 0; i < all.length; i += 4) seen.add([...all.slice(i, i + 3)].join());"
        " return [...seen].sort(); })()"
    )
    swatch = "getComputedStyle(document.querySelector('.legend i')).backgroundColor"
    paper = ["0,0,255", "0,255,0", "255,0,0"]
    assert browser.ask(colors) == paper
    assert browser.ask(swatch) == "rgb(0, 255, 0)"
    browser.ask("document.querySelector('#palette input[value=safe]').click()")
    assert browser.ask(colors) == ["0,114,178", "213,94,0", "240,228,66"]
    assert browser.ask(swatch) == "rgb(0, 114, 178)"
    browser.ask("document.querySelector('#palette input[value=standard]').click()")
    assert browser.ask(colors) == paper
    assert browser.errors == []


def test_names_and_texts_stay_text(pages, browser):
    for page in pages.values():
        open_page(browser, page)
        assert browser.ask("document.title").endswith(": report")
    open_page(browser, pages["run"])
    text = browser.ask("document.body.textContent")
    assert EVIL in text
    assert EVIL_TITLE in text
    assert "A note with <b>bold</b>." in text
    assert browser.ask("document.querySelectorAll('img[src=x], main b b').length") == 0
    assert browser.errors == []


def test_paper_shows_all_scenes_and_layers(pages, browser, tmp_path):
    open_page(browser, pages["run"], printed=True)
    heights = browser.ask(
        "[...document.querySelectorAll('.stage figure img')].map(i => i.getClientRects().length)"
    )
    assert len(heights) == 5 + 5 + 4
    assert all(heights)
    hidden = "getComputedStyle(document.querySelector('.bar-of-page')).display"
    assert browser.ask(hidden) == "none"
    browser.screenshot(tmp_path / "print.png")
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask("document.querySelectorAll('details:not([open])').length") == 0
    browser.ask("dispatchEvent(new Event('afterprint'))")
    assert browser.ask("document.querySelectorAll('details:not([open])').length") > 0

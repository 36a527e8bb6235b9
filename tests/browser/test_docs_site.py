"""The site of `make docs`: no warnings, nothing from a network, and how Chromium shows it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from helpers.programs.browser import DESKTOP, PHONE, find_chromium, open_browser

ROOT = Path(__file__).parents[2]
PAGES = ("docs/index", "docs/getting-started", "docs/api", "docs/notebooks/first_map")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The build by the Makefile's own command, and the folder of the site."""
    (words,) = re.findall(r"^SITE := python (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    folder = tmp_path_factory.mktemp("site") / "docs"
    command = [sys.executable, *words.split(), str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True), folder


@pytest.fixture(scope="module")
def site(built):
    done, folder = built
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser(site, tmp_path_factory):
    find_chromium()
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Page(HTMLParser):
    """What a page loads, where its links lead, and which places it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads, self.links, self.places = [], [], {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places.add(given.get("id") or given.get("name") or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link" and given.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(given.get("href") or "")
        self.loads += [given[name] for name in ("src", "data", "poster") if given.get(name)]


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_the_site_builds_without_a_warning(built):
    done, _ = built
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_nothing_comes_from_a_network(site, pages):
    loaded = [address for page in pages.values() for address in page.loads]
    assert loaded
    assert [address for address in loaded if urlsplit(address).scheme not in ("", "data")] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8")), (
            style
        )


def test_each_link_leads_to_a_page_and_a_place_in_it(pages):
    lost = []
    for path, page in pages.items():
        for address in (*page.links, *page.loads):
            if urlsplit(address).scheme:
                continue
            file, place = urldefrag(unquote(address))
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.is_file() or (target in pages and place not in pages[target].places):
                lost.append(f"{path.name}: {address}")
    assert lost == []


def test_every_document_is_a_page(site):
    documents = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")]
    names = ["README", "CONTRIBUTING", "CHANGELOG", "data_samples/README"]
    names += [path.relative_to(ROOT).with_suffix("").as_posix() for path in documents]
    assert [name for name in names if not (site / f"{name}.html").is_file()] == []


def test_lists_of_links_become_the_navigation():
    spec = importlib.util.spec_from_file_location("navigation", ROOT / "docs/site/navigation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lists = "## Start\n\n- [A page](a.md): about it\n- [A book](n/b.ipynb)\n"
    text = f"# Title\n\n{lists}\n## Text\n\nNo list.\n"
    assert module.toctrees(text) == (
        "```{toctree}\n:hidden:\n:caption: Start\n\nA page <a>\nA book <n/b>\n```"
    )


def test_the_first_page_leads_to_the_start(site):
    (address,) = re.findall(r'content="0; url=(.+?)"', (site / "index.html").read_text("utf-8"))
    assert site / address == site / "docs" / "index.html"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_width(name, width, site, browser):
    browser.errors.clear()
    browser.open(site / f"{name}.html", width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("[...document.images].every(image => image.naturalWidth > 0)")
    assert browser.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_on_a_page_is_hard_to_use(name, site, browser):
    browser.open(site / f"{name}.html", DESKTOP)
    browser.ask(files("axe_core_python").joinpath("axe.min.js").read_text() + "; 0")
    # Contrast is the same on all pages, and takes long on the longest one.
    rules = {"color-contrast": {"enabled": name != "docs/api"}}
    found = browser.ask(
        f"axe.run({json.dumps({'rules': rules})}).then(all => all.violations.filter(one =>"
        " ['serious', 'critical'].includes(one.impact)).map(one => one.id + one.nodes[0].html))"
    )
    assert found == []

"""HTML of the page of `polynya serve`; its scripts fill it (`static/`)."""

from __future__ import annotations

from collections.abc import Sequence

from polynya.report.html import Html, document, element

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load and do: only what comes from its own server."""


def make_page(titles: Sequence[str]) -> str:
    """Make the page of some maps."""
    head = (
        element("link", rel="stylesheet", href="controls.css"),
        element("link", rel="stylesheet", href="viewer.css"),
        element("script", Html(""), type="module", src="viewer.js"),
        element("link", rel="icon", href="data:,"),
    )
    title = titles[0] if len(titles) == 1 else f"{len(titles)} maps"
    keys = (
        "Drag to move, wheel or two fingers to zoom, click for the values of a place. With the"
        " keyboard: arrows, plus, minus, 0 for all, Enter for the middle."
    )
    see = element(
        "section",
        element("h2", "Map", id="see-title"),
        element("p", keys, _class="quiet", id="keys"),
        element(
            "div",
            element(
                "canvas",
                id="view",
                tabindex=0,
                role="application",
                aria_roledescription="map",
                aria_label="The maps",
                aria_describedby="keys",
            ),
            element("div", id="scale", aria_hidden="true"),
            id="frame",
        ),
        aria_labelledby="see-title",
    )
    choose = element(
        "div",
        _section(
            "Layer",
            element(
                "div",
                _field("Show", element("select", id="layer"), "layer"),
                _field("Opacity", _range("opacity"), "opacity"),
                _field("Projection", element("select", id="projection"), "projection"),
                _class="row",
            ),
            element("ul", _class="legend", id="legend"),
            name="choose",
        ),
        _section("Place", element("div", id="values", role="status"), name="place"),
        _section(
            "Maps", element("div", id="maps", role="group", aria_label="Maps to show"), name="list"
        ),
        id="set",
    )
    body = (
        element(
            "header",
            element("h1", title),
            element("p", "Loading ...", id="status", role="status"),
        ),
        element("div", see, choose, id="work"),
    )
    return document(f"{title} - Polynya", *body, policy=None, head=head)


def _section(title: str, *children: Html, name: str) -> Html:
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *children, aria_labelledby=f"{name}-title")


def _field(text: str, control: Html, name: str) -> Html:
    return element("div", element("label", text, _for=name), control, _class="field")


def _range(name: str) -> Html:
    return element("input", type="range", id=name, min=0, max=100, value=100)

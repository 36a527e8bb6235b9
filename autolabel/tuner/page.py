"""HTML of the page; its scripts fill it (`static/`)."""

from __future__ import annotations

from autolabel.tuner.tuning import Tuning
from polynya.report.html import Html, document, element, joined

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load and do: only what comes from its own server."""

_AXES = (("value", "Value", "brightness: the greatest of red, green and blue"),
         ("saturation", "Saturation", "0 grey, 255 full colour"),
         ("hue", "Hue", "0 red, 60 green, 120 blue; a range may go through red"))  # fmt: skip


def make_page(tuning: Tuning) -> str:
    """Make the page of a tuning."""
    head = (
        element("link", rel="stylesheet", href="controls.css"),
        element("link", rel="stylesheet", href="page.css"),
        element("script", Html(""), type="module", src="page.js"),
        element("link", rel="icon", href="data:,"),
    )
    title = "Colour thresholds"
    body = (
        element("header", element("h1", title), _status()),
        element(
            "div",
            _section("Scenes", _scenes(), element("div", id="panes"), _views(), id="see"),
            element("div", _shares(), _limits(), _save(tuning), id="set"),
            id="work",
        ),
    )
    return document(title, *body, policy=None, head=head)


def _section(title: str, *children: Html, **attributes: str) -> Html:
    name = f"{attributes['id']}-title"
    heading = element("h2", title, id=name)
    return element("section", heading, *children, aria_labelledby=name, **attributes)


def _status() -> Html:
    return element("p", "Loading ...", id="status", role="status")


def _scenes() -> Html:
    pick = element("div", _class="row", id="pick", role="group", aria_label="Scenes to show")
    keys = element(
        "p",
        "Drag to move, wheel or two fingers to zoom. With the keyboard: arrows, plus, minus, and 0"
        " for the whole scene.",
        _class="quiet",
    )
    return joined(pick, keys)


def _views() -> Html:
    return element(
        "div",
        _field("Show", element("select", id="view"), "view"),
        _field("Label opacity", _range("opacity", 0, 100, 45), "opacity"),
        _field("Filter", element("select", id="method"), "method"),
        element("button", "Filter with these limits", type="button", id="filter"),
        _class="row",
    )


def _field(text: str, control: Html, name: str) -> Html:
    return element("div", element("label", text, _for=name), control, _class="field")


def _range(name: str, low: int, high: int, value: int) -> Html:
    return element("input", type="range", id=name, min=low, max=high, value=value)


def _shares() -> Html:
    return _section("Shares", element("div", id="share-table"), id="shares")


def _limits() -> Html:
    axes = [
        element(
            "details" if name != "value" else "div",
            element("summary" if name != "value" else "h3", f"{title} ({about})"),
            element("canvas", id=f"{name}-histogram", role="img", width=512, height=96),
            element("div", _class="tracks", id=f"{name}-tracks"),
            _class="axis",
        )
        for name, title, about in _AXES
    ]
    link = element(
        "label",
        element("input", type="checkbox", id="link", checked=""),
        "Neighbours move along, so that no gap opens",
        _class="toggle",
    )
    gaps = element(
        "label",
        element("input", type="checkbox", id="gaps"),
        "Colours in no range are nodata",
        _class="toggle",
    )
    buttons = element(
        "div",
        element("button", "Suggest limits", type="button", id="suggest"),
        element("button", "Reset", type="button", id="reset"),
        _class="row",
    )
    numbers = element(
        "details",
        element("summary", "Numbers, more ranges"),
        element("div", id="numbers"),
    )
    problem = element("p", id="problem", role="alert")
    return _section("Limits", problem, buttons, *axes, link, gaps, numbers, id="limits")


def _save(tuning: Tuning) -> Html:
    name = element("input", type="text", id="name", maxlength=60, spellcheck="false")
    into = tuning.file.path.name
    return _section(
        "Save",
        element(
            "form",
            _field("Name of the profile", name, "name"),
            element("button", f"Save into {into}", type="submit", _class="main", id="save"),
            id="save-form",
            _class="row",
        ),
        id="saving",
    )

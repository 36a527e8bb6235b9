"""Parts that pages share: cards with numbers, sections, figures from files."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from polynya.report.html import Html, element

Card = tuple[str, str, bool]
"""A number as text, what it is, and whether it is bad."""


def cards(items: Iterable[Card]) -> Html:
    """Show numbers as cards."""
    shown = (
        element("div", element("b", number), title, _class="card warn" if bad else "card")
        for number, title, bad in items
    )
    return element("div", *shown, _class="cards")


def section(title: str, *content: Html, note: str = "", place: str = "") -> list[Html]:
    """Put a heading, with a note and an address within the page if there are any, above content."""
    heading = element("h2", title, id=place) if place else element("h2", title)
    return [heading, *([element("p", note, _class="quiet")] if note else []), *content]


def file_figure(path: Path, caption: str) -> Html:
    """Show a PNG file as it is; OSError if it can't be read."""
    data = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    image = element("img", src=data, alt=caption, decoding="async")
    return element("figure", image, element("figcaption", caption), _class="chart")

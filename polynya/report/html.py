"""Self-contained HTML pages: everything is in one file, and text from elsewhere stays text."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from polynya.names import printable
from polynya.report.style import STYLE
from polynya.report.tables import Table

_VOID = {"img", "input", "link", "meta"}
"""Elements without content."""
_JPEG_QUALITY = 85


class Html(str):
    """Text that is HTML already. Only functions of this module and of `charts` make it."""


def element(name: str, /, *children: str | Html, **attributes: str | int | float) -> Html:
    """Make an element; children and attributes are escaped, except children that are `Html`.

    Args:
        name: Name of the element.
        children: Content in order.
        attributes: Attributes; `_class` stands for class, `_for` for for, and so on, and `_` inside
            a name for `-`.
    """
    told = "".join(
        f' {key.lstrip("_").replace("_", "-")}="{html.escape(printable(str(value)))}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{joined(*children)}</{name}>")


def joined(*children: str | Html) -> Html:
    """Put parts after each other; parts that are not `Html` are escaped."""
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(printable(child))
            for child in children
        )
    )


def table_element(table: Table) -> Html:
    """Table in a frame that scrolls by itself, so that a wide table doesn't widen the page."""
    numbers = [False, *table.of_numbers()[1:]]  # The first column names the rows.

    def cells(kind: str, row: tuple[str, ...]) -> Html:
        shown = (
            element(kind, cell, _class="number" if of_numbers else "text")
            for cell, of_numbers in zip(row, numbers, strict=True)
        )
        return element("tr", *shown)

    head = element("thead", cells("th", table.columns))
    body = element("tbody", *(cells("td", row) for row in table.rows))
    title = [element("caption", table.title)] if table.title else []
    return element("div", element("table", *title, head, body), _class="scroll", tabindex=0)


def picture(image: NDArray[np.uint8], alt: str) -> Html:
    """Embedded picture of colours, uint8 (H, W, 3); `alt` says what it shows."""
    data = _data_uri(".jpg", image[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    return _img(data, image, alt)


def sharp_picture(image: NDArray[np.uint8], alt: str) -> Html:
    """Embedded picture of few colours, uint8 (H, W, 3), such as labels: without any loss."""
    return _img(_data_uri(".png", image[..., ::-1]), image, alt)


def overlay_uri(image: NDArray[np.uint8]) -> str:
    """Data URI of a picture with opacity, uint8 (H, W, 4): red, green, blue, alpha."""
    return _data_uri(".png", image[..., [2, 1, 0, 3]])


_NOTHING_MORE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Even if a text were not escaped by mistake, nothing could be run or fetched."""


def document(
    title: str,
    *body: str | Html,
    policy: str | None = _NOTHING_MORE,
    head: Sequence[Html] = (),
) -> str:
    """Make a whole page. It needs no network and no script, and has a light and a dark scheme.

    Args:
        title: Title of the page.
        body: Content in order.
        policy: What the page may load and do; None if a server's header says it.
        head: More elements of the head, after the style.
    """
    said = [element("meta", http_equiv="Content-Security-Policy", content=policy)] if policy else []
    in_head = element(
        "head",
        element("meta", charset="utf-8"),
        *said,
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE)),
        *head,
    )
    page = element("html", in_head, element("body", element("main", *body)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _img(data: str, image: NDArray[np.uint8], alt: str) -> Html:
    return element(
        "img", src=data, alt=alt, width=image.shape[1], height=image.shape[0], decoding="async"
    )


def _data_uri(suffix: str, image: NDArray[np.uint8], *options: int) -> str:
    _, content = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    kind = "jpeg" if suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}"

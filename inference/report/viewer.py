"""A scene on the page: its layers, which a script puts under a divider that can be moved.

Without the script, and on paper, the layers are beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.report.matrices import share_bar
from inference.report.piece import percent
from inference.report.previews import RIGHT, UNKNOWN, WRONG, Preview, thumbnail
from inference.report.schemes import in_safe_colors, palette_bytes
from polynya.recipe.classes import ClassScheme
from polynya.report.html import Html, element, joined, picture, table_element
from polynya.report.palette_picture import palette_uri
from polynya.report.tables import Table

ERROR_COLORS = {RIGHT: (226, 232, 236, 255), WRONG: (196, 17, 110, 255), UNKNOWN: (0, 0, 0, 0)}
"""Light grey and magenta differ in brightness, too, so anyone can tell them apart."""


@dataclass(frozen=True)
class SceneFacts:
    """What the files of a run say of a scene."""

    shares: list[tuple[int, str, str, str]]
    """Code, title, share (0..1) and area in square kilometres of each class, as text."""
    rights: dict[str, float | None]
    """Share of right pixels by method."""
    more: list[tuple[str, str]]
    """Further facts and their values."""


def scene_panel(
    place: str, preview: Preview, classes: ClassScheme, scheme: str, facts: SceneFacts
) -> Html:
    """Show a scene with its facts.

    Args:
        place: Address within the page.
        preview: Layers of the scene.
        classes: Scheme of the layers.
        scheme: Class name of the scheme within the page.
        facts: Facts of the scene.
    """
    layers = _layers(preview, classes)
    stage = element("div", *layers, _class="stage")
    notes = [element("p", note, _class="quiet") for note in preview.notes]
    beside = element("div", *_facts(facts, classes), *notes, _class="facts")
    title = element("h3", preview.name, id=f"{place}-title")
    body = element("div", element("div", stage, _class="viewer"), beside, _class="pair")
    return element(
        "section", title, body, id=place, _class=f"scene {scheme}", aria_labelledby=f"{place}-title"
    )


def _layers(preview: Preview, classes: ClassScheme) -> list[Html]:
    shown = []
    if preview.image is not None:
        shown.append(_figure("Image", picture(preview.image, f"{preview.name}: image")))
    for title, codes in preview.layers:
        uri = palette_uri(codes, classes.label_colors())
        safe = in_safe_colors(classes)
        colors = {} if safe is None else {
            "data_standard": palette_bytes(classes), "data_safe": palette_bytes(safe),
        }  # fmt: skip
        image = element(
            "img", src=uri, alt=f"{preview.name}: {title.lower()}", width=codes.shape[1],
            height=codes.shape[0], decoding="async", _class="codes", **colors,
        )  # fmt: skip
        shown.append(_figure(title, image))
    if preview.errors is not None:
        other, codes = preview.errors
        image = element(
            "img", src=palette_uri(codes, ERROR_COLORS),
            alt=f"{preview.name}: where the prediction differs from {other}", width=codes.shape[1],
            height=codes.shape[0], decoding="async", _class="codes",
        )  # fmt: skip
        title = "Error" if other == "the truth" else f"Other than {other.removeprefix('the ')}"
        shown.append(_figure(title, image))
    return shown


def _figure(title: str, image: Html) -> Html:
    return element("figure", image, element("figcaption", title), data_layer=title)


def _facts(facts: SceneFacts, classes: ClassScheme) -> list[Html]:
    shown = []
    known = [(method, value) for method, value in facts.rights.items() if value is not None]
    if known:
        method, value = known[-1]
        told = f"right, {method}"
        shown.append(element("p", element("b", f"{percent(value, 1)}%"), told, _class="figure"))
    bar = [(code, title, float(share)) for code, title, share, _ in facts.shares if share]
    if bar and not classes.has_masks:
        shown.append(share_bar(bar))
    if facts.shares:
        rows = [
            element(
                "tr",
                element("th", element("i", style=f"background:var(--c{code})"), title, scope="row"),
                element("td", f"{percent(share, 1)}%" if share else ""),
                element("td", f"{float(area):,.2f} km²" if area else ""),
            )
            for code, title, share, area in facts.shares
        ]
        shown.append(element("table", element("tbody", *rows), _class="shares-table"))
    rows_of_more = [*facts.more, *((f"right, {m}", f"{percent(v)}%") for m, v in known[:-1])]
    if rows_of_more:
        table = Table("", ("fact", "value"), tuple(rows_of_more))
        shown.append(element("details", element("summary", "More"), table_element(table)))
    return shown


def film_strip(places: Sequence[tuple[str, Preview, str]]) -> Html:
    """Link to scenes by small pictures: address within the page, preview, and a word on each."""
    links = []
    for place, preview, word in places:
        small = thumbnail(preview)
        image = picture(small, "") if small is not None else element("span", _class="no-image")
        name = element("span", preview.name, _class="name")
        told = element("span", word, _class="word") if word else joined()
        links.append(element("a", image, name, told, href=f"#{place}"))
    return element("div", *links, _class="strip", aria_label="Scenes", role="group", tabindex=-1)

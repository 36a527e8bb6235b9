"""Class schemes as maps tell them, and their colours on the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polynya.errors import RecipeError
from polynya.recipe.classes import NO_MASK, ClassScheme
from polynya.report.html import Html, element, joined

_OF = re.compile(r".*, (class|mask) (\d+) of (.*)", re.DOTALL)
"""Descriptions of classes in STAC items (`inference.stac.assets`)."""


def scheme_of(item: Mapping[str, Any]) -> ClassScheme:
    """Read the class scheme of a map from its STAC item.

    Raises:
        ValueError: The item doesn't describe classes as Polynya's items do.
    """
    asset = item["assets"]["map"]
    entries = list(asset.get("classification:classes", ()))
    for band in asset.get("bands", ()):
        entries += band.get("classification:classes", ())
    found: dict[int, dict[str, Any]] = {}
    kind, name, nodata = "class", "", 255
    for entry in entries:
        told = _OF.fullmatch(entry.get("description", ""))
        if entry.get("nodata"):
            nodata = int(entry["value"])
        elif told and not (told[1] == "mask" and entry["value"] == 0):
            kind, name = told[1], told[3]
            hint = bytes.fromhex(entry["color_hint"])
            found[int(told[2])] = {
                "code": int(told[2]), "name": entry["name"], "title": entry["title"],
                "color": tuple(hint),
            }  # fmt: skip
    if not found:
        raise ValueError(f"the item of {item['id']} names no classes")
    return ClassScheme.model_validate(
        {
            "name": name,
            "kind": "masks" if kind == "mask" else "exclusive",
            "classes": [found[code] for code in sorted(found)],
            "nodata": nodata,
        }
    )


def _colors(classes: ClassScheme) -> str:
    """Custom properties of the colours of classes."""
    return "".join(f"--c{one.code}:rgb{one.color};".replace(" ", "") for one in classes.classes)


def in_safe_colors(classes: ClassScheme) -> ClassScheme | None:
    """The same scheme in colours that the colour-blind tell apart; None for too many classes."""
    try:
        return classes.in_palette("colour-blind")
    except RecipeError:
        return None


def palette_style(schemes: Sequence[ClassScheme]) -> str:
    """CSS with the colours of schemes in both palettes."""
    rules = []
    for number, classes in enumerate(schemes):
        rules.append(f".scheme-{number}{{{_colors(classes)}}}")
        safe = in_safe_colors(classes)
        if safe is not None:
            rules.append(f"[data-palette=safe] .scheme-{number}{{{_colors(safe)}}}")
    return "\n".join(rules)


def palette_bytes(classes: ClassScheme) -> str:
    """Colours of all labels in the order of a PNG's palette, as hexadecimal digits."""
    table = classes.label_colors()
    colors = [table.get(label, (*NO_MASK, 255))[:3] for label in range(classes.n_labels)]
    return "".join(f"{part:02x}" for color in colors for part in color)


def palette_switch(schemes: Sequence[ClassScheme]) -> Html:
    """Buttons for the palette; nothing if no scheme has another one."""
    if all(in_safe_colors(classes) is None for classes in schemes):
        return joined()
    buttons = [
        element(
            "label",
            element("input", type="radio", name="palette", value=value, **checked),
            element("span", title),
        )
        for value, title, checked in (
            ("standard", "Standard", {"checked": ""}),
            ("safe", "Colour-blind safe", {}),
        )
    ]
    return element(
        "fieldset", element("legend", "Colours"), *buttons, _class="palette", id="palette"
    )

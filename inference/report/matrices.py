"""Confusion matrices and charts of shares with intervals, as parts of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.report.checks import matrix
from polynya.recipe.classes import ClassScheme
from polynya.report.charts import nice_ticks
from polynya.report.html import Html, element, joined
from polynya.report.pictures import confusion_grid


def confusion_matrix(confusion: Any, classes: ClassScheme, title: str) -> Html:
    """Show a confusion matrix: share of the true class in colour and percent, with pixels.

    Args:
        confusion: (C, C), rows are the truth; (C, 2, 2) for masks.
        classes: Scheme with the titles.
        title: What it is of.
    """
    counts, truths, found = confusion_grid(matrix(confusion, classes), classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    rows = []
    for truth, own, of_row in zip(truths, counts, shares, strict=True):
        cells = [
            element(
                "td",
                element("b", f"{share:.1%}"),
                element("small", f"{count:,}"),
                style=f"--share:{share:.3f}",
            )
            for count, share in zip(own.tolist(), of_row.tolist(), strict=True)
        ]
        rows.append(element("tr", element("th", truth, scope="row"), *cells))
    corner = element("th", "True \\ predicted", scope="col")
    head = element("tr", corner, *(element("th", name, scope="col") for name in found))
    table = element(
        "table",
        element("caption", f"{title}: share of the true {_what(classes)}, and pixels"),
        element("thead", head),
        element("tbody", *rows),
        _class="confusion",
    )
    return element("div", table, _class="scroll fit", tabindex=0, role="region", aria_label=title)


def _what(classes: ClassScheme) -> str:
    return "state" if classes.has_masks else "class"


@dataclass(frozen=True)
class Whisker:
    """A share with its interval."""

    name: str
    value: float
    interval: tuple[float, float] | None = None


def whisker_chart(items: Sequence[Whisker], alt: str) -> Html:
    """Draw shares as dots on a common axis, with their intervals as lines."""
    ends = [end for item in items for end in (item.interval or (item.value, item.value))]
    ticks = nice_ticks(100 * min(ends), 100 * max(ends))
    low, span = ticks[0], (ticks[-1] - ticks[0]) or 1.0

    def at(share: float) -> str:
        return f"{(100 * share - low) / span:.2%}"

    rows = []
    for item in items:
        first, last = item.interval or (item.value, item.value)
        told = f"{item.value:.2%}"
        if item.interval:
            told += f" ({first:.2%} to {last:.2%})"
        line = element("i", style=f"left:{at(first)};right:calc(100% - {at(last)})")
        dot = element("b", style=f"left:{at(item.value)}")
        parts = (("name", (item.name,)), ("track", (line, dot)), ("told", (told,)))
        cells = (element("span", *content, _class=kind) for kind, content in parts)
        rows.append(element("div", *cells, _class="row"))
    axis = [
        element("span", f"{tick:g}%", style=f"left:{(tick - low) / span:.2%}") for tick in ticks
    ]
    foot = element("div", element("span", *axis, _class="axis"), _class="row")
    return element("div", *rows, foot, _class="whiskers", role="img", aria_label=alt)


@dataclass(frozen=True)
class Bar:
    """A ratio, such as a speed-up."""

    name: str
    value: float


def bar_chart(items: Sequence[Bar], alt: str) -> Html:
    """Draw ratios as bars from zero, with a mark at 1."""
    most = max(1.0, *(item.value for item in items))
    rows = []
    for item in items:
        bar = element("i", style=f"left:0;right:calc(100% - {item.value / most:.2%})")
        one = element("b", style=f"left:{1 / most:.2%}")
        cells = (("name", (item.name,)), ("track", (bar, one)), ("told", (f"{item.value:.2f} x",)))
        shown = (element("span", *content, _class=kind) for kind, content in cells)
        rows.append(element("div", *shown, _class="row"))
    return element("div", *rows, _class="whiskers bars", role="img", aria_label=alt)


def legend(classes: ClassScheme, *, with_error: bool = False) -> Html:
    """List the colours of the classes; they follow the palette that is chosen on the page."""
    entries = [(one.title, f"background:var(--c{one.code})") for one in classes.classes]
    if classes.has_masks:
        entries.append(("No mask", "background:rgb(64,64,64)"))
    entries.append(("No data", "background:var(--nothing)"))
    if with_error:
        entries.append(("Wrong", "background:var(--wrong)"))
    shown = (element("li", element("i", style=style), title) for title, style in entries)
    return element("ul", *shown, _class="legend")


def share_bar(shares: Sequence[tuple[int, str, float]]) -> Html:
    """Show shares of classes as one bar: code, title and share (0..1) of each."""
    told = ", ".join(f"{title} {share:.1%}" for _, title, share in shares)
    parts = (
        element("span", title=f"{title}: {share:.1%}",
                style=f"width:{share:.3%};background:var(--c{code})")
        for code, title, share in shares
    )  # fmt: skip
    return joined(element("div", *parts, _class="bar", role="img", aria_label=told))

"""Part of the report: shares of the classes, and which classes occur together."""

from __future__ import annotations

import numpy as np

from polynya.report.charts import share_bar
from polynya.report.html import Html, element, joined, table_element
from polynya.report.tables import Table
from training.inspection.page.views import legend
from training.inspection.survey import Survey


def classes_section(survey: Survey) -> Html:
    """Show pixels and tiles of each class, by split, and how often two classes share a tile."""
    return joined(
        element("h2", "Classes", id="classes"),
        element("div", *_bars(survey), _class="shares"),
        legend(survey.facts.classes),
        table_element(_counts(survey)),
        table_element(_together(survey)),
    )


def _bars(survey: Survey) -> list[Html]:
    classes, rows = survey.facts.classes.classes, []
    for title, chosen in split_rows(survey):
        pixels = survey.facts.class_pixels[chosen].sum(axis=0)
        # Masks may overlap or leave pixels free, so their bar shows shares among each other.
        shares = pixels / max(pixels.sum(), 1)
        parts = [(c.title, c.color, float(s)) for c, s in zip(classes, shares, strict=True)]
        rows += [element("span", title), share_bar(parts)]
    return rows


def split_rows(survey: Survey) -> list[tuple[str, np.ndarray]]:
    """Name the parts of the split, each with bool (N,): which tiles are in it."""
    everything = ("All tiles", np.ones(len(survey.facts.places), np.bool_))
    if not survey.validates:
        return [everything]
    sides = ("training", "validation")
    return [everything, *((side.title(), survey.is_on(side)) for side in sides)]


def _counts(survey: Survey) -> Table:
    pixels, parts = survey.facts.class_pixels, split_rows(survey)
    labelled = [max(survey.labelled[chosen].sum(), 1) for _, chosen in parts]
    rows = []
    for code, title in enumerate(survey.facts.classes.titles):
        shares = [
            f"{pixels[chosen, code].sum() / total:.2%}"
            for (_, chosen), total in zip(parts, labelled, strict=True)
        ]
        rows.append(
            (title, f"{pixels[:, code].sum():,}", *shares, f"{(pixels[:, code] > 0).sum():,}")
        )
    columns = ("Class", "Pixels", *(title for title, _ in parts), "Tiles that have it")
    return Table("Share of the labelled pixels", columns, tuple(rows))


def _together(survey: Survey) -> Table:
    there = (survey.facts.class_pixels > 0).astype(np.int64)
    both = there.T @ there
    titles = survey.facts.classes.titles
    rows = []
    for row, title in enumerate(titles):
        own = both[row, row]
        cells = (f"{count / own:.0%}" if own else "" for count in both[row])
        rows.append((title, *cells))
    columns = ("Of the tiles with", *(f"also {title}" for title in titles))
    return Table("Classes in the same tile", columns, tuple(rows))

"""Part of the report: statistics and histograms of the bands, by split and by scene."""

from __future__ import annotations

import numpy as np

from polynya.report.charts import histogram_chart
from polynya.report.html import Html, element, joined, table_element
from polynya.report.tables import Table
from training.inspection.statistics import BandSums
from training.inspection.survey import Survey

_MOST_LINES = 24
"""Scenes that are drawn in a histogram."""
_MOST_ROWS = 30
"""Scenes in the table: those that are farthest from the others."""


def _told(value: float) -> str:
    """A number with four digits or more, without an exponent unless it is very small or large."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def bands_section(survey: Survey) -> Html:
    """Show histograms and statistics of each band."""
    parts = _parts(survey)
    names = ["Training", "Validation"] if len(parts) > 1 else ["All tiles"]
    marks = [*zip(("first", "second"), names, strict=False)]
    entries = [element("li", element("i", _class=f"{style}-mark"), title) for style, title in marks]
    entries.append(element("li", element("i", _class="group-mark"), "single scenes"))
    return joined(
        element("h2", "Bands", id="bands"),
        element(
            "p",
            "Each histogram has the same area. Values outside of it are in its first or last bin.",
        ),
        element("ul", *entries, _class="legend"),
        element("div", *_charts(survey, parts), _class="charts"),
        table_element(_by_split(survey, parts)),
        table_element(_by_scene(survey)),
    )


def _parts(survey: Survey) -> list[tuple[str, BandSums]]:
    if not survey.validates:
        return [("All tiles", survey.total)]
    return [(side.title(), survey.of_side(side)) for side in ("training", "validation")]


def _charts(survey: Survey, parts: list[tuple[str, BandSums]]) -> list[Html]:
    every = list(survey.sums.values())
    some = every[:: -(-len(every) // _MOST_LINES)] if every else []
    charts = []
    for number, (band, (low, high)) in enumerate(
        zip(survey.facts.bands, survey.ranges.tolist(), strict=True)
    ):
        series = [("group", sums.histogram[number]) for sums in some]
        series += [
            (style, sums.histogram[number])
            for style, (_, sums) in zip(("first", "second"), parts, strict=False)
        ]
        chart = histogram_chart(series, low, high, f"Histogram of {band}")
        charts.append(element("figure", element("h3", band), chart, _class="card"))
    return charts


def _by_split(survey: Survey, parts: list[tuple[str, BandSums]]) -> Table:
    rows = []
    for number, band in enumerate(survey.facts.bands):
        for title, sums in parts:
            low, high = sums.quantiles(0.02)[number], sums.quantiles(0.98)[number]
            numbers = (
                sums.minimum[number], low, sums.mean[number], high, sums.maximum[number],
                sums.deviation[number],
            )  # fmt: skip
            told = [_told(value) for value in numbers] if sums.count[number] else [""] * 6
            rows.append((band, title, *told, f"{sums.missing[number]:.1%}"))
    columns = (
        "Band", "Part", "Minimum", "2 %", "Mean", "98 %", "Maximum", "Deviation", "Missing",
    )  # fmt: skip
    return Table("Statistics by split", columns, tuple(rows))


def _by_scene(survey: Survey) -> Table:
    total = survey.total
    spread = np.maximum(total.deviation, 1e-12)
    far = {
        scene: float(
            np.max(np.abs(sums.mean - total.mean) / spread, where=sums.count > 0, initial=0)
        )
        for scene, sums in survey.sums.items()
    }
    shown = sorted(far, key=lambda scene: -far[scene])[:_MOST_ROWS]
    rows = []
    for scene in shown:
        sums = survey.sums[scene]
        cells = [
            f"{_told(mean)} ± {_told(deviation)}" if count else ""
            for mean, deviation, count in zip(sums.mean, sums.deviation, sums.count, strict=True)
        ]
        part = " and ".join(sorted(side for of, side in survey.parts if of == scene))
        rows.append((scene, part, f"{far[scene]:.1f}", *cells))
    some = "" if len(far) <= _MOST_ROWS else f", {_MOST_ROWS} of {len(far)}"
    title = f"Mean and deviation by scene, the farthest from all others first{some}"
    columns = ("Scene", "Part", "Distance in deviations", *survey.facts.bands)
    return Table(title, columns, tuple(rows))

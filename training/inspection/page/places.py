"""Part of the report: tiles per scene, site and date."""

from __future__ import annotations

import re
from collections import Counter

from polynya.report.html import Html, element, joined, table_element
from polynya.report.tables import Table
from polynya.splits.groups import site_of
from training.inspection.survey import Survey

_MOST_ROWS = 25
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d{1,3}(?!\d))"
)
"""A date in a scene's name, such as 20191103 or 2019-11-03; a time may follow."""


def date_of(scene_id: str) -> str:
    """Date in the name of a scene as YYYY-MM-DD; "unknown" if there is none."""
    found = _DATE.search(scene_id)
    return "-".join(found.groups()) if found else "unknown"


def places_section(survey: Survey) -> Html:
    """Show how many tiles each scene, site and date has."""
    pattern = survey.shards.recipe.split.group
    scenes = [place.scene_id for place in survey.facts.places]
    parts = [_table("Scene", Counter(scenes))]
    if pattern is not None:
        parts.append(_table("Site", Counter(site_of(scene, pattern) for scene in scenes)))
    parts.append(_table("Date", Counter(map(date_of, scenes))))
    note = (
        "Sites are the groups of the recipe's key 'split.group'."
        if pattern is not None
        else "The recipe's key 'split.group' would tell which scenes are of one site."
    )
    return joined(
        element("h2", "Scenes, sites and dates", id="places"),
        element("p", f"Dates are those in the names of scenes. {note}"),
        element("div", *(table_element(table) for table in parts), _class="charts"),
    )


def _table(what: str, counts: Counter[str]) -> Table:
    total = max(counts.total(), 1)
    rows = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in counts.most_common(_MOST_ROWS)]
    if what == "Date":
        rows.sort()
    left = len(counts) - len(rows)
    if left > 0:
        rest = sum(n for _, n in counts.most_common()[_MOST_ROWS:])
        rows.append((f"{left:,} more", f"{rest:,}", f"{rest / total:.1%}"))
    return Table(f"Tiles by {what.lower()}", (what, "Tiles", "Share"), tuple(rows))

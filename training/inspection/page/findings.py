"""Part of the report: what the checks found, what was dropped, and what to fix."""

from __future__ import annotations

from polynya.report.html import Html, element, joined
from polynya.shards.dropped import Dropped
from training.inspection.checks.registry import CHECKS
from training.inspection.page.samples import SHOWN, Pixels, thumbnails
from training.inspection.survey import Finding, Survey

_MOST_LISTED = 5000
"""Tiles in a list; with more, the page would be slow."""


def findings_section(survey: Survey, pixels: Pixels) -> Html:
    """Show each finding with its tiles."""
    clean = [check for check in CHECKS if check not in {f.check for f in survey.findings}]
    shown = [_finding(survey, finding, pixels) for finding in survey.findings]
    told = ", ".join(check.title.lower() for check in clean)
    nothing = element("p", "Nothing is wrong with these tiles, as far as the checks see.")
    return joined(
        element("h2", "Findings", id="findings"),
        element("div", *shown, _class="findings") if shown else nothing,
        element("p", f"Looked for and not found: {told}.", _class="quiet") if clean else "",
    )


def _finding(survey: Survey, finding: Finding, pixels: Pixels) -> Html:
    check, listed = finding.check, finding.found[:_MOST_LISTED]
    lines = [
        element(
            "li",
            one.reason if one.tile is None else f"{survey.facts.places[one.tile]}: {one.reason}",
        )
        for one in listed
    ]
    left = len(finding.found) - len(listed)
    if left:
        lines.append(element("li", f"and {left:,} more"))
    count = len(finding.found)
    what = "" if not finding.tiles else " tile" if count == 1 else " tiles"
    return element(
        "section",
        element("h3", f"{check.title} ({count:,}{what})"),
        element("p", check.meaning),
        thumbnails(survey, finding.tiles[:SHOWN], pixels),
        element(
            "details",
            element("summary", "Which, and why"),
            element("ul", *lines, _class="tiles"),
            **({"open": "open"} if count <= SHOWN else {}),
        ),
        _class="card finding",
        id=check.name,
    )


def dropped_section(dropped: Dropped, when: str) -> Html:
    """List the tiles that are left out; `when` says since when."""
    if not dropped:
        return joined()
    lines = [
        element("li", f"{_where(tile.scene_id, tile.row, tile.col, tile.file)}: {tile.reason}")
        for tile in dropped.tiles[:_MOST_LISTED]
    ]
    return joined(
        element("h2", "Left out", id="dropped"),
        element("p", f"{dropped.describe()} {when}. 'polynya inspect --restore' brings all back."),
        element(
            "details",
            element("summary", "List of the tiles"),
            element("ul", *lines, _class="tiles"),
        ),
    )


def _where(scene: str, row: int | None, col: int | None, file: str) -> str:
    return f"{scene}, {file}" if row is None else f"{scene}, row {row}, col {col}"


def fixes_section(survey: Survey) -> Html:
    """End the report with a list of what to fix, in plain words."""
    lines = []
    for finding in survey.findings:
        check, count = finding.check, len(finding.found)
        drop = [
            " To leave them out: ",
            element("code", f"polynya inspect {survey.shards.folder} --drop {check.name}"),
        ]
        link = element("a", f"{check.title} ({count:,})", href=f"#{check.name}")
        lines.append(element("li", link, f". {check.remedy}", *(drop if finding.tiles else [])))
    nothing = element("p", "Nothing: these tiles can be used for a training as they are.")
    return joined(
        element("h2", "What to fix", id="fix"),
        element("ol", *lines, _class="fixes") if lines else nothing,
    )
